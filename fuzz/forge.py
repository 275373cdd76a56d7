"""An attacker who holds every key of the lab: parts of honest evidence are edited, and whatever was signed is signed
again, so that no change is stopped by a signature.

The edits are a script of bytes, which says the same in every lab: first the version of the quote, then for each edit
a part, an operation, a place (two bytes), a count, and as many bytes.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from fuzz import seeds
from intaglio.sim.draft import Draft, Evidence
from intaglio.sim.quoting import raw_point, sign_raw
from intaglio.types import UnixTime
from intaglio.wire import der
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.cursor import Cursor

__all__ = ["PARTS", "encode_der", "forge", "script_of", "sign_part"]

MAX_EDITS = 8
_VERSIONS = (3, 4, 5)
_QE_REPORT = 6
_PCK_CHAIN = 5
_SGX_BODY = 1
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_BIT_STRING = 0x03

PARTS = (
    "header", "body", "qe_report", "qe_auth_data", "extension", "leaf", "ca", "root", "tcb_signer", "tcb_info",
    "qe_identity", "pck_crl", "root_crl", "at",
)  # fmt: skip
"""What can be edited. `extension`: of the PCK certificate, which is then issued anew; certificates and lists: the part
under their signature."""


@dataclass(frozen=True, slots=True)
class _Honest:
    """A draft, its collateral, and the bytes of its parts."""

    draft: Draft
    collateral: DcapCollateral
    parts: Mapping[str, bytes]


@cache
def _honest(version: int) -> _Honest:
    draft = Draft.of(seeds.lab(), seeds.IMAGE, seeds.NOON)
    draft.header = replace(draft.header, version=version)
    leaf, ca, root = draft.chain
    parts = {
        "header": draft.header.encode(),
        "body": draft.body.encode(),
        "qe_report": draft.qe_report.encode(),
        "qe_auth_data": draft.qe_auth_data,
        "extension": draft.pck_plan.sgx or b"",
        "leaf": leaf.tbs_certificate_bytes,
        "ca": ca.tbs_certificate_bytes,
        "root": root.tbs_certificate_bytes,
        "tcb_signer": draft.tcb_info.chain[0].tbs_certificate_bytes,
        "tcb_info": draft.tcb_info.encode(draft.tcb_info.content),
        "qe_identity": draft.qe_identity.encode(draft.qe_identity.content),
        "pck_crl": x509.load_der_x509_crl(draft.pck_crl).tbs_certlist_bytes,
        "root_crl": x509.load_der_x509_crl(draft.root_crl).tbs_certlist_bytes,
        "at": draft.at.to_bytes(8, "big"),
    }
    return _Honest(draft, draft.build().collateral, parts)


def script_of(version: int, *edits: tuple[str, str, int, bytes]) -> bytes:
    """The script of these edits: part, operation (`overwrite`, `insert`, `delete`, `repeat`), place, bytes."""
    script = bytes((_VERSIONS.index(version),))
    for part, operation, at, data in edits:
        script += bytes((PARTS.index(part), _OPERATIONS.index(operation))) + at.to_bytes(2, "big")
        script += bytes((len(data),)) + data
    return script


def forge(script: bytes) -> Evidence:
    """The evidence that the script makes. Raises ValueError where an edit makes a part too long to be encoded."""
    honest = _honest(_VERSIONS[(script[0] if script else 0) % len(_VERSIONS)])
    parts = dict(honest.parts)
    cur = Cursor(script[1:])
    for _ in range(MAX_EDITS):
        if cur.left < 5:
            break
        name = PARTS[cur.u8("part") % len(PARTS)]
        operation = _OPERATIONS[cur.u8("operation") % len(_OPERATIONS)]
        at = int.from_bytes(cur.take(2, "place"), "big") % (len(parts[name]) + 1)
        data = cur.take(min(cur.u8("count"), cur.left), "data")
        parts[name] = _edited(parts[name], operation, at, data)
    return _build(honest, parts)


_OPERATIONS = ("overwrite", "insert", "delete", "repeat")


def _edited(part: bytes, operation: str, at: int, data: bytes) -> bytes:
    end = at + len(data)
    match operation:
        case "insert":
            return part[:at] + data + part[at:]
        case "delete":
            return part[:at] + part[end:]
        case "repeat":
            return part[:end] + part[at:end] * 8 + part[end:]
    return part[:at] + data + part[end:]


def _build(honest: _Honest, parts: dict[str, bytes]) -> Evidence:
    draft = honest.draft
    authority = draft.lab.authority
    if parts["extension"] != honest.parts["extension"] and parts["leaf"] == honest.parts["leaf"]:
        again = replace(draft, chain=list(draft.chain))
        again.reissue(replace(draft.pck_plan, sgx=parts["extension"]))
        parts["leaf"] = again.chain[0].tbs_certificate_bytes
    root = sign_part(authority.root.key, parts["root"])
    chain = _pem(sign_part(draft.issuer.key, parts["leaf"]), sign_part(authority.root.key, parts["ca"]), root)
    signers = _pem(sign_part(authority.root.key, parts["tcb_signer"]), root)
    collateral = replace(
        honest.collateral,
        root_ca_crl=sign_part(authority.root.key, parts["root_crl"]),
        pck_crl=sign_part(draft.issuer.key, parts["pck_crl"]),
        tcb_info_issuer_chain=signers,
        tcb_info=parts["tcb_info"],
        tcb_info_signature=_raw(authority.tcb_signer.key, parts["tcb_info"]),
        qe_identity_issuer_chain=signers,
        qe_identity=parts["qe_identity"],
        qe_identity_signature=_raw(authority.tcb_signer.key, parts["qe_identity"]),
    )
    at = UnixTime(int.from_bytes(parts["at"][:8], "big"))
    return Evidence(_quote(draft, parts, chain), collateral, authority.root.der, at)


def _quote(draft: Draft, parts: Mapping[str, bytes], chain: bytes) -> bytes:
    """Laid out as the version in the header says, so that an edit of anything else stays readable."""
    header, body = parts["header"], parts["body"]
    version = int.from_bytes(header[:2], "little")
    sized = _SGX_BODY.to_bytes(2, "little") + len(body).to_bytes(4, "little") + body
    signed = header + (sized if version == 5 else body)
    key = raw_point(draft.attestation_key.public_key())
    report, auth_data = parts["qe_report"], parts["qe_auth_data"]
    if auth_data != draft.qe_auth_data:
        # The quoting enclave vouches for whatever it is now.
        report = report[:320] + sha256(key + auth_data).digest() + report[352:]
    part = report + _raw(draft.pck_key, report) + len(auth_data).to_bytes(2, "little") + auth_data
    part += _PCK_CHAIN.to_bytes(2, "little") + len(chain).to_bytes(4, "little") + chain
    if version in (4, 5):
        part = _QE_REPORT.to_bytes(2, "little") + len(part).to_bytes(4, "little") + part
    authentication = _raw(draft.attestation_key, signed) + key + part
    return signed + len(authentication).to_bytes(4, "little") + authentication


def sign_part(key: ec.EllipticCurvePrivateKey, part: bytes) -> bytes:
    """A certificate or list: the part under the signature, the algorithm, and the signature."""
    # What is remembered is the honest parts; long ones are made for one test.
    made = _der(key, part) if len(part) < 1 << 16 else key.sign(part, ec.ECDSA(SHA256()))
    signature = der.encode(_BIT_STRING, b"\0" + made)
    return encode_der(der.SEQUENCE, part + _ECDSA_SHA256 + signature)


def encode_der(tag: int, content: bytes) -> bytes:
    """One element of any size, which the project's own encoder does not make."""
    if len(content) <= 0xFFFF:
        return der.encode(tag, content)
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 + len(length))) + length + content


@lru_cache(maxsize=256)
def _der(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(SHA256()))


@lru_cache(maxsize=256)
def _raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return sign_raw(key, message)


def _pem(*ders: bytes) -> bytes:
    begin, end = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
    return b"".join(begin + base64.encodebytes(each) + end for each in ders)
