"""Verification of SEV-SNP reports beside what the signatures alone cost, interleaved in one run.

    python -m benchmarks.verify_snp            a table
    python -m benchmarks.verify_snp --json     one object; times in milliseconds

Seen: an earlier report of the same chip and TCB version was verified (1 signature: ECDSA P-384). New chip: AMD's
authorities are known, the chip is not (2: RSA-PSS of its certificate, ECDSA P-384). First: nothing is known (4: three
certificates, report). Floors are those signatures, by the same keys over the same bytes, and nothing else. Every figure
is the smallest mean of many short rounds: what the machine can do when nothing else runs.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from benchmarks.side_by_side import asked_for_json, best_ms, show_beside_signatures, two_threads
from intaglio.sim.amd_pki import AmdAuthority
from intaglio.sim.snp import SnpDraft
from intaglio.types import UnixTime
from intaglio.verify.roots import Roots
from intaglio.verify.snp import SnpVerifier
from intaglio.wire.snp import SnpReport, signed_part
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.x509 import Certificate, read_pem_chain
from tests.conftest import VECTORS

CASE = "oak-genoa_oc_evidence-genoa-v5-vcek-6d1cef"
ROUNDS = 60
PER_ROUND = 20
TARGETS = {"seen_ratio": 1.2}
_PSS = padding.PSS(padding.MGF1(SHA384()), 48)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is verified. `root` is None for real hardware."""

    name: str
    report: bytes
    collateral: SnpCollateral
    at: UnixTime
    root: bytes | None

    @property
    def roots(self) -> Roots:
        return Roots.production() if self.root is None else Roots.lab(self.root)


def main() -> None:
    as_json = asked_for_json("SEV-SNP reports, beside their signatures")
    found = measure(subject())
    if as_json:
        print(json.dumps(found))
    else:
        show(found)


def subject() -> Subject:
    """A real report where the vectors are at hand, otherwise one of the simulator."""
    case = VECTORS / "snp" / CASE
    if (case / "report.bin").is_file():
        return _recorded(case)
    now = UnixTime(int(time.time()))
    made = SnpDraft.of(AmdAuthority.create(now), now, version=5).build()
    return Subject("simulated report", made.report, made.collateral, made.at, made.root)


def _recorded(case: Path) -> Subject:
    at = UnixTime(json.loads((case / "case.json").read_bytes())["time"])
    ask, ark = read_pem_chain((case / "cert_chain.pem").read_bytes())
    collateral = SnpCollateral((case / "vcek.der").read_bytes(), ask, ark)
    return Subject(f"real report {case.name}", (case / "report.bin").read_bytes(), collateral, at, None)


def measure(what: Subject) -> dict[str, object]:
    """All figures of one run; the kinds of work take turns, so that a slow moment hits all of them."""
    verifier = SnpVerifier(what.roots)

    def seen() -> None:
        if verifier.verify(what.report, what.collateral, what.at).genuine is not True:
            raise SystemExit("the benchmark's report does not verify")

    def new_chip() -> None:
        verifier.forget_chips()
        seen()

    def first() -> None:
        if SnpVerifier(what.roots).verify(what.report, what.collateral, what.at).genuine is not True:
            raise SystemExit("the benchmark's report does not verify")

    def rendered() -> None:
        _ = verifier.verify(what.report, what.collateral, what.at).checks

    signatures = _signatures(what)

    def floor(*which: int) -> Callable[[], None]:
        chosen = [signatures[index] for index in which]

        def verify() -> None:
            for each in chosen:
                each()

        return verify

    works: dict[str, Callable[[], object]] = {
        "seen_ms": seen,
        "seen_floor_ms": floor(0),
        "new_chip_ms": new_chip,
        "new_chip_floor_ms": floor(0, 1),
        "first_ms": first,
        "first_floor_ms": floor(0, 1, 2, 3),
        "seen_rendered_ms": rendered,
    }
    best = best_ms(works, ROUNDS, PER_ROUND)
    return {
        "subject": what.name,
        **{name: round(value, 4) for name, value in best.items()},
        "seen_ratio": round(best["seen_ms"] / best["seen_floor_ms"], 3),
        "new_chip_ratio": round(best["new_chip_ms"] / best["new_chip_floor_ms"], 3),
        "first_ratio": round(best["first_ms"] / best["first_floor_ms"], 3),
        "two_threads_ratio": round(two_threads(seen), 2),
        "signatures_two_threads_ratio": round(two_threads(works["seen_floor_ms"]), 2),
        "targets": TARGETS,
        "python": sys.version.split()[0],
    }


def _signatures(what: Subject) -> list[Callable[[], None]]:
    """The report's, the VCEK certificate's, the ASK's and the ARK's own."""
    vek = x509.load_der_x509_certificate(_positive_serial(what.collateral.vek)).public_key()
    ask = x509.load_der_x509_certificate(what.collateral.ask).public_key()
    ark = x509.load_der_x509_certificate(what.collateral.ark).public_key()
    if not (
        isinstance(vek, ec.EllipticCurvePublicKey)
        and isinstance(ask, rsa.RSAPublicKey)
        and isinstance(ark, rsa.RSAPublicKey)
    ):
        raise SystemExit("the benchmark's certificates are not AMD's")
    raw = SnpReport.parse(what.report).signature
    signature = encode_dss_signature(int.from_bytes(raw[:48], "big"), int.from_bytes(raw[48:], "big"))
    signed, algorithm = signed_part(what.report), ec.ECDSA(SHA384())

    def report() -> None:
        vek.verify(signature, signed, algorithm)

    def certificate(data: bytes, key: rsa.RSAPublicKey) -> Callable[[], None]:
        read, hashing = Certificate.parse(data, serial_zero=True), SHA384()

        def verify() -> None:
            key.verify(read.signature, read.signed, _PSS, hashing)

        return verify

    return [
        report,
        certificate(what.collateral.vek, ask),
        certificate(what.collateral.ask, ark),
        certificate(what.collateral.ark, ark),
    ]


def _positive_serial(der: bytes) -> bytes:
    """The same certificate as far as its key goes, without the serial number that the package warns of."""
    return der.replace(bytes.fromhex("a003020102020100"), bytes.fromhex("a003020102020101"), 1)


def show(found: dict[str, object]) -> None:
    rows = (
        ("chip and TCB version seen", "seen_ms", "seen_floor_ms", "seen_ratio"),
        ("chip new", "new_chip_ms", "new_chip_floor_ms", "new_chip_ratio"),
        ("nothing known", "first_ms", "first_floor_ms", "first_ratio"),
    )
    show_beside_signatures("report", found, rows, TARGETS)


if __name__ == "__main__":
    main()
