"""A data centre, its identity and one enclave, with fixed randomness: the setting in which tests break one thing."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import SimpleNamespace
from typing import cast

import pytest

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.session.data_centre import Accepted, HelloOpener, OpenHello
from intaglio.session.enclave import EnclaveChannel, EnclaveHandshake
from intaglio.session.offers import MadeOffer, OfferTerms, make_offer
from intaglio.session.signing import Signer, SigningKeys, certify
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.verify.verdict import Checks, Decision, Identity, Verdict, issue
from intaglio.wire.content import Record
from intaglio.wire.hello import Hello, Result
from intaglio.wire.identity import KeyCertificate, KeyUse, Pin, Suite

NOON = UnixTime(1_780_315_200)
AUDIENCE = "dc.example"
QUOTE = b"not a quote: the session does not look inside evidence " * 40
RESULT = Result(UnixTime(NOON + 86_400), NOON, "meter", {"tcb": "UpToDate"})
TERMS = OfferTerms(NOON, UnixTime(NOON + 3600), UnixTime(NOON + 7 * 86_400), 7, 0, bytes(range(32)), AUDIENCE)
HUNDRED = Record("get_size", "application/cbor", b"\x18\x64")


class FixedDraw:
    """A reproducible `Draw`: SHAKE-256 of a seed and a counter."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(f"{self._seed}/{self._count}".encode()).digest(size)


@lru_cache(maxsize=16)
def keys(name: str) -> SigningKeys:
    """The signing keys that belong to this name."""
    return SigningKeys.generate(FixedDraw(f"keys/{name}"))


def pin_of(suite: Suite, *names: str, audience: str = AUDIENCE) -> Pin:
    return Pin(suite, audience, tuple(keys(name).public for name in names or ("identity",)))


def certified(suite: Suite, name: str = "operational", by: str = "identity", **changes: object) -> Signer:
    """A signer with an operational key and a certificate for both uses and epochs 5 to 100, unless changed."""
    body = KeyCertificate(keys(name).public, KeyUse.OFFER | KeyUse.ACCEPT, AUDIENCE, 5, 100)
    body = replace(body, **changes)  # type: ignore[arg-type]
    return Signer(suite, keys(name), certify(suite, keys(by), body))


@dataclass
class World:
    """One enclave that pins one data centre. `meet` runs the whole handshake."""

    suite: Suite = Suite.ED25519
    operational: bool = False
    terms: OfferTerms = TERMS
    seed: str = "enclave"
    reported: list[ReportData] = field(default_factory=list)

    @property
    def signer(self) -> Signer:
        return certified(self.suite) if self.operational else Signer(self.suite, keys("identity"))

    @property
    def made(self) -> MadeOffer:
        return _offer(self.suite, self.operational, self.terms)

    def handshake(self, **epochs: int) -> EnclaveHandshake:
        return EnclaveHandshake(pin_of(self.suite), Tee.SGX, FixedDraw(self.seed), **epochs)

    def quote(self, report_data: ReportData) -> bytes:
        self.reported.append(report_data)
        return QUOTE

    def greet(self) -> tuple[EnclaveHandshake, bytes]:
        """An enclave that made its hello, and the hello."""
        handshake = self.handshake()
        handshake.offer(self.made.data)
        return handshake, handshake.hello(self.quote, {"lineage": b"\x01"})

    def open(self, hello: bytes) -> OpenHello:
        return HelloOpener(self.made.data, self.made.key).open(Hello.parse(hello))

    def accept(self, opened: OpenHello, signer: Signer | None = None) -> Accepted:
        return opened.accept(verdict_of(opened), RESULT, signer or self.signer, FixedDraw("accept"))

    def meet(self) -> "Session":
        handshake, hello = self.greet()
        accepted = self.accept(self.open(hello))
        return Session(handshake, accepted, handshake.accept(accepted.accept))


@dataclass
class Session:
    """An established session, both ends."""

    handshake: EnclaveHandshake
    accepted: Accepted
    enclave: EnclaveChannel


@lru_cache(maxsize=16)
def _offer(suite: Suite, operational: bool, terms: OfferTerms) -> MadeOffer:
    signer = certified(suite) if operational else Signer(suite, keys("identity"))
    return make_offer(terms, signer, FixedDraw("offer"))


def verdict_of(opened: OpenHello, **changes: object) -> Verdict:
    """What `verify` would say of this hello's evidence, had it been a quote; with changes."""
    identity = cast(Identity, SimpleNamespace(report_data=changes.pop("report_data", opened.report_data)))
    facts: dict[str, object] = {
        "tee": opened.tee,
        "genuine": True,
        "reasons": (),
        "checks": Checks(lambda: ()),
        "evidence_hash": opened.evidence_hash,
        "at": NOON,
        "decision": Decision.ACCEPTED,
        "identity": identity,
    }
    return issue(**(facts | changes))  # type: ignore[arg-type]


@contextmanager
def refused(reason: Reason) -> Iterator[None]:
    """The body must be rejected, for this reason and no other."""
    with pytest.raises(Rejected) as caught:
        yield
    assert caught.value.reason is reason


def value(number: int) -> Record:
    """A record that tells the test which frame it came in."""
    return Record("n", "application/cbor", number.to_bytes(8, "big"))
