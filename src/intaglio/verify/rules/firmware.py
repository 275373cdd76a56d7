"""Rules about the firmware of an SEV-SNP platform. AMD publishes no TCB status: what is new enough, a table says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.verify.ledger import Group, Step
from intaglio.verify.rules.extent import Extent, Floor
from intaglio.verify.rules.rule import AtLeast, Case, Forbidden, Reaches, Rule
from intaglio.verify.rules.table import Table, number, true
from intaglio.wire.cbor import Value
from intaglio.wire.snp import SnpReport
from intaglio.wire.snp_fields import TcbVersion

__all__ = ["STEP", "read_firmware"]

STEP = Step("policy", "firmware", "security versions at or above the policy's minimum, and committed", Group.POLICY)

_COMPONENTS = {"bl": "bootloader", "tee": "tee", "snp": "snp", "ucode": "microcode", "fmc": "fmc"}
_OPTIONAL = "fmc"
"""Only Turin has one."""

_TCBS: tuple[tuple[str, str, Callable[[SnpReport], TcbVersion]], ...] = (
    ("min_tcb", "REPORTED_TCB", lambda report: report.reported_tcb),
    ("min_launch_tcb", "LAUNCH_TCB", lambda report: report.launch_tcb),
    ("min_committed_tcb", "COMMITTED_TCB", lambda report: report.committed_tcb),
)


@dataclass(frozen=True, slots=True)
class MinVersion(Rule[SnpReport]):
    """The firmware's version (major, minor), as it runs now."""

    least: tuple[int, int]

    def check(self, case: Case[SnpReport]) -> str:
        current = case.identity.current
        if (current.major, current.minor) < self.least:
            raise Rejected(Reason.FIRMWARE_TOO_OLD, expected=self.sentence, found=str(current))
        return f"firmware {current}"

    @property
    def sentence(self) -> str:
        return f"firmware {self.least[0]}.{self.least[1]} or later"

    @property
    def extent(self) -> Extent:
        return Floor({"": self.least[0] << 8 | self.least[1]})

    def canonical(self) -> Value:
        return list(self.least)


def version(value: object) -> tuple[int, int]:
    parts = value.split(".") if isinstance(value, str) else []
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() and int(part) < 256 for part in parts):
        raise ValueError("expected a version such as '1.55'")
    return int(parts[0]), int(parts[1])


def read_firmware(table: Table) -> list[Rule[SnpReport]]:
    rules: list[Rule[SnpReport]] = []
    for key, name, read in _TCBS:
        minimum = _read_tcb(table, key, optional=key != "min_tcb")
        if minimum or key == "min_tcb":
            rules.append(Reaches(key, STEP, name, _numbers(read), minimum, Reason.FIRMWARE_TOO_OLD))
    least = table.maybe("min_version", version, None)
    if least is not None:
        rules.append(MinVersion("min_version", STEP, least))
    build = table.maybe("min_build", number(0xFF), None)
    if build is not None:
        rules.append(
            AtLeast("min_build", STEP, "build", lambda report: report.current.build, build, Reason.FIRMWARE_TOO_OLD)
        )
    rules.append(
        Forbidden(
            "dangerous_allow_provisional_firmware", STEP, "provisional firmware", _provisional,
            table.maybe("dangerous_allow_provisional_firmware", true, False), Reason.FIRMWARE_PROVISIONAL,
            "the platform's owner can still go back to older firmware",
        )
    )  # fmt: skip
    return rules


def _provisional(report: SnpReport) -> bool:
    return (report.current, report.current_tcb) != (report.committed, report.committed_tcb)


def _numbers(read: Callable[[SnpReport], TcbVersion]) -> Callable[[SnpReport], Mapping[str, int]]:
    def numbers(report: SnpReport) -> Mapping[str, int]:
        tcb = read(report)
        return {short: getattr(tcb, name) or 0 for short, name in _COMPONENTS.items()}

    return numbers


def _read_tcb(table: Table, key: str, *, optional: bool) -> Mapping[str, int]:
    """All components but the last, or none of them: what is left out would be a zero that nobody chose."""
    below = table.below(key, optional=optional)
    if optional and not below.given:
        return {}
    minimum = {short: below.take(short, number(0xFF), 0) for short in _COMPONENTS if short != _OPTIONAL}
    fmc = below.maybe(_OPTIONAL, number(0xFF), 0)
    below.end({})
    return {short: least for short, least in {**minimum, _OPTIONAL: fmc}.items() if least}
