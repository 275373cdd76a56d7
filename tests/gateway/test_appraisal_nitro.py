"""Evidence that needs no collateral, in the gateway: nobody is asked, and what nobody can judge is not tried again."""

import pytest

from intaglio.collateral.http import Absent
from intaglio.gateway.appraisal import EvidenceAppraiser
from intaglio.reasons import Reason
from intaglio.sim.nitro import MODULE_ID, NitroAuthority, NitroDraft
from intaglio.types import ReportData, UnixTime
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision
from intaglio.wire.epid import EpidBody
from tests.gateway.world import NOON
from tests.session.world import refused
from tests.wire.test_ias import QUOTE

REPORT_DATA = ReportData(bytes(range(64)))
POLICY = f"""
[[accept]]
name = "meter"
tee = "nitro"
pcr0 = ["{"a0" * 48}"]
debug = false
platforms = ["{MODULE_ID}"]
max_session_age = "2h"
max_offer_age = "1h"
heartbeat = "none"
pin = "measured"
"""


@pytest.fixture(scope="module")
def aws() -> NitroAuthority:
    return NitroAuthority.create(NOON)


def appraiser(root: bytes) -> EvidenceAppraiser:
    return EvidenceAppraiser(Roots.lab(root), Policy.parse(POLICY), POLICY.encode(), (), bytes(32))


def test_a_nitro_enclave_is_accepted_without_collateral(aws: NitroAuthority) -> None:
    made = NitroDraft.of(aws, NOON, report_data=REPORT_DATA).build()
    desk = appraiser(made.root)
    appraisal = desk.appraise(made.document, REPORT_DATA, NOON)
    assert (appraisal.verdict.decision, appraisal.verdict.reasons) == (Decision.ACCEPTED, ())
    assert appraisal.collateral is None
    assert appraisal.terms is not None
    assert appraisal.terms.workload == "meter"
    again = desk.review(made.document, None, NOON)
    assert again.verdict.decision is Decision.ACCEPTED


def test_it_is_bound_to_its_session_and_to_its_time(aws: NitroAuthority) -> None:
    made = NitroDraft.of(aws, NOON, report_data=REPORT_DATA).build()
    desk = appraiser(made.root)
    other = desk.appraise(made.document, ReportData(bytes(64)), NOON)
    assert (other.verdict.decision, other.verdict.reasons) == (Decision.REJECTED, (Reason.REPORT_DATA,))
    late = desk.appraise(made.document, REPORT_DATA, UnixTime(NOON + 4 * 3600))
    assert (late.verdict.decision, late.verdict.reasons) == (Decision.REJECTED, (Reason.CERTIFICATE_EXPIRED,))


def test_an_epid_quote_is_no_reason_to_try_again(aws: NitroAuthority) -> None:
    quote: EpidBody = QUOTE
    evidence = quote.encode() + (16).to_bytes(4, "little") + bytes(16)
    root = NitroDraft.of(aws, NOON).root
    verdict = appraiser(root).appraise(evidence, REPORT_DATA, NOON).verdict
    assert (verdict.decision, verdict.retryable) == (Decision.UNDECIDABLE, False)


def test_a_statement_about_a_nitro_enclave_needs_no_collateral(aws: NitroAuthority) -> None:
    made = NitroDraft.of(aws, NOON, report_data=REPORT_DATA).build()
    assert appraiser(made.root).collateral_for(made.document, NOON) is None
    stranger = NitroDraft.of(NitroAuthority.create(NOON), NOON).build()
    with refused(Reason.ROOT_UNTRUSTED):
        appraiser(made.root).collateral_for(stranger.document, NOON)


def test_there_is_no_statement_about_an_epid_quote(aws: NitroAuthority) -> None:
    quote: EpidBody = QUOTE
    evidence = quote.encode() + (16).to_bytes(4, "little") + bytes(16)
    with pytest.raises(Absent, match="does not say which collateral"):
        appraiser(NitroDraft.of(aws, NOON).root).collateral_for(evidence, NOON)
