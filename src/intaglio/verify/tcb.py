"""How current a platform and its quoting enclave are (checks 24, 25, 27): pure functions over signed documents."""

from typing import NamedTuple

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.wire.collateral import EnclaveIdentity, EnclaveTcbLevel, TcbInfo, TcbLevel, TcbStatus
from intaglio.wire.pck import PckExtension
from intaglio.wire.sgx import ReportBody

__all__ = ["Tcb", "check_enclave", "enclave_level", "merge", "platform_level"]


class Tcb(NamedTuple):
    """A merged status with the earliest date and all advisories, those of the platform first, each once."""

    status: TcbStatus
    date: UnixTime | None
    advisory_ids: tuple[str, ...]


def check_enclave(report: ReportBody, identity: EnclaveIdentity) -> tuple[bytes, int]:
    """Check 24: this is the enclave that Intel describes. Returns its MRSIGNER and ISVSVN.

    Raises `Rejected` (QE_IDENTITY_MISMATCH). The mask of every real identity covers the debug bit, but whatever a mask
    says: a quoting enclave whose memory the host can read vouches for nothing.
    """
    rules: tuple[tuple[str, bytes | int, bytes | int], ...] = (
        ("MRSIGNER", identity.mr_signer, report.mr_signer),
        ("ISVPRODID", identity.isv_prod_id, report.isv_prod_id),
        ("attributes", identity.attributes, _masked(report.attributes.encode(), identity.attributes_mask)),
        ("MISCSELECT", identity.misc_select, report.misc_select & identity.misc_select_mask),
        ("debug", False, report.debug),
    )
    for name, expected, found in rules:
        if found != expected:
            raise Rejected(Reason.QE_IDENTITY_MISMATCH, expected=(name, expected), found=(name, found))
    return report.mr_signer, report.isv_svn


def enclave_level(report: ReportBody, identity: EnclaveIdentity) -> EnclaveTcbLevel | None:
    """The first level, highest first, that the enclave's ISVSVN reaches; None is NotSupported."""
    for level in identity.levels:
        if report.isv_svn >= level.isv_svn:
            return level
    return None


def platform_level(extension: PckExtension, info: TcbInfo) -> TcbLevel | None:
    """Check 25: the first level, highest first, that all components and the PCE's SVN reach; None is NotSupported.

    Compared are the sixteen components of the certificate, never its CPUSVN.
    """
    components, pce_svn = extension.components, extension.pce_svn
    for level in info.levels:
        if pce_svn >= level.pce_svn and all(map(int.__ge__, components, level.sgx_components)):
            return level
    return None


_WITH_OUTDATED_QE = {
    TcbStatus.UP_TO_DATE: TcbStatus.OUT_OF_DATE,
    TcbStatus.SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE,
    TcbStatus.CONFIGURATION_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
}


def merge(platform: TcbLevel | None, enclave: EnclaveTcbLevel | None) -> Tcb:
    """Check 27. Revoked wins over everything, then NotSupported; an outdated QE outdates its platform."""
    levels = [level for level in (platform, enclave) if level is not None]
    advisories = tuple(dict.fromkeys(advisory for level in levels for advisory in level.advisory_ids))
    date = min((level.date for level in levels), default=None)
    if any(level.status is TcbStatus.REVOKED for level in levels):
        return Tcb(TcbStatus.REVOKED, date, advisories)
    if platform is None or enclave is None:
        return Tcb(TcbStatus.NOT_SUPPORTED, date, advisories)
    if enclave.status is TcbStatus.UP_TO_DATE:
        return Tcb(platform.status, date, advisories)
    if enclave.status is TcbStatus.OUT_OF_DATE:
        return Tcb(_WITH_OUTDATED_QE.get(platform.status, platform.status), date, advisories)
    # Intel's identities know no other status for a QE. Should one appear, it must not vanish in the platform's.
    return Tcb(TcbStatus.NOT_SUPPORTED, date, advisories)


def _masked(value: bytes, mask: bytes) -> bytes:
    return bytes(map(int.__and__, value, mask))
