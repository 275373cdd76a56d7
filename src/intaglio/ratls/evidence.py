"""Where evidence lies in a certificate, and which report data bind it to the certificate's key.

    TCG DICE      2.23.133.5.4.9              CBOR 60000([quote, claims]); report data = SHA-256(claims) ‖ 0
    Gramine       1.2.840.113741.1337.6       quote; report data = SHA-256(SubjectPublicKeyInfo) ‖ 0
    Open Enclave  1.3.6.1.4.1.311.105.1       header and quote; SHA-256 of the key as PEM and a NUL, or (EGo) as DER

The first of these that a certificate has is the one that counts. A claims map without `pubkey-hash` binds no key and is
refused by that name; a reader that only compares the claim when it meets it would take a certificate of any key.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from intaglio.errors import Malformed, Rejected
from intaglio.ratls.certificate import EvidenceCertificate
from intaglio.reasons import Reason
from intaglio.types import Tee
from intaglio.wire import cbor
from intaglio.wire.cbor_items import ItemReader
from intaglio.wire.cursor import Cursor

__all__ = [
    "DICE",
    "GRAMINE",
    "GRAMINE_ON_THE_WIRE",
    "OPEN_ENCLAVE",
    "CarriedEvidence",
    "claims_hash",
    "encode_dice",
    "find_evidence",
]

DICE = bytes.fromhex("678105050409")
"""2.23.133.5.4.9"""
GRAMINE = bytes.fromhex("2a864886f84d8a3906")
"""1.2.840.113741.1337.6"""
GRAMINE_ON_THE_WIRE = bytes((0x06, 0x09)) + GRAMINE
"""What really travels: the identifier's own tag and length stand inside the identifier, which reads as
0.6.9.42.840.113741.1337.6."""
OPEN_ENCLAVE = bytes.fromhex("2b0601040182376901")
"""1.3.6.1.4.1.311.105.1"""

SHA256_ID, SHA384_ID, SHA512_ID = 1, 7, 8
_HASHES = {SHA256_ID: hashlib.sha256, SHA384_ID: hashlib.sha384, SHA512_ID: hashlib.sha512}
"""IANA's Named Information hash algorithms."""
_TAG_QUOTE = bytes.fromhex("d9ea60")
"""60000."""
PUBKEY_HASH, NONCE = "pubkey-hash", "nonce"
MAX_EVIDENCE = 32 * 1024
MAX_CLAIMS = 4096
_OE_HEADER, _OE_REMOTE = 1, 2


@dataclass(frozen=True, slots=True)
class CarriedEvidence:
    """`evidence` as a verifier takes it, and the hashes any one of which, padded with zeros, its report data must be.
    `claims`: by name, of the DICE form."""

    form: str
    evidence: bytes
    hashes: tuple[bytes, ...]
    claims: Mapping[str, bytes]

    def matches(self, report_data: bytes) -> bool:
        """Whether these are one of the hashes and zeros after it."""
        return any(report_data == each + bytes(64 - len(each)) for each in self.hashes)


def find_evidence(certificate: EvidenceCertificate) -> CarriedEvidence | None:
    """What the certificate carries, None for nothing that is known here. Raises `Malformed`, and `Rejected`
    (CLAIM_MISSING, KEY_BINDING) for DICE claims that don't bind the key."""
    found = certificate.extensions
    if DICE in found:
        return _dice(found[DICE].value, certificate.key_info)
    spki = hashlib.sha256(certificate.key_info).digest()
    for oid in (GRAMINE_ON_THE_WIRE, GRAMINE):
        if oid in found:
            return CarriedEvidence("Gramine's own", found[oid].value, (spki,), {})
    if OPEN_ENCLAVE in found:
        pem = hashlib.sha256(_pem(certificate.key_info) + b"\0").digest()
        return CarriedEvidence("Open Enclave", _open_enclave(found[OPEN_ENCLAVE].value), (spki, pem), {})
    return None


def claims_hash(tee: Tee, claims: bytes) -> bytes:
    """What the report data begin with: SHA-256, for a TD SHA-384."""
    return hashlib.sha384(claims).digest() if tee is Tee.TDX else hashlib.sha256(claims).digest()


def encode_dice(evidence: bytes, claims: bytes) -> bytes:
    return _TAG_QUOTE + cbor.encode([evidence, claims])


def encode_claims(key_info: bytes, nonce: bytes | None) -> bytes:
    claims: dict[cbor.Value, cbor.Value] = {PUBKEY_HASH: cbor.encode([SHA256_ID, hashlib.sha256(key_info).digest()])}
    if nonce is not None:
        claims[NONCE] = nonce
    return cbor.encode(claims)


def _dice(value: bytes, key_info: bytes) -> CarriedEvidence:
    if not value.startswith(_TAG_QUOTE):
        raise Malformed("tagged_evidence", "not CBOR tag 60000")
    reader = ItemReader(value[len(_TAG_QUOTE) :], "tagged_evidence")
    items = [reader.bstr("item", 1, MAX_EVIDENCE) for _ in reader.array("evidence and claims", 2, 2)]
    reader.end()
    evidence, claims = items
    known = _claims(claims)
    if PUBKEY_HASH not in known:
        raise Rejected(Reason.CLAIM_MISSING, expected=PUBKEY_HASH, found=sorted(known) or "no claims")
    _check_key(known[PUBKEY_HASH], key_info)
    hashes = tuple({claims_hash(tee, claims): None for tee in (Tee.SGX, Tee.TDX)})
    return CarriedEvidence("TCG DICE", evidence, hashes, known)


def _claims(data: bytes) -> Mapping[str, bytes]:
    """Claims nobody here knows are told and mean nothing: they are bound like the others and ask for nothing."""
    if len(data) > MAX_CLAIMS:
        raise Malformed("claims", f"at most {MAX_CLAIMS} bytes, got {len(data)}")
    reader = ItemReader(data, "claims")
    found: dict[str, bytes] = {}
    for _ in reader.map("claims", 0, 64):
        name = reader.tstr("name", 1, 64)
        if name in found:
            raise Malformed(f"claims.{name}", "occurs twice")
        found[name] = reader.bstr(name, 0, MAX_CLAIMS)
    reader.end()
    return found


def _check_key(claim: bytes, key_info: bytes) -> None:
    """Raises `Rejected(KEY_BINDING)` unless the claim is the hash of this whole key, in full length."""
    reader = ItemReader(claim, "claims.pubkey-hash")
    (algorithm, stated) = _hash_entry(reader)
    reader.end()
    if algorithm not in _HASHES:
        raise Rejected(Reason.KEY_BINDING, expected=f"a hash of {sorted(_HASHES)}", found=algorithm)
    expected = _HASHES[algorithm](key_info).digest()
    if stated != expected:
        raise Rejected(Reason.KEY_BINDING, expected=expected.hex(), found=stated.hex())


def _hash_entry(reader: ItemReader) -> tuple[int, bytes]:
    algorithm, stated = 0, b""
    for place in reader.array("hash entry", 2, 2):
        if place == 0:
            algorithm = reader.uint("algorithm", 0, 255)
        else:
            stated = reader.bstr("hash", 0, 64)
    return algorithm, stated


def _open_enclave(value: bytes) -> bytes:
    """The quote behind an `oe_report_header_t`."""
    cur = Cursor(value, "oe_report")
    version, kind = cur.u32("version"), cur.u32("report_type")
    if (version, kind) != (_OE_HEADER, _OE_REMOTE):
        raise Malformed("oe_report", f"need version 1 of a remote report, found {version} and type {kind}")
    quote = cur.take(cur.u64("report_size"), "report")
    cur.end()
    return quote


def _pem(key_info: bytes) -> bytes:
    text = base64.b64encode(key_info)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join((b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""))
