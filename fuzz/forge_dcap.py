"""Forged quotes of SGX and TDX, in each version of the quote and layout of the body, with their collateral."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz import seeds
from fuzz.forge import Forged, Forgery, moment, resigned
from intaglio.sim.draft import Draft, QuoteDraft
from intaglio.sim.quoting import raw_point, sign_raw
from intaglio.sim.td import TdDraft
from intaglio.verify.roots import Roots
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.sgx import ReportBody
from intaglio.wire.tdx import TdBody, TdReport

__all__ = ["dcap_forgeries"]

_QE_REPORT = 6
_PCK_CHAIN = 5
_BODY_TYPES = {384: 1, 584: 2, 648: 3, 885: 4}
"""Of a quote of version 5, by the body's size."""

AnyDraft = QuoteDraft[ReportBody] | QuoteDraft[TdReport]


@dataclass(frozen=True, slots=True)
class _Honest:
    """A draft, what it builds, and the bytes of its parts."""

    draft: AnyDraft
    collateral: DcapCollateral
    ders: Mapping[str, bytes]
    parts: Mapping[str, bytes]


@cache
def dcap_forgeries() -> Sequence[Forgery]:
    """`extension`: of the PCK certificate, which is then issued anew."""
    return [Forgery(honest.parts, partial(_build, honest)) for honest in map(_honest, _drafts())]


def _drafts() -> Iterator[AnyDraft]:
    for version in (3, 4, 5):
        draft = Draft.of(seeds.lab(), seeds.IMAGE, seeds.NOON)
        draft.header = replace(draft.header, version=version)
        yield draft
    yield TdDraft.of(seeds.lab(), seeds.NOON, version=4, body_type=TdBody.TDX_1_0)
    yield TdDraft.of(seeds.lab(), seeds.NOON, body_type=TdBody.TDX_1_5)
    yield TdDraft.of(seeds.lab(), seeds.NOON, body_type=TdBody.TDX_1_5_EXTENDED)


def _honest(draft: AnyDraft) -> _Honest:
    certificates = dict(zip(("leaf", "ca", "root"), draft.chain, strict=True))
    certificates["tcb_signer"] = draft.tcb_info.chain[0]
    lists = {"pck_crl": draft.pck_crl, "root_crl": draft.root_crl}
    parts = {
        "header": draft.header.encode(),
        "body": draft.body.encode(),
        "qe_report": draft.qe_report.encode(),
        "qe_auth_data": draft.qe_auth_data,
        "extension": draft.pck_plan.sgx or b"",
        "tcb_info": draft.tcb_info.encode(draft.tcb_info.content),
        "qe_identity": draft.qe_identity.encode(draft.qe_identity.content),
        **{name: certificate.tbs_certificate_bytes for name, certificate in certificates.items()},
        **{name: x509.load_der_x509_crl(data).tbs_certlist_bytes for name, data in lists.items()},
        "at": draft.at.to_bytes(8, "big"),
    }
    ders = {name: certificate.public_bytes(Encoding.DER) for name, certificate in certificates.items()} | lists
    return _Honest(draft, draft.build().collateral, ders, parts)


def _build(honest: _Honest, changed: Mapping[str, bytes]) -> Forged:
    draft, parts = honest.draft, dict(changed)
    authority = draft.lab.authority
    if parts["extension"] != honest.parts["extension"] and parts["leaf"] == honest.parts["leaf"]:
        again = replace(draft, chain=list(draft.chain))
        again.reissue(replace(draft.pck_plan, sgx=parts["extension"]))
        parts["leaf"] = again.chain[0].tbs_certificate_bytes
    root, issuer, signer = authority.root.key, draft.issuer.key, authority.tcb_signer.key
    keys = {"leaf": issuer, "ca": root, "root": root, "tcb_signer": root, "pck_crl": issuer, "root_crl": root}
    made = {
        name: resigned(honest.ders[name], honest.parts[name], parts[name], _signer(key)) for name, key in keys.items()
    }
    signers = _pem(made["tcb_signer"], made["root"])
    collateral = replace(
        honest.collateral,
        root_ca_crl=made["root_crl"],
        pck_crl=made["pck_crl"],
        tcb_info_issuer_chain=signers,
        tcb_info=parts["tcb_info"],
        tcb_info_signature=_raw(signer, parts["tcb_info"]),
        qe_identity_issuer_chain=signers,
        qe_identity=parts["qe_identity"],
        qe_identity_signature=_raw(signer, parts["qe_identity"]),
    )
    chain = _pem(made["leaf"], made["ca"], made["root"])
    return Forged(_quote(draft, parts, chain), collateral, _roots(), moment(parts["at"]))


@cache
def _roots() -> Roots:
    return Roots.lab(seeds.lab().root_der)


def _quote(draft: AnyDraft, parts: Mapping[str, bytes], chain: bytes) -> bytes:
    """Laid out as the version in the header says, so that an edit of anything else stays readable."""
    header, body = parts["header"], parts["body"]
    version = int.from_bytes(header[:2], "little")
    kind = _BODY_TYPES.get(len(body), 0)
    sized = kind.to_bytes(2, "little") + len(body).to_bytes(4, "little") + body
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


def _signer(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    return lambda part: key.sign(part, ec.ECDSA(SHA256()))


@lru_cache(maxsize=64)
def _raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return sign_raw(key, message)


def _pem(*ders: bytes) -> bytes:
    begin, end = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
    return b"".join(begin + base64.encodebytes(each) + end for each in ders)
