"""Real reports of Intel's attestation service, 2018 to 2023: each gets the verdict that the service's words mean."""

import json
from pathlib import Path
from typing import Any

import pytest

from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.evidence import Kind, Verifier, classify
from intaglio.verify.ias import PROCEDURE
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Outcome, Verdict
from intaglio.wire.ias import SignedReport
from intaglio.wire.sgx import ReportBody
from tests.conftest import vector_cases

CASES = vector_cases("ias")
STATUS = {"OK": "UpToDate", "SW_HARDENING_NEEDED": "SWHardeningNeeded", "GROUP_OUT_OF_DATE": "OutOfDate"}


def read(case: Path) -> tuple[dict[str, Any], bytes]:
    report = next(path for path in case.iterdir() if path.name.startswith("report."))
    return json.loads((case / "case.json").read_bytes()), report.read_bytes()


def judge(data: bytes, at: int) -> Verdict:
    return Verifier(Roots.production()).verify(data, None, UnixTime(at))


PARAMETERS: list[Path | None] = [*CASES] or [None]


@pytest.fixture(params=PARAMETERS, ids=lambda case: case.name if case else "no vectors")
def case(request: pytest.FixtureRequest) -> Path:
    if request.param is None:
        pytest.skip("no IAS reports among the vectors on this machine")
    found: Path = request.param
    return found


def test_real_reports_are_genuine_as_of_their_time(case: Path) -> None:
    known, data = read(case)
    assert classify(data) == (Tee.SGX, Kind.IAS_REPORT)
    verdict = judge(data, known["time"])
    assert (verdict.genuine, verdict.reasons, verdict.simulated) == (True, (), False)
    assert [check.outcome for check in verdict.checks] == [Outcome.OK] * len(PROCEDURE)
    assert verdict.tcb_status is not None
    assert verdict.tcb_status.value == STATUS[known["expected"]["status"]]
    assert list(verdict.advisory_ids) == known["expected"]["advisory_ids"]
    assert verdict.advisories_stated is ((known["facts"]["version"] or 2) >= 4)
    body = verdict.identity
    assert isinstance(body, ReportBody)
    facts = known["facts"]
    assert (body.mr_enclave.hex(), body.mr_signer.hex()) == (facts["mr_enclave"], facts["mr_signer"])
    assert (body.report_data.hex(), body.debug) == (facts["report_data"], facts["debug"])


def test_a_changed_body_is_not_the_services(case: Path) -> None:
    known, data = read(case)
    signed = SignedReport.parse(data)
    at = signed.body.index(b"timestamp") + 20
    year = signed.body[at : at + 1]
    forged = data.replace(signed.body[at - 8 : at + 1], signed.body[at - 8 : at] + bytes((year[0] ^ 1,)))
    verdict = judge(forged, known["time"]) if forged != data else None
    if verdict is None:
        pytest.skip("the body is spelled otherwise in this file")
    assert verdict.genuine is False
    assert Reason.DOCUMENT_SIGNATURE in verdict.reasons


def test_a_body_without_its_headers_is_undecidable(case: Path) -> None:
    known, data = read(case)
    verdict = judge(SignedReport.parse(data).body, known["time"])
    assert (verdict.genuine, verdict.reasons) == (None, (Reason.DOCUMENT_UNSIGNED,))


def test_after_the_certificates_end_they_are_archives_only(case: Path) -> None:
    known, data = read(case)
    verdict = judge(data, 1_795_564_800)
    assert (verdict.genuine, verdict.reasons) == (False, (Reason.CERTIFICATE_EXPIRED,))
    assert judge(data, known["time"] - 3600).reasons == (Reason.EVIDENCE_FROM_FUTURE,)
