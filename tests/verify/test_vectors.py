"""Real quotes with the collateral of their time: each gets the verdict that is known of it."""

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.dcap import PROCEDURE, TDX_PROCEDURE, DcapVerifier
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Outcome, TcbStatus, Verdict
from intaglio.wire.collateral import DcapCollateral
from tests.conftest import missing, vector_cases

CASES = vector_cases("sgx") + vector_cases("tdx")
TODAY = UnixTime(1_795_000_000)
"""For evidence that names no time; the certificates in it are valid then."""

REASON_BY_CHECK = {
    "collateral expiry": Reason.COLLATERAL_EXPIRED,
    "issueDate / thisUpdate in the future": Reason.COLLATERAL_NOT_YET_VALID,
    "QE report_data binding": Reason.QE_REPORT_DATA,
    "quote signature": Reason.QUOTE_SIGNATURE,
    "QE report signature by PCK": Reason.QE_REPORT_SIGNATURE,
    "CRL signature": Reason.CRL_SIGNATURE,
    "QE identity signature": Reason.QE_IDENTITY_SIGNATURE,
    "root CA CRL required": Reason.CRL_MISSING,
    "TCB info signature": Reason.TCB_INFO_SIGNATURE,
    "signature is over the exact body bytes (Intel QVL would re-compact and accept)": Reason.TCB_INFO_SIGNATURE,
    "header: vendor id (also signature)": Reason.QE_VENDOR,
}
"""What the vectors call a check, and the reason that must come first."""

ALSO = {
    "QE report_data binding": {Reason.QUOTE_SIGNATURE},
    "header: vendor id (also signature)": {Reason.QUOTE_SIGNATURE},
}
"""The flipped key signs nothing any more, and the header is under the quote's signature."""


ODD_CHAINS = {
    "QUOTEONLY-automata-lib-ct5-a15cfb": {Reason.CERTIFICATE_CHAIN},  # a character of the PEM text is missing
    "QUOTEONLY-intel-quote-ct5-aa2caf": {Reason.CERTIFICATE_CHAIN},  # DER where Intel's format has PEM
    "QUOTEONLY-google-quote_v5_sample-ct5-4fbd43": {Reason.ROOT_UNTRUSTED},  # the root of Intel's sandbox
}
"""Certification data that leads to no production platform: open without collateral, refused with it."""

SGX_FIELDS = {
    "mr_enclave": "mrenclave", "mr_signer": "mrsigner", "isv_prod_id": "isvprodid", "isv_svn": "isvsvn",
    "attributes": "attributes", "report_data": "report_data",
}  # fmt: skip
TDX_FIELDS = {
    "mr_td": "mrtd", "td_attributes": "td_attr", "report_data": "report_data", "tee_tcb_svn": "tee_tcb_svn",
    "tee_tcb_svn2": "tee_tcb_svn2", "mr_service_td": "mrservicetd",
}  # fmt: skip
"""What the verdict's JSON calls a field, and what the vectors do."""


def read(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "case.json").read_bytes())
    return found


def collateral(case: Path) -> DcapCollateral | None:
    path = case / "collateral.json"
    return DcapCollateral.parse_json(path.read_bytes()) if path.exists() else None


def judge(case: Path, verifier: DcapVerifier | None = None) -> Verdict:
    at = UnixTime(read(case)["time"] or TODAY)
    verifier = verifier or DcapVerifier(Roots.production())
    return verifier.verify((case / "quote.bin").read_bytes(), collateral(case), at)


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def cases(prefix: str = "") -> list[Any]:
    """Cases whose name begins with `prefix`; with none, those that are genuine."""
    if not CASES:
        return [pytest.param(None, id="no vectors")]
    genuine = not prefix
    found = [
        c for c in CASES if (c.name.startswith(prefix) if prefix else not c.name.startswith(("NEG-", "QUOTEONLY-")))
    ]
    assert found or not genuine
    return [pytest.param(case, id=case.name) for case in found]


@cache
def shared_verifier() -> DcapVerifier:
    return DcapVerifier(Roots.production())


@pytest.mark.parametrize("case", cases())
def test_genuine_evidence_has_its_known_status(case: Path | None) -> None:
    if case is None:
        missing("vectors/sgx and vectors/tdx")
    known = read(case)
    expected = known["expected"]["reference"]["result"]
    verdict = judge(case)
    assert verdict.reasons == ()
    assert verdict.genuine is True
    assert not verdict.simulated
    procedure = PROCEDURE if known["tee"] == "sgx" else TDX_PROCEDURE
    assert [check.number for check in verdict.checks] == [step.number for step in procedure]
    assert all(check.outcome is Outcome.OK for check in verdict.checks)
    if "error" in expected:
        assert expected["error"] == "TCB_NOT_SUPPORTED (no platform level)"
        assert verdict.tcb_status is TcbStatus.NOT_SUPPORTED
        return
    assert verdict.tcb_status is not None
    assert verdict.tcb_status.value == expected["status"]
    assert list(verdict.advisory_ids) == expected["advisory_ids"]
    assert verdict.tcb_date == moment(expected["tcb_date"])


@pytest.mark.parametrize("case", cases())
def test_launch_and_current_state_of_a_td_are_evaluated_apart(case: Path | None) -> None:
    if case is None:
        missing("vectors/sgx and vectors/tdx")
    known, verdict = read(case), judge(case)
    found = {each.of: each for each in verdict.tcb_evaluations}
    if known["tee"] == "sgx":
        assert not found
        return
    assert set(found) == ({"launch", "current"} if known["body_type"] == 3 else {"launch"})
    expected = known["expected"]["reference"]["result"]
    for of, each in found.items():
        if "error" in expected:
            assert each.platform is TcbStatus.NOT_SUPPORTED
            continue
        theirs = expected[of]
        detail = theirs["detail"]
        assert each.status.value == theirs["status"]
        assert list(each.advisory_ids) == theirs["advisoryIDs"]
        assert each.date == moment(theirs["tcbDate"])
        assert (each.platform.value, each.enclave.value) == (detail["platform"], detail["qe"])
        assert (each.module.value if each.module else None) == detail.get("module")


@pytest.mark.parametrize("case", cases())
def test_identity_and_platform_are_those_of_the_quote(case: Path | None) -> None:
    if case is None:
        missing("vectors/sgx and vectors/tdx")
    known, facts = read(case), judge(case).to_json()
    identity, platform = facts["identity"], facts["platform"]
    assert isinstance(identity, dict)
    assert isinstance(platform, dict)
    expected = known["identity"]
    names = SGX_FIELDS if known["tee"] == "sgx" else TDX_FIELDS
    assert {theirs: identity[ours] for ours, theirs in names.items() if theirs in expected} == expected
    assert identity["debug"] is known["debug"]
    assert platform["fmspc"] == known["fmspc"].lower()


@pytest.mark.parametrize("case", cases("NEG-"))
def test_negative_cases_are_refused_for_their_reason(case: Path | None) -> None:
    if case is None:
        missing("vectors/sgx and vectors/tdx")
    check = read(case)["expected"]["check"]
    verdict = judge(case)
    assert verdict.genuine is False
    assert verdict.reasons[0] is REASON_BY_CHECK[check]
    assert set(verdict.reasons[1:]) == ALSO.get(check, set())
    assert verdict.tcb_status is None


@pytest.mark.parametrize("case", cases("QUOTEONLY-"))
def test_without_collateral_nothing_is_decided(case: Path | None) -> None:
    if case is None:
        missing("vectors/sgx and vectors/tdx")
    verdict = judge(case)
    assert verdict.genuine is None
    assert verdict.tcb_status is None
    also = {Reason.PCK_CERTIFICATE_MISSING} if read(case)["cert_data_type"] != 5 else ODD_CHAINS.get(case.name, set())
    assert set(verdict.reasons) == {Reason.COLLATERAL_MISSING, *also}
    assert verdict.retryable == (not also)


@pytest.mark.parametrize("case", cases("QUOTEONLY-"))
def test_a_bad_signature_is_refused_even_without_collateral(case: Path | None) -> None:
    if case is None:
        missing("vectors/sgx and vectors/tdx")
    quote = bytearray((case / "quote.bin").read_bytes())
    quote[54 + 64] ^= 1
    verdict = DcapVerifier(Roots.production()).verify(bytes(quote), None, TODAY)
    assert verdict.genuine is False
    assert Reason.QUOTE_SIGNATURE in verdict.reasons
    assert not verdict.retryable


@pytest.mark.parametrize("case", cases() + cases("NEG-"))
def test_what_was_remembered_changes_no_verdict(case: Path | None) -> None:
    """The same verdict, check by check, from a verifier that has seen all the other cases."""
    if case is None:
        missing("vectors/sgx and vectors/tdx")
    shared = shared_verifier()
    first, again = judge(case, shared), judge(case, shared)
    fresh = judge(case)
    assert first == again == fresh
    assert first.checks == again.checks == fresh.checks


def test_collateral_expires_while_it_is_remembered() -> None:
    if not CASES:
        missing("vectors/sgx and vectors/tdx")
    case = next(case for case in CASES if case.name.startswith("teepot-quote-"))
    at, verifier = read(case)["time"], DcapVerifier(Roots.production())
    quote, known = (case / "quote.bin").read_bytes(), collateral(case)
    verdict = verifier.verify(quote, known, at)
    assert verdict.genuine is True
    assert verdict.valid_until is not None
    assert verifier.verify(quote, known, verdict.valid_until).genuine is True
    late = verifier.verify(quote, known, UnixTime(verdict.valid_until + 1))
    assert late.genuine is False
    assert late.reasons == (Reason.COLLATERAL_EXPIRED,)
    assert late.retryable
