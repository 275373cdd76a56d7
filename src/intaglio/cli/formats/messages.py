"""Intaglio's own messages and files: offer, hello, Accept, frames, pin, keystore, bundle of collateral; and the
vendor's SIGSTRUCT.

What is sealed stays sealed: these readers hold no key and show what any courier could see.
"""

from collections.abc import Sequence

from intaglio.cli.formats.facts import Facts, Format, When
from intaglio.collateral.freshness import freshness
from intaglio.errors import Malformed
from intaglio.session.offers import read_offer
from intaglio.session.signing import key_id
from intaglio.wire import cbor, cose
from intaglio.wire.collateral_bundle import Bundle, Entry, SignedBundle
from intaglio.wire.frame import parse_frame, split_frames
from intaglio.wire.hello import Accept, Hello
from intaglio.wire.identity import KeyCertificate, Pin, PublicKeys
from intaglio.wire.offer import Offer
from intaglio.wire.sigstruct import Sigstruct

__all__ = ["MESSAGE_FORMATS", "PIN_TEXT", "offer_facts"]

_PIN_BEGIN = b"-----BEGIN INTAGLIO DATA CENTRE-----"
_FRAME_BEGIN = bytes.fromhex("d0835824a301030455")
_SIGSTRUCT_BEGIN = bytes.fromhex("06000000e10000000000010000000000")


def offer_facts(data: bytes) -> Facts:
    """An offer's content, unverified."""
    offer, body = Offer.parse(data), read_offer(data)
    return {
        "hash": Offer.hash(data),
        "suite": _suite(int(body.suite)),
        "audience": body.audience,
        "not_before": When(body.not_before),
        "not_after": When(body.not_after),
        "delete_after": When(body.delete_after),
        "epoch": body.epoch,
        "minimum_epoch": body.minimum_epoch,
        "epoch0_limit": "unlimited" if body.epoch0_limit is None else body.epoch0_limit,
        "policy_hash": body.policy_hash,
        "nonce": body.nonce,
        "kem_key_id": key_id(body.kem_key),
        "signed_by": _signers(offer.signed, "offer"),
        "key_certificate": None if offer.certificate is None else _key_certificate(offer.certificate),
    }


def read_hello(data: bytes) -> Facts:
    hello = Hello.parse(data)
    return {
        "suite": _suite(int(hello.suite)),
        "session": hello.session,
        "offer_hash": hello.offer_hash,
        "reply_key_id": key_id(hello.reply_key),
        "signing_key": hello.signing_key,
        "sealed_claims": f"{len(hello.sealed_claims)} bytes",
        "sealed_evidence": f"{len(hello.sealed_evidence)} bytes: only the data centre that made the offer can open it",
    }


def read_accept(data: bytes) -> Facts:
    accept = Accept.parse(data)
    return {
        "session": accept.session,
        "sealed_result": f"{len(accept.sealed_result)} bytes",
        "signed_by": _signers(accept.signature, "accept"),
        "key_certificate": None if accept.certificate is None else _key_certificate(accept.certificate),
    }


def read_frames(data: bytes) -> Facts:
    frames = [parse_frame(each) for each in split_frames(data)]
    return {
        "frames": [
            {
                "session": frame.session,
                "direction": frame.direction.name.lower(),
                "epoch": frame.epoch,
                "sequence": frame.sequence,
                "size": len(frame.data),
            }
            for frame in frames
        ],
        "note": "contents are encrypted to the data centre",
    }


def read_bundle(data: bytes) -> Facts:
    bundle = SignedBundle.parse(data)
    content = Bundle.parse(cose.Signed.parse(bundle.signed, "bundle.signed").payload or b"")
    return {
        "audience": content.audience,
        "created": When(content.created),
        "sequence": content.sequence,
        "signed_by": _signers(bundle.signed, "bundle.signed"),
        "key_certificate": None if bundle.certificate is None else _key_certificate(bundle.certificate),
        "entries": [_entry(entry) for entry in content.entries],
        "note": "the signature was not checked: intaglio collateral import does that",
    }


def _entry(entry: Entry) -> Facts:
    """Where its dates can't be read, the rest is shown all the same: an import names the problem."""
    facts = {"request": str(entry.request), "source": entry.source, "fetched_at": When(entry.fetched_at)}
    try:
        return {**facts, "next_update": When(freshness(entry.collateral).next_update)}
    except Malformed as error:
        return {**facts, "problem": str(error)}


def read_pin_text(data: bytes) -> Facts:
    try:
        return _pin(Pin.from_text(data.decode("ascii")))
    except UnicodeDecodeError as error:
        raise Malformed("dc.pub", "not ASCII text") from error


def read_sealed_file(data: bytes) -> Facts:
    _, header, ciphertext = cbor.array(cbor.decode(data, "keystore"), "keystore", 3)
    head = cbor.array(cbor.decode(cbor.bstr(header, "keystore.header"), "keystore.header"), "keystore.header", 3)
    match head[0]:
        case ["argon2id", bytes(), int(iterations), int(lanes), int(memory)]:
            opened_with = f"a passphrase (Argon2id: {iterations} iterations, {lanes} lanes, {memory} KiB)"
        case ["key-file"]:
            opened_with = "a key file"
        case _:
            raise Malformed("keystore.kdf", "unknown")
    return {"opened_with": opened_with, "sealed": f"{len(cbor.bstr(ciphertext, 'keystore.ciphertext'))} bytes"}


def read_sigstruct(data: bytes) -> Facts:
    signed = Sigstruct.parse(data)
    return {
        "enclave_hash": signed.enclave_hash,
        "mr_signer": signed.mr_signer,
        "date": f"{signed.date:08d}",
        "isv_prod_id": signed.isv_prod_id,
        "isv_svn": signed.isv_svn,
        "isv_family_id": signed.isv_family_id,
        "isv_ext_prod_id": signed.isv_ext_prod_id,
        "attributes": signed.attributes.encode(),
        "attributes_mask": signed.attributes_mask.encode(),
        "misc_select": signed.misc_select,
        "misc_mask": signed.misc_mask,
        "debug_allowed": not signed.attributes_mask.flags & 2,
        "exponent": signed.exponent,
        "note": "the signature was not checked",
    }


def _pin(pin: Pin) -> Facts:
    return {
        "audience": pin.audience,
        "minimum_suite": _suite(int(pin.minimum_suite)),
        "identities": [_keys(keys) for keys in pin.identities],
        "pin_hash": pin.hash,
    }


def _keys(keys: PublicKeys) -> Facts:
    facts: dict[str, object] = {"ed25519": keys.ed25519, "key_id": key_id(keys.ed25519)}
    if keys.ml_dsa_65 is not None:
        facts["ml_dsa_65_key_id"] = key_id(keys.ml_dsa_65)
    return facts


def _key_certificate(data: bytes) -> Facts:
    certificate = KeyCertificate.parse(cose.Signed.parse(data, "certificate").payload or b"")
    return {
        "keys": _keys(certificate.keys),
        "uses": [use.name.lower() for use in certificate.uses if use.name],
        "audience": certificate.audience,
        "epochs": f"{certificate.epoch_from} to {certificate.epoch_to}",
        "signed_by": _signers(data, "certificate"),
    }


def _signers(data: bytes, name: str) -> Sequence[str]:
    names = {cose.ALG_EDDSA: "Ed25519", cose.ALG_ML_DSA_65: "ML-DSA-65"}
    signatures = cose.Signed.parse(data, name).signatures
    return [f"{names.get(each.alg, str(each.alg))} key {each.kid.hex()}" for each in signatures]


def _suite(number: int) -> str:
    return f"{number} ({'Ed25519' if number == 1 else 'Ed25519 and ML-DSA-65'})"


def _labelled(label: str) -> "_Label":
    return _Label(cbor.LABEL_PREFIX + label)


class _Label:
    """Whether bytes are a CBOR array that begins with this text."""

    def __init__(self, text: str) -> None:
        self._head = cbor.encode(text)

    def __call__(self, data: bytes) -> bool:
        return data[:1] in b"\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c" and data.startswith(self._head, 1)


PIN_TEXT = Format("data centre's pin", lambda data: data.startswith(_PIN_BEGIN), read_pin_text)
MESSAGE_FORMATS = (
    Format("offer", _labelled("offer"), offer_facts),
    Format("hello", _labelled("hello"), read_hello),
    Format("Accept", _labelled("accept"), read_accept),
    Format("data centre's pin (CBOR)", _labelled("identity"), lambda data: _pin(Pin.parse(data))),
    Format("collateral bundle", _labelled("collateral-bundle"), read_bundle),
    Format("keystore", _labelled("sealed-file"), read_sealed_file),
    Format("frames", lambda data: data.startswith(_FRAME_BEGIN), read_frames),
    Format("SIGSTRUCT", lambda data: data.startswith(_SIGSTRUCT_BEGIN), read_sigstruct),
)
