"""Real SEV-SNP reports with their certificates: each gets the verdict that is known of it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.evidence import Verifier
from intaglio.verify.roots import Roots
from intaglio.verify.snp import PROCEDURE, SnpVerifier
from intaglio.verify.verdict import Outcome, Verdict
from intaglio.wire.snp import SnpReport
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.x509 import read_pem_chain
from tests.conftest import missing, vector_cases

CASES = vector_cases("snp")
IN_2026 = UnixTime(1_782_000_000)
"""For evidence that names no time; the certificates in it are valid then."""

REASONS_BY_CHECK = {
    "report signature": (Reason.REPORT_SIGNATURE,),
    "report signature / chip id": (Reason.COLLATERAL_MISMATCH, Reason.TCB_MISMATCH, Reason.REPORT_SIGNATURE),
}
"""What the vectors call a check, and the reasons in their order: another chip has another id, TCB version and key."""


def read(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "case.json").read_bytes())
    return found


def collateral(case: Path) -> SnpCollateral | None:
    if not (case / "vcek.der").exists():
        return None
    ask, ark = read_pem_chain((case / "cert_chain.pem").read_bytes())
    return SnpCollateral((case / "vcek.der").read_bytes(), ask, ark)


def judge(case: Path, verifier: SnpVerifier | None = None, at: int | None = None) -> Verdict:
    moment = UnixTime(at or read(case)["time"] or IN_2026)
    verifier = verifier or SnpVerifier(Roots.production())
    return verifier.verify((case / "report.bin").read_bytes(), collateral(case), moment)


def cases(prefix: str = "") -> list[Any]:
    """Cases whose name begins with `prefix`; with none, those that are genuine."""
    if not CASES:
        return [pytest.param(None, id="no vectors")]
    others = ("NEG-", "REPORTONLY-")
    found = [c for c in CASES if (c.name.startswith(prefix) if prefix else not c.name.startswith(others))]
    assert found
    return [pytest.param(case, id=case.name) for case in found]


@cache
def shared_verifier() -> SnpVerifier:
    return SnpVerifier(Roots.production())


@pytest.mark.parametrize("case", cases())
def test_genuine_evidence(case: Path | None) -> None:
    if case is None:
        missing("vectors/snp")
    known, verdict = read(case), judge(case)
    assert verdict.reasons == ()
    assert verdict.genuine is True
    assert verdict.tee is Tee.SNP
    assert not verdict.simulated
    assert len(verdict.checks) == len(PROCEDURE)
    assert all(check.outcome is Outcome.OK for check in verdict.checks)
    report, platform = verdict.identity, verdict.platform
    assert isinstance(report, SnpReport)
    assert report.debug is known["debug"]
    assert platform is not None
    assert platform.chip_id == report.chip_id.hex()
    assert platform.product is not None
    assert f"-{platform.product.lower()}-" in case.name
    assert platform.csp_id is None
    assert platform.revocation_checked is False


@pytest.mark.parametrize("case", cases())
def test_the_certificates_windows_are_those_of_the_case(case: Path | None) -> None:
    if case is None:
        missing("vectors/snp")
    known = read(case)
    begin, end = known["valid_from"], known["valid_until"]
    assert judge(case).valid_until == end
    for at, reasons in (
        (begin, ()),
        (end, ()),
        (begin - 1, (Reason.CERTIFICATE_NOT_YET_VALID,)),
        (end + 1, (Reason.CERTIFICATE_EXPIRED,)),
    ):
        verdict = judge(case, shared_verifier(), at)
        assert verdict.reasons == reasons
        assert verdict.genuine is (not reasons)


@pytest.mark.parametrize("case", cases("NEG-"))
def test_negative_cases_are_refused_for_their_reason(case: Path | None) -> None:
    if case is None:
        missing("vectors/snp")
    verdict = judge(case)
    assert verdict.genuine is False
    assert verdict.reasons == REASONS_BY_CHECK[read(case)["expected"]["check"]]
    assert not verdict.retryable


@pytest.mark.parametrize("case", cases("REPORTONLY-"))
def test_without_certificates_nothing_is_decided(case: Path | None) -> None:
    if case is None:
        missing("vectors/snp")
    verdict = judge(case)
    assert verdict.genuine is None
    assert verdict.reasons == (Reason.COLLATERAL_MISSING,)
    assert verdict.retryable
    assert isinstance(verdict.identity, SnpReport)
    assert verdict.identity.debug is read(case)["debug"]


@pytest.mark.parametrize("case", cases() + cases("NEG-"))
def test_what_was_remembered_changes_no_verdict(case: Path | None) -> None:
    """The same verdict, check by check, from a verifier that has seen all the other cases."""
    if case is None:
        missing("vectors/snp")
    shared = shared_verifier()
    first, again = judge(case, shared), judge(case, shared)
    fresh = judge(case)
    assert first == again == fresh
    assert first.checks == again.checks == fresh.checks


@pytest.mark.parametrize("case", cases())
def test_one_door_for_every_tee(case: Path | None) -> None:
    if case is None:
        missing("vectors/snp")
    at, report = read(case)["time"], (case / "report.bin").read_bytes()
    assert Verifier(Roots.production()).verify(report, collateral(case), at) == judge(case)


@pytest.mark.parametrize("case", cases())
def test_every_signed_byte_is_under_the_signature(case: Path | None) -> None:
    """One bit of each of the 672 bytes and of the signature: never genuine, whatever else it breaks."""
    if case is None:
        missing("vectors/snp")
    good, endorsements, at = (case / "report.bin").read_bytes(), collateral(case), read(case)["time"]
    verifier = shared_verifier()
    for position in (*range(0, 0x2A0, 5), *range(0x2A0, 0x4A0, 37)):
        edited = bytearray(good)
        edited[position] ^= 1 << position % 8
        verdict = verifier.verify(bytes(edited), endorsements, at)
        assert verdict.genuine is False, position
        refused_before = verdict.reasons[0] in (Reason.MALFORMED_EVIDENCE, Reason.UNSUPPORTED_EVIDENCE)
        assert refused_before or Reason.REPORT_SIGNATURE in verdict.reasons, position


def test_a_report_of_one_product_is_not_endorsed_by_another() -> None:
    """A Milan report with the certificates of Genoa and the other way round, in every combination of parts."""
    if not CASES:
        missing("vectors/snp")
    milan = next(case for case in CASES if case.name.startswith("oak-milan"))
    genoa = next(case for case in CASES if case.name.startswith("oak-genoa"))
    ours, theirs = collateral(milan), collateral(genoa)
    assert ours is not None
    assert theirs is not None
    report, verifier = (milan / "report.bin").read_bytes(), shared_verifier()
    for parts, reason in (
        ((theirs.vek, ours.ask, ours.ark), Reason.CERTIFICATE_CHAIN),
        ((ours.vek, theirs.ask, theirs.ark), Reason.CERTIFICATE_CHAIN),
        ((ours.vek, ours.ask, theirs.ark), Reason.CERTIFICATE_CHAIN),
        ((ours.ask, ours.ask, ours.ark), Reason.CERTIFICATE_CHAIN),
        ((ours.ark, ours.ark, ours.ark), Reason.CERTIFICATE_CHAIN),
        ((theirs.vek, theirs.ask, theirs.ark), Reason.COLLATERAL_MISMATCH),
    ):
        verdict = verifier.verify(report, SnpCollateral(*parts), IN_2026)
        assert verdict.genuine is False
        assert verdict.reasons[0] is reason


def test_strangers_leave_no_trace() -> None:
    """A verifier that trusts other roots, or nobody, remembers none of these certificates."""
    if not CASES:
        missing("vectors/snp")
    verifier = SnpVerifier(Roots())
    for case in CASES:
        verdict = judge(case, verifier)
        assert verdict.genuine is not True
    assert len(verifier._veks) == len(verifier._authorities.keys) == 0
