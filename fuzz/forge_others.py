"""Forged SEV-SNP reports, Nitro documents, reports of Intel's attestation service, and local reports."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from fuzz import seeds
from fuzz.forge import Forged, Forgery, moment, resigned
from intaglio.sim.amd_pki import PSS, AmdAuthority
from intaglio.sim.ias import IasAuthority, IasDraft
from intaglio.sim.nitro import ES384, NitroAuthority, NitroDraft, indefinite
from intaglio.sim.snp import SnpDraft, SnpEvidence
from intaglio.types import UnixTime
from intaglio.verify.roots import Roots
from intaglio.wire.ias import SignedReport
from intaglio.wire.report_key import ReportKey
from intaglio.wire.snp import signed_part
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_fields import Product
from intaglio.wire.x509 import Certificate

__all__ = ["ias_forgeries", "local_forgeries", "nitro_forgeries", "snp_forgeries"]

_SNP_SIZE = 1184
_AT = seeds.NOON.to_bytes(8, "big")
_IAS_NOON = UnixTime(1_700_000_000)
"""In 2023: the service ended in 2025."""


@cache
def snp_forgeries() -> Sequence[Forgery]:
    """A VCEK of each product, and a VLEK."""
    authority = AmdAuthority.create(seeds.NOON, bits=2048)
    found = []
    for product, version, kind in (
        (Product.MILAN, 2, "vcek"),
        (Product.GENOA, 3, "vcek"),
        (Product.TURIN, 5, "vcek"),
        (Product.MILAN, 5, "vlek"),
    ):
        draft = SnpDraft.of(authority, seeds.NOON, product=product, version=version, kind=kind)  # type: ignore[arg-type]
        evidence = draft.build()
        parts = {"report": signed_part(evidence.report), "at": _AT}
        for name in ("vek", "ask", "ark"):
            certificate: bytes = getattr(evidence.collateral, name)
            parts[name] = Certificate.parse(certificate, serial_zero=True).signed
        parts["crl"] = x509.load_der_x509_crl(evidence.collateral.crl).tbs_certlist_bytes
        found.append(Forgery(parts, partial(_build_snp, draft, evidence, parts)))
    return found


def _build_snp(
    draft: SnpDraft, evidence: SnpEvidence, honest: Mapping[str, bytes], parts: Mapping[str, bytes]
) -> Forged:
    ark = draft.authority.ark(draft.product).key
    keys = {"vek": draft.issuer.key, "ask": ark, "ark": ark, "crl": ark}
    made = {
        name: resigned(getattr(evidence.collateral, name), honest[name], parts[name], _pss(key))
        for name, key in keys.items()
    }
    report = parts["report"]
    r, s = decode_dss_signature(draft.key.sign(report, ec.ECDSA(SHA384())))
    signature = r.to_bytes(72, "little") + s.to_bytes(72, "little")
    data = (report + signature).ljust(_SNP_SIZE, b"\0")
    return Forged(data, SnpCollateral(**made), Roots.lab(evidence.root), moment(parts["at"]))


def _pss(key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda part: key.sign(part, PSS, SHA384())


_PLACES = tuple(b"CERT%04d" % number for number in range(5))
"""Where certificates stand in the payload while it is edited: eight bytes, the root's first."""


@cache
def nitro_forgeries() -> Sequence[Forgery]:
    """Both forms of the payload's map."""
    found = []
    for encode in (cbor2.dumps, indefinite):
        draft = NitroDraft.of(NitroAuthority.create(seeds.NOON), seeds.NOON)
        ders = draft.certificates()
        *bundle, leaf = _PLACES
        payload = encode({**draft.fields, "certificate": leaf, "cabundle": bundle})
        parts = {"payload": payload, "protected": ES384, "at": _AT}
        for number, data in enumerate(ders):
            parts[f"certificate {number}"] = x509.load_der_x509_certificate(data).tbs_certificate_bytes
        found.append(Forgery(parts, partial(_build_nitro, draft, ders, parts)))
    return found


def _build_nitro(
    draft: NitroDraft, ders: Sequence[bytes], honest: Mapping[str, bytes], parts: Mapping[str, bytes]
) -> Forged:
    payload = parts["payload"]
    for number, place in enumerate(_PLACES):
        name, key = f"certificate {number}", draft.chain[max(0, number - 1)].key
        made = resigned(ders[number], honest[name], parts[name], _es384(key))
        payload = payload.replace(b"\x48" + place, cbor2.dumps(made))
    signed = cbor2.dumps(["Signature1", parts["protected"], b"", payload])
    r, s = decode_dss_signature(_es384(draft.chain[-1].key)(signed))
    signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    document = cbor2.dumps([parts["protected"], {}, payload, signature])
    return Forged(document, None, Roots.lab(draft.root), moment(parts["at"]))


def _es384(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    return lambda part: key.sign(part, ec.ECDSA(SHA384()))


@cache
def ias_forgeries() -> Sequence[Forgery]:
    draft = IasDraft.of(IasAuthority.create(_IAS_NOON, bits=2048), _IAS_NOON)
    evidence = draft.build()
    ders = SignedReport.parse(evidence.report).certificates
    parts = {"body": draft.signed_body(), "at": _IAS_NOON.to_bytes(8, "big")}
    for number, data in enumerate(ders):
        parts[f"certificate {number}"] = x509.load_der_x509_certificate(data).tbs_certificate_bytes
    return [Forgery(parts, partial(_build_ias, draft, ders, parts))]


def _build_ias(
    draft: IasDraft, ders: Sequence[bytes], honest: Mapping[str, bytes], parts: Mapping[str, bytes]
) -> Forged:
    root, pem = draft.chain[-1].key, ""
    for number, data in enumerate(ders):
        name = f"certificate {number}"
        made = resigned(data, honest[name], parts[name], _pkcs1(root))
        pem += f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(made).decode()}-----END CERTIFICATE-----\n"
    body = parts["body"]
    signature = _pkcs1(draft.chain[0].key)(body)
    texts = {"report": base64.b64encode(body).decode(), "signature": base64.b64encode(signature).decode()}
    kept = json.dumps({**texts, "certificates": pem}).encode()
    return Forged(kept, None, Roots.lab(draft.root), moment(parts["at"]))


def _pkcs1(key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda part: key.sign(part, PKCS1v15(), SHA256())


@cache
def local_forgeries() -> Sequence[Forgery]:
    parts = {"body": seeds.evidence()[0].quote[48:432], "at": _AT}
    return [Forgery(parts, _build_local)]


def _build_local(parts: Mapping[str, bytes]) -> Forged:
    key = ReportKey.parse_json(seeds.REPORT_KEY)
    mac = CMAC(AES128(key.report_key))
    mac.update(parts["body"])
    return Forged(parts["body"] + key.key_id + mac.finalize(), key, Roots.production(), moment(parts["at"]))
