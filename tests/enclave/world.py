"""An attester that quotes whatever it is given, and a data centre that believes it: enough to run the SDK for real."""

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from types import SimpleNamespace

from intaglio.attest.base import SealPolicy
from intaglio.session.channel import Opened, UpReceiver
from intaglio.session.data_centre import Accepted, HelloOpener, OpenHello
from intaglio.session.offers import MadeOffer, OfferTerms, make_offer
from intaglio.session.signing import Signer, SigningKeys
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.verify.verdict import Checks, Decision, issue
from intaglio.wire import cbor
from intaglio.wire.content import Record
from intaglio.wire.frame import parse_frame, split_frames
from intaglio.wire.hello import Hello, Result
from intaglio.wire.identity import Pin, Suite

NOW = UnixTime(1_800_000_000)


@dataclass
class FakeAttester:
    """`quoted` holds every report data that evidence was asked for."""

    files: dict[str, bytes]
    cpu: bytes = b"one cpu"
    mr_enclave: bytes = b"enclave"
    mr_signer: bytes = b"signer"
    isv_svn: int = 3
    config_id: bytes = bytes(64)
    quoted: list[bytes] = field(default_factory=list)

    @property
    def tee(self) -> Tee:
        return Tee.SGX

    def evidence(self, report_data: ReportData) -> bytes:
        self.quoted.append(report_data)
        return b"quote" + report_data

    def seal_key(self, policy: SealPolicy, key_id: bytes, isv_svn: int) -> bytes:
        assert isv_svn <= self.isv_svn, "no CPU makes keys of a newer version"
        owner = self.mr_enclave if policy is SealPolicy.MRENCLAVE else self.mr_signer
        return hmac.digest(self.cpu, bytes([policy, *isv_svn.to_bytes(2, "big")]) + owner + key_id, hashlib.sha256)[:16]

    def trusted_file(self, name: str) -> bytes:
        try:
            return self.files[name]
        except KeyError:
            raise FileNotFoundError(name) from None


class DataCentreSide:
    """Offers, Accepts and the receiver of what comes up."""

    def __init__(self) -> None:
        self.identity = SigningKeys.generate(os.urandom)
        self.pin = Pin(Suite.ED25519, "dc.example", (self.identity.public,))
        self.signer = Signer(Suite.ED25519, self.identity)
        self.offers: dict[bytes, MadeOffer] = {}
        self.opened: list[OpenHello] = []
        self.receivers: dict[bytes, UpReceiver] = {}
        self.accepted: dict[bytes, Accepted] = {}
        self.keeps_states = True

    def offer(self, epoch: int = 1, epoch0_limit: int | None = 1000) -> bytes:
        terms = OfferTerms(NOW, UnixTime(NOW + 60), UnixTime(NOW + 90), epoch, 0, bytes(32), "dc.example", epoch0_limit)
        made = make_offer(terms, self.signer, os.urandom)
        self.offers[made.hash] = made
        return made.data

    def accept(self, data: bytes, life: int = 3600) -> bytes:
        hello = Hello.parse(data)
        offer = self.offers[hello.offer_hash]
        opened = HelloOpener(offer.data, offer.key).open(hello)
        verdict = issue(
            tee=Tee.SGX,
            genuine=True,
            reasons=(),
            checks=Checks(lambda: ()),
            evidence_hash=opened.evidence_hash,
            at=NOW,
            decision=Decision.ACCEPTED,
            identity=SimpleNamespace(report_data=opened.report_data),
        )
        attestation: dict[cbor.Value, cbor.Value] = (
            {"state": opened.claims["state"]} if self.keeps_states and "state" in opened.claims else {}
        )
        result = Result(UnixTime(NOW + life), NOW, "meter", attestation)
        accepted = opened.accept(verdict, result, self.signer, os.urandom)
        self.opened.append(opened)
        self.accepted[hello.session] = accepted
        self.receivers[hello.session] = accepted.receiver
        return accepted.accept

    def records(self, message: bytes) -> list[Record]:
        """Opens a message's frames and gives their records, in order."""
        records: list[Record] = []
        for data in split_frames(message):
            records += self.take(data).records
        return records

    def take(self, data: bytes) -> Opened:
        """Opens one frame."""
        receiver = self.receivers[parse_frame(data).session]
        opened = receiver.open(data)
        receiver.commit(opened, NOW)
        return opened
