"""Offer, hello and Accept between two enclaves on one CPU, proven by local reports."""

from dataclasses import dataclass, field, replace

import pytest

from intaglio.errors import LocalProtocolError
from intaglio.reasons import Reason
from intaglio.session.local_proof import LocalProof
from intaglio.session.peer import PeerInitiator, PeerResponder
from intaglio.session.peer_channel import PeerChannel
from intaglio.sim.cpu import Enclave, Processor
from intaglio.types import ReportData, Tee
from intaglio.verify.local_peer import PeerPolicy
from intaglio.verify.verdict import Decision
from intaglio.wire.identity import Suite
from intaglio.wire.peer import PeerOffer
from intaglio.wire.sgx import LocalReport, ReportBody
from intaglio.wire.target_info import TargetInfo
from tests.session.peers import flipped
from tests.session.test_local import launched, only
from tests.session.world import HUNDRED, NOON, FixedDraw, pin_of, refused

PIN = pin_of(Suite.ED25519)


@dataclass
class Pair:
    """A caller, and a neighbour that is called."""

    caller: Enclave = field(default_factory=lambda: launched("caller"))
    called: Enclave = field(default_factory=lambda: launched("called"))
    caller_wants: PeerPolicy | None = None
    called_wants: PeerPolicy | None = None
    addressed: TargetInfo | None = None

    def __post_init__(self) -> None:
        ours = LocalProof(self.caller, self.caller_wants or only(self.called), NOON)
        theirs = LocalProof(
            self.called, self.called_wants or only(self.caller), NOON, caller=self.addressed or self.caller.target_info
        )
        self.initiator = PeerInitiator(PIN, Tee.SGX, ours.judge, ours.quote, FixedDraw("caller"))
        self.responder = PeerResponder(PIN, Tee.SGX, theirs.judge, theirs.quote, FixedDraw("called"))

    def meet(self) -> tuple[PeerChannel, PeerChannel]:
        accept, theirs = self.responder.accept(self.initiator.hello(self.responder.offer()))
        return self.initiator.accept(accept), theirs


def test_neighbours_attest_each_other_and_talk() -> None:
    pair = Pair()
    ours, theirs = pair.meet()
    for channel, enclave in ((ours, pair.called), (theirs, pair.caller)):
        assert channel.peer.decision is Decision.ACCEPTED
        assert isinstance(channel.peer.identity, ReportBody)
        assert channel.peer.identity.mr_enclave == enclave.identity.mr_enclave
        assert channel.peer.checks[-1].name == "peer"
    assert theirs.open(ours.protect([HUNDRED])).records == (HUNDRED,)
    assert ours.open(theirs.protect([HUNDRED])).records == (HUNDRED,)


def test_an_enclave_that_is_not_wanted() -> None:
    other = only(launched("other"))
    with refused(Reason.WRONG_MEASUREMENT):
        Pair(caller_wants=other).meet()
    with refused(Reason.WRONG_MEASUREMENT):
        Pair(called_wants=other).meet()


def test_an_enclave_that_the_host_can_look_into() -> None:
    with refused(Reason.DEBUG_ENCLAVE):
        Pair(called=launched("called", debug=True)).meet()
    with refused(Reason.DEBUG_ENCLAVE):
        Pair(caller=launched("caller", debug=True)).meet()


def test_an_enclave_on_another_cpu() -> None:
    elsewhere = launched("called", Processor(bytes(32), bytes([9] * 16)))
    with refused(Reason.REPORT_MAC):
        Pair(called=elsewhere).meet()


def test_an_offer_that_was_made_for_somebody_else() -> None:
    with refused(Reason.REPORT_MAC):
        Pair(addressed=launched("other").target_info).meet()


def test_a_report_that_the_host_edited() -> None:
    pair = Pair()
    offer = PeerOffer.parse(pair.responder.offer())
    report = LocalReport.parse(offer.evidence)
    body = replace(report.body, mr_signer=pair.caller.identity.mr_signer, isv_svn=9)
    for edited in (flipped(offer.evidence), replace(report, body=body).encode()):
        with refused(Reason.REPORT_MAC):
            Pair().initiator.hello(replace(offer, evidence=edited).encode())


@pytest.mark.parametrize("evidence", [b"", b"quote", bytes(431), bytes(433)], ids=len)
def test_what_is_no_report(evidence: bytes) -> None:
    pair = Pair()
    offer = PeerOffer.parse(pair.responder.offer())
    with refused(Reason.MALFORMED_EVIDENCE):
        pair.initiator.hello(replace(offer, evidence=evidence).encode())


def test_a_body_without_a_mac_is_undecidable() -> None:
    pair = Pair()
    offer = PeerOffer.parse(pair.responder.offer())
    with refused(Reason.UNSUPPORTED_EVIDENCE):
        pair.initiator.hello(replace(offer, evidence=offer.evidence[:384]).encode())


def test_a_genuine_report_of_the_wanted_enclave_about_something_else() -> None:
    """As in Intel's exchange, or for another offer: genuine, for us, and not of this handshake."""
    pair = Pair()
    offer = PeerOffer.parse(pair.responder.offer())
    report = pair.called.report(pair.caller.target_info, ReportData(bytes(range(64))))
    with refused(Reason.REPORT_DATA):
        pair.initiator.hello(replace(offer, evidence=report).encode())


def test_a_report_said_to_be_of_another_tee() -> None:
    """The verdict is of an SGX report, whatever the message calls it."""
    pair = Pair()
    offer = PeerOffer.parse(pair.responder.offer())
    with refused(Reason.REPORT_KEY_MISSING):
        pair.initiator.hello(replace(offer, tee=Tee.TDX).encode())


def test_without_an_accepted_offer_there_is_nobody_to_report_to() -> None:
    pair = Pair()
    proof = LocalProof(pair.caller, only(launched("other")), NOON)
    report = pair.called.report(pair.caller.target_info, ReportData(bytes(64)))
    assert proof.judge(Tee.SGX, report).reasons == (Reason.WRONG_MEASUREMENT,)
    with pytest.raises(LocalProtocolError, match="nobody"):
        proof.quote(ReportData(bytes(64)))
