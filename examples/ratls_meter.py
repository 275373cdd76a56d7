"""An RA-TLS certificate, made in an enclave on a simulated platform and judged by whoever is shown it.

    python ratls_meter.py --lab lab --policy policy.toml

`enclave` is what runs inside: the private key never leaves it, and the quote is over its hash. `peer` gets the
certificate alone. docs/ratls.md says what that does not prove, and why the main protocol does not work like this.
"""

import argparse
import os
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from intaglio.ratls.make import make_certificate
from intaglio.ratls.verify import RatlsVerifier
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.run import load
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from intaglio.verify.evidence import Verifier
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.wire.collateral import DcapCollateral


def enclave(attester: SimulatedAttester, now: UnixTime) -> bytes:
    key = generate_private_key(SECP256R1())
    serial = 1 + int.from_bytes(os.urandom(8), "big")
    return make_certificate(
        key, attester.evidence, tee=attester.tee, name="meter", serial=serial, not_before=now, lifetime=86400
    )


def peer(certificate: bytes, lab: Path, policy: Path, now: UnixTime) -> str:
    roots = Roots.lab((lab / "root.pem").read_bytes())
    collateral = DcapCollateral.parse_json(Lab.open(lab).collateral("alpha", now))
    attested = RatlsVerifier(Verifier(roots)).verify(certificate, collateral, now)
    judged = attested.appraise(Policy.parse(policy.read_bytes()), pin_hash=None)
    reasons = [reason.name for reason in (*judged.reasons, *judged.verdict.reasons)]
    return f"accepted as {judged.verdict.workload}" if judged.accepted else f"refused: {', '.join(reasons)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", type=Path, required=True, help="the laboratory's folder")
    parser.add_argument("--policy", type=Path, required=True, help="which enclaves to accept")
    options = parser.parse_args()
    now = UnixTime(int(time.time()))
    certificate = enclave(load(Path(__file__), lab=options.lab, platform="alpha", now=now), now)
    Path("meter.der").write_bytes(certificate)
    print(f"certificate of {len(certificate)} bytes: {peer(certificate, options.lab, options.policy, now)}")


if __name__ == "__main__":
    main()
