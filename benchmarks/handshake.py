"""The data centre's side of an attested handshake, beside the sum of its primitive operations, interleaved in one run.

    python -m benchmarks.handshake            a table
    python -m benchmarks.handshake --json     one object; rates per second

One handshake: parse the hello, open it (KEM decapsulation), verify its quote, let the policy appraise it, make the
Accept (KEM encapsulation, Ed25519 signature) and the keys of the session. Storing is not in it. Every hello is another
one, with a real-format quote of the simulator's; collateral is known. New: nothing is remembered of the platform.
Seen: an earlier quote of it was verified. The floor is what the primitives alone cost: HPKE open and seal, ECDSA
verifications (3 new, 1 seen), one Ed25519 signature. `dcap_qvl_and_x25519` is no handshake: it is dcap-qvl's
verification of the same quote and one X25519 key generation and agreement, the least that a peer would do.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from itertools import cycle

import dcap_qvl
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks.side_by_side import Work, best_seconds, show
from intaglio.reasons import Reason
from intaglio.session import kem
from intaglio.session.data_centre import HelloOpener
from intaglio.session.enclave import EnclaveHandshake
from intaglio.session.offers import OfferTerms, make_offer
from intaglio.session.signing import Signer, SigningKeys
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.draft import launch
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.hello import Hello, Result
from intaglio.wire.identity import Pin, Suite

ROUNDS = 25
PER_ROUND = 30
HELLOS = 60
TARGETS = {"new_platform_per_s": 1_900, "seen_platform_per_s": 3_000}


def main() -> None:
    parser = argparse.ArgumentParser(description="the data centre's side of a handshake, side by side")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    found = measure()
    if parser.parse_args().json:
        print(json.dumps(found))
    else:
        show_table(found)


@dataclass(frozen=True, slots=True)
class Scene:
    """A data centre with one offer out, and hellos that answer it, each of its own session."""

    opener: HelloOpener
    verifier: DcapVerifier
    policy: Policy
    pin_hash: bytes
    signer: Signer
    collateral: DcapCollateral
    hellos: tuple[bytes, ...]
    root: bytes
    at: UnixTime

    def serve(self, hello: bytes) -> bytes:
        """The Accept to `hello`."""
        opened = self.opener.open(Hello.parse(hello))
        verdict = self.verifier.verify(opened.evidence, self.collateral, self.at)
        decided = self.policy.appraise(verdict, report_data=opened.report_data, pin_hash=self.pin_hash)
        result = Result(UnixTime(self.at + 86_400), self.at, decided.workload or "none", {"tcb": "UpToDate"})
        return opened.accept(decided, result, self.signer, os.urandom).accept

    def evidence(self) -> bytes:
        return self.opener.open(Hello.parse(self.hellos[0])).evidence


def scene() -> Scene:
    """Everything that exists before the first hello arrives, and the hellos."""
    at = UnixTime(int(time.time()))
    lab = Lab.create(None, at)
    machine = lab.machine()
    keys = SigningKeys.generate(os.urandom)
    pin = Pin(Suite.ED25519, "dc.example", (keys.public,))
    image = Image((TrustedFile("meter.py", b"def get_size(): return 100\n"), TrustedFile("dc.pub", pin.encode())))
    attester = SimulatedAttester(machine, launch(lab, machine, image, at))
    policy = _policy(image)
    terms = OfferTerms(at, UnixTime(at + 3600), UnixTime(at + 86_400), 1, 0, policy.hash, pin.audience)
    signer = Signer(Suite.ED25519, keys)
    offer = make_offer(terms, signer, os.urandom)
    hellos = []
    for _ in range(HELLOS):
        enclave = EnclaveHandshake(pin, attester.tee, os.urandom)
        enclave.offer(offer.data)
        hellos.append(enclave.hello(attester.evidence, {}))
    return Scene(
        opener=HelloOpener(offer.data, offer.key),
        verifier=DcapVerifier(Roots.lab(lab.root_der)),
        policy=policy,
        pin_hash=pin.hash,
        signer=signer,
        collateral=DcapCollateral.parse_json(lab.collateral("alpha", at)),
        hellos=tuple(hellos),
        root=lab.root_der,
        at=at,
    )


def _policy(image: Image) -> Policy:
    return Policy.parse(
        f"""
        [[accept]]
        name = "meter"
        tee = "sgx"
        mr_enclave = ["{image.mr_enclave().hex()}"]
        pin = "measured"
        tcb = ["UpToDate"]
        advisories = []
        min_tcb_evaluation_number = 1
        debug = false
        platforms = "any"
        max_session_age = "24h"
        max_offer_age = "1h"
        heartbeat = "none"
        """
    )


def measure() -> dict[str, object]:
    """All figures of one run."""
    at_work = scene()
    best = best_seconds(
        {
            "new": (_serving(at_work, new=True), PER_ROUND),
            "seen": (_serving(at_work, new=False), PER_ROUND),
            "new_floor": (_primitives(ecdsa=3), PER_ROUND),
            "seen_floor": (_primitives(ecdsa=1), PER_ROUND),
            "peer": (_dcap_qvl_and_x25519(at_work), PER_ROUND),
        },
        ROUNDS,
    )
    return {
        "new_platform_per_s": round(1 / best["new"]),
        "new_platform_floor_per_s": round(1 / best["new_floor"]),
        "seen_platform_per_s": round(1 / best["seen"]),
        "seen_platform_floor_per_s": round(1 / best["seen_floor"]),
        "dcap_qvl_and_x25519_per_s": round(1 / best["peer"]),
        "targets": TARGETS,
        "python": sys.version.split()[0],
    }


def _serving(at_work: Scene, *, new: bool) -> Work:
    hellos = cycle(at_work.hellos)

    def work(count: int) -> None:
        for _ in range(count):
            if new:
                at_work.verifier.forget_platforms()
            at_work.serve(next(hellos))

    return work


def _primitives(*, ecdsa: int) -> Work:
    ours, theirs = kem.KemPrivateKey.generate(os.urandom), kem.KemPrivateKey.generate(os.urandom)
    ciphertext = kem.seal(ours.public, bytes(32), kem.INFO_OFFER)
    key, algorithm, signing = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(SHA256()), Ed25519PrivateKey.generate()
    message = bytes(384)
    signature, public = key.sign(message, algorithm), key.public_key()

    def work(count: int) -> None:
        for _ in range(count):
            ours.decapsulate(ciphertext, kem.INFO_OFFER, Reason.HELLO_AUTHENTICATION)
            for _ in range(ecdsa):
                public.verify(signature, message, algorithm)
            kem.encapsulate(theirs.public, kem.INFO_REPLY, os.urandom)
            signing.sign(message)

    return work


def _dcap_qvl_and_x25519(at_work: Scene) -> Work:
    collateral = dcap_qvl.QuoteCollateralV3.from_json(at_work.collateral.encode_json().decode())
    quote, theirs = at_work.evidence(), X25519PrivateKey.generate().public_key()

    def work(count: int) -> None:
        for _ in range(count):
            dcap_qvl.verify_with_root_ca(quote, collateral, at_work.root, at_work.at)
            X25519PrivateKey.generate().exchange(theirs)

    return work


def show_table(found: dict[str, object]) -> None:
    def rate(name: str) -> str:
        return f"{found[name]:,}/s"

    show(
        f"attested handshake, data centre's side, signed Accept included, storing apart (Python {found['python']})",
        [
            ("platform new", rate("new_platform_per_s"), f"its primitives alone: {rate('new_platform_floor_per_s')}"),
            (
                "platform seen",
                rate("seen_platform_per_s"),
                f"its primitives alone: {rate('seen_platform_floor_per_s')}",
            ),
            (
                "dcap-qvl verification + X25519",
                rate("dcap_qvl_and_x25519_per_s"),
                "no handshake: the least of a peer's",
            ),
        ],
    )


if __name__ == "__main__":
    main()
