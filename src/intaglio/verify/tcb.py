"""How current a platform, its quoting enclave and its TDX module are (checks 24 to 28): pure functions over signed
documents."""

from typing import NamedTuple

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.verdict import TcbEvaluation
from intaglio.wire.collateral import EnclaveIdentity, EnclaveTcbLevel, TcbInfo, TcbLevel, TcbStatus, TdxModule
from intaglio.wire.pck import PckExtension
from intaglio.wire.sgx import ReportBody
from intaglio.wire.tdx import TdReport

__all__ = [
    "Tcb", "check_enclave", "check_module", "enclave_level", "evaluate_td", "merge", "module_of", "platform_level",
    "relaunch",
]  # fmt: skip

_MODULE_SVN, _MODULE_VERSION = 0, 1
"""Where TEE_TCB_SVN has them, since modules have versions (TDX 1.5); before, both bytes were components like others."""


class Tcb(NamedTuple):
    """A merged status with the earliest date and all advisories, those of the platform first, each once.

    `evaluations` is empty for SGX; for TDX it has the one of the TD's launch and, from TDX 1.5 on, of now.
    """

    status: TcbStatus
    date: UnixTime | None
    advisory_ids: tuple[str, ...]
    evaluations: tuple[TcbEvaluation, ...] = ()


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


def check_module(report: TdReport, module: TdxModule | None) -> str:
    """Check 26: this is the module that Intel describes. Returns its id and SVN.

    Raises `Rejected` (TDX_MODULE_MISMATCH). Like Intel's library, it wants SEAMATTRIBUTES to be zero, whatever
    a mask says.
    """
    version, reason = report.tee_tcb_svn[_MODULE_VERSION], Reason.TDX_MODULE_MISMATCH
    if module is None:
        raise Rejected(reason, expected="an identity in the TCB info", found=f"none for {_module_id(version)}")
    rules: tuple[tuple[str, bytes, bytes], ...] = (
        ("MRSIGNERSEAM", module.mr_signer, report.mr_signer_seam),
        ("SEAMATTRIBUTES", bytes(8), report.seam_attributes.to_bytes(8, "little")),
        ("attributes in the TCB info", bytes(8), module.attributes),
    )
    for name, expected, found in rules:
        if found != expected:
            raise Rejected(reason, expected=(name, expected), found=(name, found))
    return f"{module.id or 'the module of TDX 1.0'}, SVN {report.tee_tcb_svn[_MODULE_SVN]}"


def module_of(info: TcbInfo, svn: bytes) -> TdxModule | None:
    """The module of the version that TEE_TCB_SVN names; None if the TCB info has no such one."""
    version = svn[_MODULE_VERSION]
    if version == 0:
        return info.tdx_module
    wanted = _module_id(version)
    return next((module for module in info.tdx_module_identities if module.id == wanted), None)


def enclave_level(isv_svn: int, levels: tuple[EnclaveTcbLevel, ...]) -> EnclaveTcbLevel | None:
    """The first level, highest first, that the SVN of an enclave or a module reaches; None is NotSupported."""
    for level in levels:
        if isv_svn >= level.isv_svn:
            return level
    return None


def platform_level(extension: PckExtension, info: TcbInfo, svn: bytes = b"") -> TcbLevel | None:
    """Check 25: the first level, highest first, that all components and the PCE's SVN reach; None is NotSupported.

    Compared are the sixteen components of the certificate, never its CPUSVN, and for TDX the components in `svn`,
    which is TEE_TCB_SVN. Since modules have versions, its first two bytes are the module's and left to check 26.
    """
    components, pce_svn = extension.components, extension.pce_svn
    first = 2 if svn and svn[_MODULE_VERSION] > 0 else 0
    for level in info.levels:
        if (
            pce_svn >= level.pce_svn
            and all(map(int.__ge__, components, level.sgx_components))
            and all(map(int.__ge__, svn[first:], level.tdx_components[first:]))
        ):
            return level
    return None


def evaluate_td(
    of: str, svn: bytes, extension: PckExtension, info: TcbInfo, enclave: EnclaveTcbLevel | None
) -> TcbEvaluation:
    """Checks 25 to 27 for one TEE_TCB_SVN of a TD; `of` says which one."""
    platform = platform_level(extension, info, svn)
    module, level = module_of(info, svn), None
    if svn[_MODULE_VERSION] > 0:
        level = enclave_level(svn[_MODULE_SVN], module.levels) if module else None
        merged = merge(platform, enclave, level)
        status = _status(level)
    else:
        merged, status = merge(platform, enclave), None
    return TcbEvaluation(
        of, merged.status, merged.date, merged.advisory_ids, _status(platform), _status(enclave), status
    )


def relaunch(launch: TcbEvaluation, current: TcbEvaluation | None) -> Tcb:
    """Check 28: a TD keeps the state of the module that launched it, so both evaluations count.

    An outdated launch under a module that has been updated since can be mended by launching the TD again. In all other
    cases the worse of the two counts; Intel's library would return that of the launch, even where the module that runs
    now is revoked. Advisories are those of both, the date is the earlier one.
    """
    if current is None:
        return Tcb(launch.status, launch.date, launch.advisory_ids, (launch,))
    dates = [each.date for each in (launch, current) if each.date is not None]
    status = max(launch.status, current.status, key=_SEVERITY.index)
    if launch.status in _OUTDATED and _SEVERITY.index(current.status) < _SEVERITY.index(TcbStatus.OUT_OF_DATE):
        configure = {launch.status, current.status} & _CONFIGURATION_NEEDED
        status = TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED if configure else TcbStatus.TD_RELAUNCH_ADVISED
    advisories = tuple(dict.fromkeys((*launch.advisory_ids, *current.advisory_ids)))
    return Tcb(status, min(dates, default=None), advisories, (launch, current))


_SEVERITY = (
    TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED, TcbStatus.CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED, TcbStatus.TD_RELAUNCH_ADVISED,
    TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED, TcbStatus.OUT_OF_DATE,
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, TcbStatus.NOT_SUPPORTED, TcbStatus.REVOKED,
)  # fmt: skip
"""From good to bad."""

_OUTDATED = (TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED)
_CONFIGURATION_NEEDED = frozenset((
    TcbStatus.CONFIGURATION_NEEDED, TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
))  # fmt: skip
_WITH_OUTDATED_QE = {
    TcbStatus.UP_TO_DATE: TcbStatus.OUT_OF_DATE,
    TcbStatus.SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE,
    TcbStatus.CONFIGURATION_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
}


def merge(platform: TcbLevel | None, *enclaves: EnclaveTcbLevel | None) -> Tcb:
    """Check 27: a platform with its QE and, for TDX, its module. Revoked wins over everything, then NotSupported; an
    outdated QE or module outdates its platform."""
    levels = [level for level in (platform, *enclaves) if level is not None]
    advisories = tuple(dict.fromkeys(advisory for level in levels for advisory in level.advisory_ids))
    date = min((level.date for level in levels), default=None)
    if any(level.status is TcbStatus.REVOKED for level in levels):
        return Tcb(TcbStatus.REVOKED, date, advisories)
    if platform is None or None in enclaves:
        return Tcb(TcbStatus.NOT_SUPPORTED, date, advisories)
    found = {level.status for level in enclaves if level is not None}
    if found <= {TcbStatus.UP_TO_DATE}:
        return Tcb(platform.status, date, advisories)
    if found <= {TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE}:
        return Tcb(_WITH_OUTDATED_QE.get(platform.status, platform.status), date, advisories)
    # Intel's documents know no other status for a QE or a module. Should one appear, it must not vanish in the
    # platform's.
    return Tcb(TcbStatus.NOT_SUPPORTED, date, advisories)


def _module_id(version: int) -> str:
    return f"TDX_{version:02X}"


def _status(level: TcbLevel | EnclaveTcbLevel | None) -> TcbStatus:
    return level.status if level else TcbStatus.NOT_SUPPORTED


def _masked(value: bytes, mask: bytes) -> bytes:
    return bytes(map(int.__and__, value, mask))
