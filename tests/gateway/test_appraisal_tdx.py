"""TDX evidence in the gateway: SGX and TDX of one machine share certificates, but not collateral."""

import pytest

from intaglio.gateway.appraisal import EvidenceAppraiser
from intaglio.reasons import Reason
from intaglio.sim.draft import Draft
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.td import TdDraft
from intaglio.sim.world import Lab
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest
from tests.verify.policies import SGX, TDX, table

NOON = UnixTime(1_780_315_200)
IMAGE = Image((TrustedFile("meter.py", b"size = 100\n"),))
DATA = ReportData(bytes(range(64)))


class Service:
    """The lab's collateral, and what was asked for."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.asked: list[Tee] = []

    def get(self, request: CollateralRequest, at: UnixTime) -> DcapCollateral:
        assert isinstance(request, DcapRequest)
        self.asked.append(request.tee)
        return DcapCollateral.parse_json(self._lab.collateral("alpha", at, tee=request.tee))


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab.create(None, NOON)


def appraiser(lab: Lab, service: Service, roots: Roots) -> EvidenceAppraiser:
    td = TdDraft.of(lab, NOON).body
    measured = {name: f'["{getattr(td, name).hex()}"]' for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2")}
    policy = table(TDX, **measured) + table(SGX, name='"enclave"', mr_enclave=f'["{IMAGE.mr_enclave().hex()}"]')
    return EvidenceAppraiser(roots, Policy.parse(policy), policy.encode(), (service,), bytes(32))


def test_one_machine_two_tees(lab: Lab) -> None:
    service = Service(lab)
    desk = appraiser(lab, service, Roots.lab(lab.root_der))
    td, enclave = TdDraft.of(lab, NOON).build().quote, Draft.of(lab, IMAGE, NOON).build().quote
    for quote, workload in ((enclave, "enclave"), (td, "meter"), (enclave, "enclave"), (td, "meter")):
        verdict = desk.appraise(quote, DATA, NOON).verdict
        assert (verdict.decision, verdict.workload, verdict.reasons) == (Decision.ACCEPTED, workload, ())
    assert service.asked == [Tee.SGX, Tee.TDX, Tee.SGX, Tee.TDX]


def test_strangers_make_nobody_ask_and_are_sent_away(lab: Lab) -> None:
    """Neither a root that is not pinned nor certificates that can't be read: no collateral would help."""
    service = Service(lab)
    desk = appraiser(lab, service, Roots.production())
    draft = TdDraft.of(lab, NOON)
    foreign = desk.appraise(draft.build().quote, DATA, NOON).verdict
    assert Reason.ROOT_UNTRUSTED in foreign.reasons
    unreadable = draft.build().quote.replace(b"BEGIN CERT", b"BEGIN XXXX", 1)
    spoilt = desk.appraise(unreadable, DATA, NOON).verdict
    assert Reason.CERTIFICATE_CHAIN in spoilt.reasons
    for verdict in (foreign, spoilt):
        assert verdict.decision is not Decision.ACCEPTED
        assert not verdict.retryable
    assert service.asked == []
