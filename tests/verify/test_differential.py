"""The same evidence before dcap-qvl 0.7, an independent verifier in Rust: one verdict, or a documented difference.

Over real evidence the two must agree in status and advisories, except for the differences named below. Over the
simulator's faults and over random edits the test is one-sided: whatever dcap-qvl refuses, Intaglio does not accept.
"""

import json
from pathlib import Path

import dcap_qvl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.sim.draft import Draft, Evidence
from intaglio.sim.faults import FAULTS, Fault
from intaglio.types import UnixTime
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Verdict
from intaglio.wire.collateral import DcapCollateral
from tests.conftest import missing
from tests.verify.conftest import judge as judge_lab
from tests.verify.test_vectors import cases, collateral, judge, read

VERSION_2 = "missing field `sgxtcbcomponents`"
"""TCB info of version 2 (PCS API v3) is not read by dcap-qvl; Intel's library and Intaglio read it."""

DEBUG = "Debug mode is enabled"
"""dcap-qvl refuses debug enclaves before it looks at the TCB; here that is the policy's business."""

OF_TDS = ("SEPT_VE_DISABLE is not enabled", "Invalid MR service TD")
"""dcap-qvl refuses TDs without SEPT_VE_DISABLE, or with a service TD; here that is the policy's business."""

REFUSED_AS_STATUS = ("TCB status is invalid: Revoked", "No matching TCB level found")
"""Where dcap-qvl has an error, Intaglio has the statuses Revoked and NotSupported, which no policy can allow."""


def theirs(
    quote: bytes, endorsements: DcapCollateral, at: int, root: bytes | None = None
) -> tuple[str, tuple[str, ...]]:
    """Status and advisories of dcap-qvl. Raises ValueError where it refuses."""
    fields = dcap_qvl.QuoteCollateralV3.from_json(endorsements.encode_json().decode())
    if root is None:
        report = dcap_qvl.verify(quote, fields, at)
    else:
        report = dcap_qvl.verify_with_root_ca(quote, fields, root, at)
    return report.status, tuple(report.advisory_ids)


def documented_difference(case: Path) -> str | None:
    """Which of the differences applies to a genuine case, from what is known of the case."""
    known = read(case)
    if known["collateral"]["tcb_info"]["version"] == 2:
        return VERSION_2
    if known["debug"]:
        return DEBUG
    if "error" in known["expected"]["reference"]["result"]:
        return REFUSED_AS_STATUS[1]
    identity = known["identity"]
    if "td_attr" in identity and not bytes.fromhex(identity["td_attr"])[3] & 0x10:
        return OF_TDS[0]
    return OF_TDS[1] if identity.get("mrservicetd", "").strip("0") else None


@pytest.mark.parametrize("case", cases())
def test_genuine_evidence(case: Path | None) -> None:
    if case is None:
        missing("vectors/sgx and vectors/tdx")
    quote, endorsements, verdict = (case / "quote.bin").read_bytes(), collateral(case), judge(case)
    assert endorsements is not None
    difference = documented_difference(case)
    assert verdict.genuine is True
    if difference is not None:
        with pytest.raises(ValueError, match=difference):
            theirs(quote, endorsements, read(case)["time"])
        return
    assert verdict.tcb_status is not None
    assert theirs(quote, endorsements, read(case)["time"]) == (verdict.tcb_status.value, verdict.advisory_ids)


@pytest.mark.parametrize("case", cases("NEG-"))
def test_negative_evidence(case: Path | None) -> None:
    if case is None:
        missing("vectors/sgx and vectors/tdx")
    endorsements = collateral(case)
    assert endorsements is not None
    assert judge(case).genuine is False
    with pytest.raises(ValueError, match="Verification failed"):
        theirs((case / "quote.bin").read_bytes(), endorsements, read(case)["time"])


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_what_they_refuse_we_do_not_accept(draft: Draft, fault: Fault) -> None:
    fault.apply(draft)
    evidence = draft.build()
    _compare(judge_lab(evidence), evidence)


def test_honest_simulated_evidence_passes_both(draft: Draft) -> None:
    evidence = draft.build()
    verdict = judge_lab(evidence)
    assert verdict.tcb_status is not None
    expected = (verdict.tcb_status.value, verdict.advisory_ids)
    assert theirs(evidence.quote, evidence.collateral, evidence.at, evidence.root) == expected


@pytest.fixture
def evidence(draft: Draft) -> Evidence:
    """Signed once for all examples of a test: signatures differ in length from one signing to the next."""
    return draft.build()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_edits(evidence: Evidence, data: st.DataObject) -> None:
    """One byte of the quote or of the collateral changed: nothing that they refuse is genuine here."""
    document = json.loads(evidence.collateral.encode_json())
    name = data.draw(st.sampled_from(["quote", *sorted(document)]))
    if name == "quote":
        quote = bytearray(evidence.quote)
        quote[data.draw(st.integers(0, len(quote) - 1))] ^= data.draw(st.integers(1, 255))
        edited = Evidence(bytes(quote), evidence.collateral, evidence.root, evidence.at)
    else:
        text = document[name]
        at = data.draw(st.integers(0, len(text) - 1))
        document[name] = text[:at] + data.draw(st.sampled_from('0123456789abcdefXYZ{}[],:"')) + text[at + 1 :]
        try:
            endorsements = DcapCollateral.parse_json(json.dumps(document).encode())
        except Malformed:
            return
        edited = Evidence(evidence.quote, endorsements, evidence.root, evidence.at)
    _compare(judge_lab(edited), edited)


def _compare(verdict: Verdict, evidence: Evidence) -> None:
    """Genuine here means accepted there, with the same status, except for the named differences."""
    if verdict.genuine is not True:
        return
    try:
        found = theirs(evidence.quote, evidence.collateral, evidence.at, evidence.root)
    except ValueError as error:
        identity = verdict.identity
        assert identity is not None
        assert (identity.debug and DEBUG in str(error)) or any(text in str(error) for text in REFUSED_AS_STATUS)
        return
    assert verdict.tcb_status is not None
    assert found == (verdict.tcb_status.value, verdict.advisory_ids)


def test_the_clock_is_an_argument(draft: Draft) -> None:
    evidence = draft.build()
    verifier = DcapVerifier(Roots.lab(evidence.root))
    for days in (-400, 400):
        at = UnixTime(evidence.at + days * 86400)
        assert verifier.verify(evidence.quote, evidence.collateral, at).genuine is False
        with pytest.raises(ValueError, match="Verification failed"):
            theirs(evidence.quote, evidence.collateral, at, evidence.root)
