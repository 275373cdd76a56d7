"""Certificates and revocation lists: what they say, and what Intel's and AMD's say of a platform."""

from hashlib import sha256

from intaglio.cli.formats.facts import Facts, When
from intaglio.errors import Malformed
from intaglio.wire.pck import PckExtension
from intaglio.wire.vcek import AMD_ARC, VekExtensions
from intaglio.wire.x509 import Certificate, RevocationList, read_pem_chain

__all__ = ["certificate_facts", "crl_facts", "optional_crl", "read_der", "read_pem"]


def read_pem(data: bytes) -> Facts:
    return {
        "certificates": [certificate_facts(Certificate.parse(der, serial_zero=True)) for der in read_pem_chain(data)]
    }


def read_der(data: bytes) -> Facts:
    """A certificate or a revocation list."""
    try:
        return {"certificates": [certificate_facts(Certificate.parse(data, serial_zero=True))]}
    except Malformed:
        return crl_facts(data)


def certificate_facts(certificate: Certificate) -> Facts:
    facts: dict[str, object] = {
        "subject": certificate.common_name,
        "serial": f"{certificate.serial:x}",
        "not_before": When(certificate.not_before),
        "not_after": When(certificate.not_after),
        "authority": certificate.is_ca,
        "public_key": certificate.public_key or "not on P-256",
        "public_key_sha256": sha256(certificate.key_info).digest(),
    }
    if certificate.sgx_extension is not None:
        facts["platform"] = _intel(PckExtension.parse(certificate.sgx_extension))
    elif any(oid.startswith(AMD_ARC) for oid in certificate.extensions):
        facts["platform"] = _amd(VekExtensions.parse(certificate.extensions))
    return facts


def _intel(extension: PckExtension) -> Facts:
    return {
        "fmspc": extension.fmspc,
        "ppid": extension.ppid,
        "pce_id": extension.pce_id,
        "components": extension.components,
        "pce_svn": extension.pce_svn,
        "platform_instance_id": extension.platform_instance_id,
        "dynamic": extension.dynamic,
        "cached_keys": extension.cached_keys,
        "smt": extension.smt,
    }


def _amd(extensions: VekExtensions) -> Facts:
    return {
        "product": extensions.product_name,
        "hardware_id": extensions.hwid,
        "csp_id": extensions.csp_id,
        "tcb": extensions.tcb.to_json(),
        "struct_version": extensions.struct_version,
    }


def optional_crl(der: bytes) -> Facts | str:
    return crl_facts(der) if der else "missing"


def crl_facts(der: bytes) -> Facts:
    found = RevocationList.parse(der)
    return {
        "issuer": found.issuer_name,
        "this_update": When(found.this_update),
        "next_update": None if found.next_update is None else When(found.next_update),
        "revoked": [f"{serial:x}" for serial in sorted(found.revoked)],
    }
