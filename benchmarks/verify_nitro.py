"""Verification of Nitro documents beside what the signatures alone cost, interleaved in one run.

    python -m benchmarks.verify_nitro            a table
    python -m benchmarks.verify_nitro --json     one object; times in milliseconds

Seen: an earlier document of the same enclave was verified (1 signature: the document's; an enclave's certificate lives
for three hours). New enclave: the instance's chain is known, the enclave's certificate is not (2: its certificate,
document). First: nothing is known (6: root, region, zone, instance, enclave, document). All are ECDSA P-384. Floors are
those signatures, by the same keys over the same bytes, and nothing else. Every figure is the smallest mean of many
short rounds: what the machine can do when nothing else runs.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_der_public_key

from benchmarks.side_by_side import asked_for_json, best_ms, show_beside_signatures, two_threads
from intaglio.sim.nitro import NitroAuthority, NitroDraft, indefinite
from intaglio.types import UnixTime
from intaglio.verify.nitro import NitroVerifier
from intaglio.verify.roots import Roots
from intaglio.wire.nitro import NitroDocument
from intaglio.wire.x509 import Certificate
from tests.conftest import VECTORS

CASE = "dstack-nitro_attestation-54ae0f"
"""A production enclave of December 2025, with a map that ends in a break."""
ROUNDS = 200
PER_ROUND = 5
TARGETS = {"seen_ratio": 1.2}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is verified. `root` is None for real hardware."""

    name: str
    document: bytes
    at: UnixTime
    root: bytes | None

    @property
    def roots(self) -> Roots:
        return Roots.production() if self.root is None else Roots.lab(self.root)


def main() -> None:
    as_json = asked_for_json("Nitro documents, beside their signatures")
    found = measure(subject())
    if as_json:
        print(json.dumps(found))
    else:
        show(found)


def subject() -> Subject:
    """A real document where the vectors are at hand, otherwise one of the simulator."""
    case = VECTORS / "nitro" / CASE
    if (case / "case.json").is_file():
        return _recorded(case)
    now = UnixTime(int(time.time()))
    draft = NitroDraft.of(NitroAuthority.create(now), now)
    draft.encode = indefinite
    made = draft.build()
    return Subject("simulated document", made.document, made.at, made.root)


def _recorded(case: Path) -> Subject:
    at = UnixTime(json.loads((case / "case.json").read_bytes())["time"])
    return Subject(f"real document {case.name}", (case / "attestation_doc.cbor").read_bytes(), at, None)


def measure(what: Subject) -> dict[str, object]:
    """All figures of one run; the kinds of work take turns, so that a slow moment hits all of them."""
    verifier = NitroVerifier(what.roots)

    def seen() -> None:
        if verifier.verify(what.document, None, what.at).genuine is not True:
            raise SystemExit("the benchmark's document does not verify")

    def new_enclave() -> None:
        verifier.forget_signers()
        seen()

    def first() -> None:
        if NitroVerifier(what.roots).verify(what.document, None, what.at).genuine is not True:
            raise SystemExit("the benchmark's document does not verify")

    def rendered() -> None:
        _ = verifier.verify(what.document, None, what.at).checks

    signatures = _signatures(NitroDocument.parse(what.document))

    def floor(count: int) -> Callable[[], None]:
        def verify() -> None:
            for each in signatures[:count]:
                each()

        return verify

    works: dict[str, Callable[[], object]] = {
        "seen_ms": seen,
        "seen_floor_ms": floor(1),
        "new_enclave_ms": new_enclave,
        "new_enclave_floor_ms": floor(2),
        "first_ms": first,
        "first_floor_ms": floor(6),
        "seen_rendered_ms": rendered,
    }
    best = best_ms(works, ROUNDS, PER_ROUND)
    return {
        "subject": what.name,
        **{name: round(value, 4) for name, value in best.items()},
        "seen_ratio": round(best["seen_ms"] / best["seen_floor_ms"], 3),
        "new_enclave_ratio": round(best["new_enclave_ms"] / best["new_enclave_floor_ms"], 3),
        "first_ratio": round(best["first_ms"] / best["first_floor_ms"], 3),
        "two_threads_ratio": round(two_threads(seen), 2),
        "signatures_two_threads_ratio": round(two_threads(works["seen_floor_ms"]), 2),
        "targets": TARGETS,
        "python": sys.version.split()[0],
    }


def _signatures(document: NitroDocument) -> list[Callable[[], None]]:
    """The document's, then of the certificates from the enclave's to the root's own."""
    leaf, *authorities = (Certificate.parse(der) for der in (document.certificate, *reversed(document.ca_bundle)))
    r, s = int.from_bytes(document.signature[:48], "big"), int.from_bytes(document.signature[48:], "big")
    works = [_signature(leaf, encode_dss_signature(r, s), document.signed)]
    for subject, issuer in zip((leaf, *authorities), (*authorities, authorities[-1]), strict=True):
        works.append(_signature(issuer, subject.signature, subject.signed))
    return works


def _signature(signer: Certificate, signature: bytes, signed: bytes) -> Callable[[], None]:
    key = load_der_public_key(signer.key_info)
    if not isinstance(key, EllipticCurvePublicKey):
        raise SystemExit("the benchmark's certificates are not AWS's")
    algorithm = ECDSA(SHA384())
    return lambda: key.verify(signature, signed, algorithm)


def show(found: dict[str, object]) -> None:
    rows = (
        ("enclave seen", "seen_ms", "seen_floor_ms", "seen_ratio"),
        ("enclave new, instance seen", "new_enclave_ms", "new_enclave_floor_ms", "new_enclave_ratio"),
        ("nothing known", "first_ms", "first_floor_ms", "first_ratio"),
    )
    show_beside_signatures("document", found, rows, TARGETS)


if __name__ == "__main__":
    main()
