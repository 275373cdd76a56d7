"""Quote verification beside dcap-qvl and beside what the signatures alone cost, interleaved in one run.

    python -m benchmarks.verify            tables, of an SGX quote and of a TDX quote
    python -m benchmarks.verify --json     one object, with `sgx` and `tdx`; times in milliseconds

New: collateral and CAs known, nothing known of the platform (3 signatures: certificate, QE report, quote). Seen: an
earlier quote of the same platform was verified (1: quote). New key: the platform was seen, its quoting enclave has
made a new attestation key since (2: QE report, quote). Floors are as many ECDSA P-256 verifications and nothing else.
dcap-qvl remembers nothing and verifies everything each time, collateral included. Every figure is the smallest mean
of many short rounds: what the machine can do when nothing else runs.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dcap_qvl
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks.side_by_side import asked_for_json, best_ms, two_threads
from intaglio.sim.draft import Draft
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.td import TdDraft
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.roots import Roots
from intaglio.wire.collateral import DcapCollateral
from tests.conftest import VECTORS

CASES = {
    "sgx": "teepot-quote-00606a000000-22c0df--2025-06-20-v3ev18",
    "tdx": "phala-tdx_quote-b0c06f000000-f1c850--2025-07-04-v3ev17",
}
"""In production mode, on scalable platforms, TCB info of version 3; both verifiers agree on them."""

ROUNDS = 60
PER_ROUND = 40
TARGETS = {"new_platform_ms": 0.30, "seen_platform_ms": 0.13}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is verified. `root` is None for real hardware."""

    name: str
    quote: bytes
    collateral: DcapCollateral
    at: UnixTime
    root: bytes | None

    @property
    def roots(self) -> Roots:
        return Roots.production() if self.root is None else Roots.lab(self.root)

    def theirs(self) -> Callable[[], object]:
        fields = dcap_qvl.QuoteCollateralV3.from_json(self.collateral.encode_json().decode())
        if self.root is None:
            return lambda: dcap_qvl.verify(self.quote, fields, self.at)
        return lambda: dcap_qvl.verify_with_root_ca(self.quote, fields, self.root, self.at)


def main() -> None:
    as_json = asked_for_json("quote verification, side by side")
    found = {tee: measure(subject(tee)) for tee in CASES}
    if as_json:
        print(json.dumps(found))
        return
    for table in found.values():
        show(table)
        print()


def subject(tee: str = "sgx") -> Subject:
    """A real quote where the vectors are at hand, otherwise one of the simulator."""
    case = VECTORS / tee / CASES[tee]
    if (case / "quote.bin").is_file():
        return _recorded(case)
    now = UnixTime(int(time.time()))
    lab = Lab.create(None, now)
    image = Image((TrustedFile("meter.py", b"100"),))
    evidence = (TdDraft.of(lab, now) if tee == "tdx" else Draft.of(lab, image, now)).build()
    return Subject("simulated platform", evidence.quote, evidence.collateral, evidence.at, evidence.root)


def _recorded(case: Path) -> Subject:
    at = UnixTime(json.loads((case / "case.json").read_bytes())["time"])
    collateral = DcapCollateral.parse_json((case / "collateral.json").read_bytes())
    return Subject(f"real quote {case.name}", (case / "quote.bin").read_bytes(), collateral, at, None)


def measure(what: Subject) -> dict[str, object]:
    """All figures of one run; the kinds of work take turns, so that a slow moment hits all of them."""
    verifier = DcapVerifier(what.roots)

    def seen() -> None:
        if verifier.verify(what.quote, what.collateral, what.at).genuine is not True:
            raise SystemExit("the benchmark's quote does not verify")

    def new() -> None:
        verifier.forget_platforms()
        seen()

    def new_key() -> None:
        verifier.forget_attestation_keys()
        seen()

    def rendered() -> None:
        _ = verifier.verify(what.quote, what.collateral, what.at).checks

    works: dict[str, Callable[[], object]] = {
        "new_platform_ms": new,
        "seen_platform_ms": seen,
        "new_attestation_key_ms": new_key,
        "seen_platform_rendered_ms": rendered,
        "dcap_qvl_ms": what.theirs(),
        "new_platform_floor_ms": _signatures(3),
        "new_attestation_key_floor_ms": _signatures(2),
        "seen_platform_floor_ms": _signatures(1),
    }
    best = best_ms(works, ROUNDS, PER_ROUND)
    return {
        "subject": what.name,
        **{name: round(value, 4) for name, value in best.items()},
        "two_threads_ratio": round(two_threads(seen), 2),
        "signatures_two_threads_ratio": round(two_threads(works["seen_platform_floor_ms"]), 2),
        "dcap_qvl_two_threads_ratio": round(two_threads(works["dcap_qvl_ms"]), 2),
        "targets": TARGETS,
        "python": sys.version.split()[0],
    }


def _signatures(count: int) -> Callable[[], None]:
    key = ec.generate_private_key(ec.SECP256R1())
    message, algorithm, public = bytes(384), ec.ECDSA(SHA256()), key.public_key()
    signature = key.sign(message, algorithm)

    def verify() -> None:
        for _ in range(count):
            public.verify(signature, message, algorithm)

    return verify


def show(found: dict[str, object]) -> None:
    rows = (
        ("platform new", "new_platform_ms", "new_platform_floor_ms"),
        ("platform seen", "seen_platform_ms", "seen_platform_floor_ms"),
        ("platform seen, new key", "new_attestation_key_ms", "new_attestation_key_floor_ms"),
        ("platform seen, checks rendered", "seen_platform_rendered_ms", "seen_platform_floor_ms"),
    )
    print(f"{found['subject']}, Python {found['python']}\n")
    print(f"{'verify one quote, ms':32}{'intaglio':>10}{'dcap-qvl':>10}{'signatures only':>17}{'target':>9}")
    for label, ours, floor in rows:
        target = TARGETS.get(ours)
        print(f"{label:32}{found[ours]:>10}{found['dcap_qvl_ms']:>10}{found[floor]:>17}{target or '':>9}")
    ratios = [found[f"{name}two_threads_ratio"] for name in ("", "dcap_qvl_", "signatures_")]
    print(f"{'two threads, times one thread':32}{ratios[0]:>10}{ratios[1]:>10}{ratios[2]:>17}")


if __name__ == "__main__":
    main()
