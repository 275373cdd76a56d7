"""Rules about trust domains (check 31): what was started, what booted in it, and under which module.

MRTD of a cloud's TD is the firmware, the same for everybody. What booted after it is in the registers: 0 the
configuration that the host gave, 1 the kernel, 2 its command line and initial file system, 3 what the guest itself
extended. So a table names registers 0 to 2 too, or says by an ugly name that it does not care.
"""

from collections.abc import Mapping
from typing import Any

from intaglio.reasons import Reason
from intaglio.types import Tee
from intaglio.verify.ledger import Group, Step
from intaglio.verify.rules import intel
from intaglio.verify.rules.common import PIN, PLATFORMS, REPORT_DATA, read_common
from intaglio.verify.rules.fields import BytesField
from intaglio.verify.rules.reference import Reference, References
from intaglio.verify.rules.rule import Forbidden, OneOf, PinField, Reaches, Rule, Rules, RuleSet, Unchecked
from intaglio.verify.rules.table import Table, hexadecimal, permitted, true
from intaglio.wire.tdx import TdAttribute, TdReport

__all__ = ["TDX"]

MEASUREMENT = Step("31", "measurement", "MRTD and the run-time registers that the policy names", Group.POLICY)
MODULE = Step("31", "TDX module", "the module that the policy names, if it does, at its minimum", Group.POLICY)
CONFIGURATION = Step(
    "31", "configuration", "owner, configuration and attributes as the policy names them", Group.POLICY
)
DEBUG = Step("31", "debug", "production mode", Group.POLICY)
ATTRIBUTES = Step(
    "31", "TD attributes", "SEPT_VE_DISABLE, and neither MIGRATABLE nor PERFMON unless allowed", Group.POLICY
)

_SIZE = 48
_NO_SERVICE_TD = References((Reference(b""), Reference(bytes(_SIZE))))
"""None: TDX 1.0 has no such field, and later ones zeros."""
_MEASURED = ("rtmr0", "rtmr1", "rtmr2")
_FREE = {
    "rtmr0": "the host chooses the tables and variables that firmware and kernel read",
    "rtmr1": "the host chooses what boots",
    "rtmr2": "the host chooses the command line and the initial file system",
}


def _field(key: str, step: Step, name: str, reason: Reason) -> BytesField[TdReport]:
    def read(report: TdReport) -> bytes:
        value: bytes | None = getattr(report, key)
        return b"" if value is None else value

    return BytesField(key, step, name, _SIZE, read, reason)


MR_TD = _field("mr_td", MEASUREMENT, "MRTD", Reason.WRONG_MEASUREMENT)
RTMRS = tuple(_field(f"rtmr{n}", MEASUREMENT, f"RTMR{n}", Reason.WRONG_MEASUREMENT) for n in range(4))
MR_CONFIG_ID = _field("mr_config_id", CONFIGURATION, "MRCONFIGID", Reason.WRONG_CONFIGURATION)
MR_OWNER = _field("mr_owner", CONFIGURATION, "MROWNER", Reason.WRONG_CONFIGURATION)
MR_OWNER_CONFIG = _field("mr_owner_config", CONFIGURATION, "MROWNERCONFIG", Reason.WRONG_CONFIGURATION)
MR_SERVICE_TD = _field("mr_service_td", CONFIGURATION, "MRSERVICETD", Reason.WRONG_CONFIGURATION)
MR_SEAM = _field("mr_seam", MODULE, "MRSEAM", Reason.WRONG_MODULE)
MR_SIGNER_SEAM = _field("mr_signer_seam", MODULE, "MRSIGNERSEAM", Reason.WRONG_MODULE)
TD_ATTRIBUTES: BytesField[TdReport] = BytesField(
    "td_attributes", CONFIGURATION, "TDATTRIBUTES", 8, lambda report: report.td_attributes.to_bytes(8, "little"),
    Reason.WRONG_CONFIGURATION,
)  # fmt: skip
XFAM: BytesField[TdReport] = BytesField(
    "xfam", CONFIGURATION, "XFAM", 8, lambda report: report.xfam.to_bytes(8, "little"), Reason.WRONG_CONFIGURATION
)
_PINNABLE = {"mrconfigid": MR_CONFIG_ID, "mrowner": MR_OWNER, "mrownerconfig": MR_OWNER_CONFIG}


def _read(table: Table) -> Rules:
    registers = [rtmr.listed(table) for rtmr in RTMRS if table.has(rtmr.key)]
    free = [key for key in _FREE if all(rule.key != key for rule in registers)]
    rules: tuple[Rule[Any], ...] = (
        MR_TD.listed(table),
        *registers,
        *_read_free(table, free),
        *MR_SEAM.maybe(table),
        *MR_SIGNER_SEAM.maybe(table),
        *_read_minimum(table),
        *_read_configuration(table),
        *_read_attributes(table),
        *intel.read_intel(table),
        *read_common(table, DEBUG, intel.platform_id, "PPIDs and platform instance ids"),
    )
    return Rules(rules, exact="rtmr1" not in free and "rtmr2" not in free)


def _read_free(table: Table, free: list[str]) -> list[Rule[TdReport]]:
    allowed = table.maybe("dangerous_any_rtmr", true, False)
    if allowed and not free:
        table.problem("dangerous_any_rtmr", "rtmr0, rtmr1 and rtmr2 are all named, so it would mean nothing")
    if not allowed:
        for key in free:
            table.problem(key, f"missing (or dangerous_any_rtmr = true, with which {_FREE[key]})")
        return []
    harm = "; ".join(f"{key.upper()}: {_FREE[key]}" for key in free)
    return [Unchecked("dangerous_any_rtmr", MEASUREMENT, f"any {' '.join(map(str.upper, free))}", harm)]


def _read_minimum(table: Table) -> list[Rule[TdReport]]:
    least = table.maybe("min_tee_tcb_svn", hexadecimal(16), None)
    if least is None or not any(least):
        return []
    minimum = {name: svn for name, svn in _svns(least).items() if svn}
    return [
        Reaches(
            "min_tee_tcb_svn", MODULE, "TEE_TCB_SVN", lambda report: _svns(report.tee_tcb_svn), minimum,
            Reason.TDX_MODULE_TOO_OLD,
        )
    ]  # fmt: skip


def _svns(svn: bytes) -> Mapping[str, int]:
    return {f"[{index}]": value for index, value in enumerate(svn)}


def _read_configuration(table: Table) -> list[Rule[TdReport]]:
    service = MR_SERVICE_TD.maybe(table)
    none = OneOf(
        MR_SERVICE_TD.key, CONFIGURATION, "MRSERVICETD", MR_SERVICE_TD.read, _NO_SERVICE_TD, MR_SERVICE_TD.reason
    )
    return [
        *MR_CONFIG_ID.maybe(table), *MR_OWNER.maybe(table), *MR_OWNER_CONFIG.maybe(table), *(service or [none]),
        *TD_ATTRIBUTES.masked(table), *XFAM.masked(table),
    ]  # fmt: skip


def _read_attributes(table: Table) -> list[Rule[TdReport]]:
    return [
        Forbidden(
            "dangerous_allow_sept_ve", ATTRIBUTES, "SEPT_VE exceptions",
            lambda report: not report.has(TdAttribute.SEPT_VE_DISABLE),
            table.maybe("dangerous_allow_sept_ve", true, False), Reason.SEPT_VE_ENABLED,
            "the host can raise exceptions in the guest at will, by taking its pages away",
        ),
        Forbidden(
            "dangerous_allow_migration", ATTRIBUTES, "migration",
            lambda report: report.has(TdAttribute.MIGRATABLE),
            table.maybe("dangerous_allow_migration", true, False), Reason.MIGRATABLE_GUEST,
            "the guest may be moved to a platform that nobody judged",
        ),
        Forbidden(
            "perfmon", ATTRIBUTES, "PERFMON", lambda report: report.has(TdAttribute.PERFMON),
            table.maybe("perfmon", permitted, False), Reason.WRONG_CONFIGURATION, None,
        ),
    ]  # fmt: skip


TDX = RuleSet(
    tee=Tee.TDX,
    kind=TdReport,
    steps=(
        MEASUREMENT, MODULE, CONFIGURATION, DEBUG, ATTRIBUTES, REPORT_DATA, PIN, *intel.STEPS, PLATFORMS, intel.FLAGS,
    ),
    identifying=MEASUREMENT,
    loose="anything that this firmware boots",
    read=_read,
    pins={
        place: PinField(field.key, field.name, field.read, lambda pinned: pinned + bytes(_SIZE - 32))
        for place, field in _PINNABLE.items()
    },
)  # fmt: skip
