"""The data centre's private keys in one sealed file: identity, operational, offers and session-wrapping.

An identity key may stay at home: `delegate` writes a keystore that holds an operational key, its certificate and the
public pin, which is all that a gateway needs. No key appears in a repr or a log. The file is replaced before a change
counts, so no offer is published whose key a crash could lose.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from intaglio.errors import LocalProtocolError, Malformed
from intaglio.gateway.config import Secret
from intaglio.gateway.sealed_file import KeyFile, Passphrase, SealedFile
from intaglio.session.kem import KemPrivateKey
from intaglio.session.results import Form, sign_token
from intaglio.session.signing import Signer, SigningKeys, certify
from intaglio.types import Draw, UnixTime
from intaglio.wire import cbor
from intaglio.wire.ear import Ear
from intaglio.wire.identity import KeyCertificate, KeyUse, Pin, Suite
from intaglio.wire.offer import Offer

__all__ = ["KeyFile", "Keystore", "OfferKey", "Passphrase", "WrappingKey"]

_LABEL = cbor.LABEL_PREFIX + "keystore"


@dataclass(frozen=True, slots=True)
class OfferKey:
    """An offer and the private key that opens hellos to it."""

    data: bytes
    key: KemPrivateKey = field(repr=False)

    @property
    def hash(self) -> bytes:
        return Offer.hash(self.data)


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """Wraps session state in the database. `number` rises; `made` is when it came into use."""

    number: int
    made: UnixTime
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class _Content:
    pin: Pin
    identity: SigningKeys | None
    operational: SigningKeys | None
    certificate: bytes | None
    highest_epoch: int
    offers: Mapping[bytes, OfferKey]
    wrapping: tuple[WrappingKey, ...]


class Keystore:
    """The open file. Safe for several threads; every change is on disk when its method returns."""

    def __init__(self, file: SealedFile, content: _Content, draw: Draw) -> None:
        self._file = file
        self._content = content
        self._draw = draw
        self._lock = Lock()

    @classmethod
    def create(cls, path: Path, audience: str, suite: Suite, secret: Secret, *, draw: Draw = os.urandom) -> Pin:
        """Draws an identity, writes the keystore and returns what enclaves pin. Raises FileExistsError."""
        identity = SigningKeys.generate(draw)
        pin = Pin(suite, audience, (identity.public,))
        Pin.parse(pin.encode())  # an audience too long is found now, not in an enclave
        SealedFile.create(path, secret, _encode(_Content(pin, identity, None, None, 0, {}, ())), draw)
        return pin

    @classmethod
    def open(cls, path: Path, secret: Secret, *, draw: Draw = os.urandom) -> "Keystore":
        """Raises `Misconfigured` (missing, readable by others, wrong secret) and `Malformed` (damaged)."""
        file, content = SealedFile.open(path, secret, draw)
        return cls(file, _parse(content), draw)

    def __repr__(self) -> str:
        return f"Keystore({str(self._file.path)!r})"

    @property
    def pin(self) -> Pin:
        """What the enclaves of this data centre pin: the `dc.pub` file."""
        return self._content.pin

    @property
    def signer(self) -> Signer:
        """Signs offers and Accepts: the operational key where there is one, else the identity."""
        content = self._content
        if content.operational is not None:
            return Signer(content.pin.minimum_suite, content.operational, content.certificate)
        return Signer(content.pin.minimum_suite, self._identity())

    def delegate(
        self, path: Path, secret: Secret, *, epoch_from: int, epoch_to: int, uses: KeyUse = KeyUse.OFFER | KeyUse.ACCEPT
    ) -> KeyCertificate:
        """Writes a keystore without the identity: an operational key certified for these offer epochs (Unix times, as
        `offers` numbers them). Raises FileExistsError, and `LocalProtocolError` if the identity is not in this one."""
        content = self._content
        keys = SigningKeys.generate(self._draw)
        body = KeyCertificate(keys.public, uses, content.pin.audience, epoch_from, epoch_to)
        KeyCertificate.parse(body.encode())
        certificate = certify(content.pin.minimum_suite, self._identity(), body)
        delegated = _Content(content.pin, None, keys, certificate, content.highest_epoch, {}, ())
        SealedFile.create(path, secret, _encode(delegated), self._draw)
        return body

    def sign_result(self, ear: Ear, form: Form) -> bytes:
        """An attestation result as a token of the identity. Raises `LocalProtocolError` where the keystore holds an
        operational key only: that one is certified for offers and Accepts, and a reader of tokens knows no other."""
        return sign_token(self._identity(), ear, form)

    # -- offers ------------------------------------------------------------------------------------------------------

    @property
    def highest_epoch(self) -> int:
        """Of every offer ever made with this keystore."""
        return self._content.highest_epoch

    @property
    def offers(self) -> Mapping[bytes, OfferKey]:
        """By offer hash."""
        return self._content.offers

    def add_offer(self, data: bytes, key: KemPrivateKey, epoch: int) -> None:
        """Keeps an offer's key; publish the offer after this."""
        with self._lock:
            offer = OfferKey(data, key)
            offers = {**self._content.offers, offer.hash: offer}
            self._save(offers=offers, highest_epoch=max(epoch, self._content.highest_epoch))

    def destroy_offers(self, hashes: frozenset[bytes]) -> None:
        """Forgets these private keys: what only they could open is closed for good."""
        with self._lock:
            kept = {name: offer for name, offer in self._content.offers.items() if name not in hashes}
            if len(kept) < len(self._content.offers):
                self._save(offers=kept)

    # -- session state -----------------------------------------------------------------------------------------------

    @property
    def wrapping(self) -> tuple[WrappingKey, ...]:
        """Ascending; the last one wraps, the others only unwrap."""
        return self._content.wrapping

    def wrapping_key(self, number: int) -> WrappingKey:
        """Raises `Malformed` for one that was destroyed: the row that names it can't be opened any more."""
        for key in self._content.wrapping:
            if key.number == number:
                return key
        raise Malformed("session.wrap_key", f"wrapping key {number} is not in the keystore")

    def add_wrapping_key(self, at: UnixTime) -> WrappingKey:
        with self._lock:
            number = 1 + max((key.number for key in self._content.wrapping), default=0)
            key = WrappingKey(number, at, self._draw(32))
            self._save(wrapping=(*self._content.wrapping, key))
            return key

    def destroy_wrapping_key(self, number: int) -> None:
        """Closes every old page and back-up that was wrapped under it. Raises `LocalProtocolError` for the newest."""
        with self._lock:
            if number == self._content.wrapping[-1].number:
                raise LocalProtocolError("the newest wrapping key is in use")
            self._save(wrapping=tuple(key for key in self._content.wrapping if key.number != number))

    def _identity(self) -> SigningKeys:
        if self._content.identity is None:
            raise LocalProtocolError("the identity key is not in this keystore")
        return self._content.identity

    def _save(
        self,
        *,
        offers: Mapping[bytes, OfferKey] | None = None,
        highest_epoch: int | None = None,
        wrapping: tuple[WrappingKey, ...] | None = None,
    ) -> None:
        """Writes first: memory changes only to what is on disk."""
        old = self._content
        changed = _Content(
            old.pin,
            old.identity,
            old.operational,
            old.certificate,
            old.highest_epoch if highest_epoch is None else highest_epoch,
            old.offers if offers is None else offers,
            old.wrapping if wrapping is None else wrapping,
        )
        self._file.save(_encode(changed))
        self._content = changed


def _encode(content: _Content) -> bytes:
    offers: list[cbor.Value] = [[offer.data, offer.key.private_bytes()] for offer in content.offers.values()]
    wrapping: list[cbor.Value] = [[key.number, key.made, key.key] for key in content.wrapping]
    return cbor.labelled(
        "keystore",
        content.pin.encode(),
        content.identity.private_bytes() if content.identity else None,
        content.operational.private_bytes() if content.operational else None,
        content.certificate,
        content.highest_epoch,
        offers,
        wrapping,
    )


def _parse(data: bytes) -> _Content:
    items = cbor.array(cbor.decode(data, "keystore"), "keystore", 8)
    label, pin, identity, operational, certificate, highest, offers, wrapping = items
    if label != _LABEL or not isinstance(offers, list) or not isinstance(wrapping, list):
        raise Malformed("keystore", "not a keystore of version 1")
    keys = [_offer_key(row) for row in offers]
    return _Content(
        Pin.parse(cbor.bstr(pin, "keystore.pin")),
        _signing(identity, "keystore.identity"),
        _signing(operational, "keystore.operational"),
        None if certificate is None else cbor.bstr(certificate, "keystore.certificate"),
        cbor.uint(highest, "keystore.highest_epoch"),
        {key.hash: key for key in keys},
        tuple(_wrapping_key(row) for row in wrapping),
    )


def _signing(value: object, field_name: str) -> SigningKeys | None:
    return None if value is None else SigningKeys(cbor.bstr(value, field_name, 64))


def _offer_key(row: object) -> OfferKey:
    data, key = cbor.array(row, "keystore.offer", 2)
    return OfferKey(cbor.bstr(data, "keystore.offer"), KemPrivateKey(cbor.bstr(key, "keystore.offer_key", 96)))


def _wrapping_key(row: object) -> WrappingKey:
    number, made, key = cbor.array(row, "keystore.wrapping", 3)
    return WrappingKey(
        cbor.uint(number, "keystore.wrapping"),
        UnixTime(cbor.uint(made, "keystore.wrapping")),
        cbor.bstr(key, "keystore.wrapping", 32),
    )
