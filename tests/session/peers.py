"""Two enclaves that pin one data centre, and a quoting world between them: the setting in which tests break one thing.

Evidence here is [TEE, who, report data] and a MAC that only this module makes: a quote that a judge can read.
"""

import hmac
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import cast

from intaglio.reasons import Reason
from intaglio.session.peer import PeerInitiator, PeerResponder
from intaglio.session.peer_channel import PeerChannel
from intaglio.types import ReportData, Tee
from intaglio.verify.verdict import Checks, Decision, Identity, Verdict, evidence_hash, issue
from intaglio.wire import cbor
from intaglio.wire.identity import Pin, Suite
from intaglio.wire.peer import PeerOffer, PeerOfferBody
from tests.session.world import NOON, FixedDraw, pin_of

_KEY = b"the platform's"
MAC = 32


def evidence_of(tee: Tee, who: str, report_data: bytes) -> bytes:
    body = cbor.encode([tee.value, who, report_data])
    return body + hmac.digest(_KEY, body, "sha256")


def judged(tee: Tee, evidence: bytes, wanted: str, /, **changes: object) -> Verdict:
    """What `verify` and a policy that wants this enclave would say of such evidence; with changes."""
    body, mac = evidence[:-MAC], evidence[-MAC:]
    reasons: tuple[Reason, ...] = ()
    who, report_data = "", b""
    if not hmac.compare_digest(hmac.digest(_KEY, body, "sha256"), mac):
        reasons = (Reason.QUOTE_SIGNATURE,)
    else:
        kind, name, data = cbor.array(cbor.decode(body, "evidence"), "evidence", 3)
        who, report_data = cbor.tstr(name, "who"), cbor.bstr(data, "report_data")
        if kind != tee.value:
            reasons = (Reason.MALFORMED_EVIDENCE,)
        elif who != wanted:
            reasons = (Reason.WRONG_MEASUREMENT,)
    facts: dict[str, object] = {
        "tee": tee,
        "genuine": not reasons or reasons == (Reason.WRONG_MEASUREMENT,),
        "reasons": reasons,
        "checks": Checks(lambda: ()),
        "evidence_hash": evidence_hash(evidence),
        "at": NOON,
        "decision": Decision.REJECTED if reasons else Decision.ACCEPTED,
        "workload": None if reasons else who,
        "identity": cast(Identity, SimpleNamespace(report_data=report_data)),
    }
    return issue(**(facts | changes))  # type: ignore[arg-type]


@dataclass
class Peer:
    """One enclave, which wants to talk to `wants`. Its verdicts are changed by `changes`."""

    name: str
    wants: str
    pin: Pin
    tee: Tee = Tee.SGX
    changes: dict[str, object] = field(default_factory=dict)
    reported: list[ReportData] = field(default_factory=list)
    judged: list[bytes] = field(default_factory=list)

    def judge(self, tee: Tee, evidence: bytes) -> Verdict:
        self.judged.append(evidence)
        return judged(tee, evidence, self.wants, **self.changes)

    def quote(self, report_data: ReportData) -> bytes:
        self.reported.append(report_data)
        return evidence_of(self.tee, self.name, report_data)

    def responder(self, seed: str = "") -> PeerResponder:
        return PeerResponder(self.pin, self.tee, self.judge, self.quote, FixedDraw(f"{self.name} responds {seed}"))

    def initiator(self, seed: str = "", own: tuple[bytes, ...] = ()) -> PeerInitiator:
        draw = FixedDraw(f"{self.name} initiates {seed}")
        return PeerInitiator(self.pin, self.tee, self.judge, self.quote, draw, own_offers=own)


class Meeting:
    """South calls north. `meet` runs the whole handshake."""

    def __init__(self, suite: Suite = Suite.ED25519) -> None:
        self.suite = suite
        self.north = Peer("north", "south", pin_of(suite))
        self.south = Peer("south", "north", pin_of(suite), Tee.TDX)
        self.responder = self.north.responder()
        self.initiator = self.south.initiator()

    def meet(self) -> tuple[PeerChannel, PeerChannel]:
        """The channels of initiator and responder."""
        accept, theirs = self.responder.accept(self.initiator.hello(self.responder.offer()))
        return self.initiator.accept(accept), theirs


def edited(offer: bytes, **changes: object) -> bytes:
    """This offer with another body, under the evidence that it had."""
    found = PeerOffer.parse(offer)
    body = replace(PeerOfferBody.parse(found.body), **changes)  # type: ignore[arg-type]
    return replace(found, body=body.encode()).encode()


def flipped(data: bytes) -> bytes:
    """With its last bit changed."""
    return data[:-1] + bytes((data[-1] ^ 1,))
