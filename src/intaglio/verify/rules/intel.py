"""Rules about Intel platforms, for SGX and TDX alike (checks 19, 29, 33): TCB status and its dates, advisories, the
collateral's evaluation number, and what the platform's certificate says of its configuration.

Their words are those of Intel's quote appraisal where it has some. Two of its wishes are not granted: an expired
collateral (`collateral_grace_period`), and advisories that pass unless they are named (`rejected_advisory_ids`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.ledger import Group, Step, moment
from intaglio.verify.rules.extent import Extent, Floor, Limit, Named, Since, Timed
from intaglio.verify.rules.reference import ALWAYS, FOREVER
from intaglio.verify.rules.rule import Case, Rule, Window
from intaglio.verify.rules.table import Table, duration, hexadecimal, instant, items, number
from intaglio.verify.verdict import Identity, TcbStatus
from intaglio.wire.cbor import Value

__all__ = ["FLAGS", "KEYS", "STEPS", "Advisories", "Evaluation", "Flag", "Status", "platform_id", "read_intel"]

TCB = Step("29", "TCB status allowed", "a status that the policy lists", Group.POLICY)
TCB_DATE = Step("29", "TCB date", "a TCB level that is not older than the policy allows, if it says", Group.POLICY)
ADVISORIES = Step(
    "29", "advisories allowed", "only advisories that the policy names, in TCB info that can name them", Group.POLICY
)
EVALUATION = Step("19", "minimum TCB evaluation number", "at least the policy's minimum", Group.POLICY)
FLAGS = Step("33", "platform flags", "dynamic platform, cached keys and SMT as the policy allows", Group.POLICY)

STEPS = (TCB, TCB_DATE, ADVISORIES, EVALUATION)

_ADVISORY = re.compile(r"[A-Z0-9][A-Za-z0-9-]{2,63}")
_NEVER = (TcbStatus.REVOKED, TcbStatus.NOT_SUPPORTED)
_ALLOWED = {status.value: status for status in TcbStatus if status not in _NEVER}
_OUT_OF_DATE = (TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED)
_FLAGS = ("dynamic_platform", "cached_keys", "smt")

KEYS = (
    "tcb", "advisories", "min_tcb_evaluation_number", "min_tcb_level_date", "platform_grace_period", *_FLAGS,
)  # fmt: skip
"""What only Intel's collateral can answer."""


@dataclass(frozen=True, slots=True)
class Status(Rule[Identity]):
    """Intel's accepted_tcb_status."""

    allowed: frozenset[TcbStatus]

    def check(self, case: Case[Identity]) -> str:
        # The reader of files refuses Revoked and NotSupported; here nothing depends on that.
        status = case.verdict.tcb_status
        if status is None or status in _NEVER or status not in self.allowed:
            raise Rejected(Reason.TCB_STATUS, expected=self._names, found=status.value if status else "none")
        return status.value

    @property
    def sentence(self) -> str:
        return f"TCB status {' or '.join(self._names)}"

    @property
    def extent(self) -> Extent:
        return Named(frozenset(self._names))

    def canonical(self) -> Value:
        return self._names

    @property
    def _names(self) -> list[str]:
        return sorted(each.value for each in self.allowed)


@dataclass(frozen=True, slots=True)
class LevelDate(Rule[Identity]):
    """Intel's min_tcb_level_date, the TCB baseline date: the level that the platform reaches is of then or later."""

    earliest: UnixTime

    def check(self, case: Case[Identity]) -> str:
        date = case.verdict.tcb_date
        if date is None or date < self.earliest:
            found = "no date" if date is None else moment(date)
            raise Rejected(Reason.TCB_LEVEL_TOO_OLD, expected=f"{moment(self.earliest)} or later", found=found)
        return f"TCB level of {moment(date)}"

    @property
    def sentence(self) -> str:
        return f"a TCB level of {moment(self.earliest)} or later"

    @property
    def extent(self) -> Extent:
        return Since(self.earliest)

    def canonical(self) -> Value:
        return self.earliest


@dataclass(frozen=True, slots=True)
class Grace(Rule[Identity]):
    """Intel's platform_grace_period: an outdated status, where the table lists it at all, passes only until the date
    of the level that the platform reaches, plus this many seconds. Other statuses are not judged by it."""

    seconds: int

    def check(self, case: Case[Identity]) -> str | None:
        verdict = case.verdict
        if verdict.tcb_status not in _OUT_OF_DATE:
            return None
        end = self.closes(case)
        if end is None or verdict.at > end:
            expected = f"judged until {moment(end)}" if end is not None else "a date of the TCB level"
            raise Rejected(Reason.TCB_GRACE_OVER, expected=expected, found=moment(verdict.at))
        return f"in grace until {moment(end)}"

    @property
    def may_close(self) -> bool:
        return True

    def closes(self, case: Case[Identity]) -> UnixTime | None:
        date = case.verdict.tcb_date
        if date is None or case.verdict.tcb_status not in _OUT_OF_DATE:
            return None
        return UnixTime(date + self.seconds)

    @property
    def sentence(self) -> str:
        return f"an outdated platform only for {Limit(self.seconds)} after the date of its TCB level"

    @property
    def extent(self) -> Extent:
        return Limit(self.seconds)

    def canonical(self) -> Value:
        return self.seconds


@dataclass(frozen=True, slots=True)
class Advisories(Rule[Identity]):
    """Each advisory passes only by name, and where the table says so only until a date."""

    allowed: Mapping[str, UnixTime]

    def check(self, case: Case[Identity]) -> str:
        verdict = case.verdict
        if not verdict.advisories_stated:
            # Even platforms that are UpToDate have advisories, and whoever serves collateral chooses its version.
            found = "not stated: neither TCB info of version 2 nor an IAS report before version 4 names any"
            raise Rejected(Reason.ADVISORY, expected="TCB info that names advisories (version 3)", found=found)
        unnamed = [advisory for advisory in verdict.advisory_ids if advisory not in self.allowed]
        if unnamed:
            raise Rejected(Reason.ADVISORY, expected=sorted(self.allowed) or "none", found=unnamed)
        over = [advisory for advisory in verdict.advisory_ids if self.allowed[advisory] < verdict.at]
        if over:
            expected = [f"{advisory} until {moment(self.allowed[advisory])}" for advisory in over]
            raise Rejected(Reason.ADVISORY_OVER, expected=expected, found=moment(verdict.at))
        return ", ".join(verdict.advisory_ids) or "none"

    @property
    def windows(self) -> tuple[Window, ...]:
        return tuple(Window(each, ALWAYS, end, "") for each, end in self._sorted if end != FOREVER)

    def closes(self, case: Case[Identity]) -> UnixTime | None:
        end = min((self.allowed[each] for each in case.verdict.advisory_ids), default=FOREVER)
        return None if end == FOREVER else end

    @property
    def sentence(self) -> str:
        named = [f"{each}{'' if end == FOREVER else f' until {moment(end)}'}" for each, end in self._sorted]
        return f"no advisories but {', '.join(named)}" if named else "no advisories"

    @property
    def extent(self) -> Extent:
        return Timed({each: ((ALWAYS, end),) for each, end in self._sorted})

    def canonical(self) -> Value:
        return [[each, end] for each, end in self._sorted]

    @property
    def _sorted(self) -> list[tuple[str, UnixTime]]:
        return sorted(self.allowed.items())


@dataclass(frozen=True, slots=True)
class Evaluation(Rule[Identity]):
    """Collateral of at least this TCB evaluation number, so that old but unexpired collateral can't be used."""

    minimum: int

    def check(self, case: Case[Identity]) -> str:
        found = case.verdict.tcb_evaluation_number
        if found is None or found < self.minimum:
            raise Rejected(Reason.TCB_EVALUATION_TOO_OLD, expected=f"at least {self.minimum}", found=found)
        return str(found)

    @property
    def sentence(self) -> str:
        return f"a TCB evaluation number of at least {self.minimum}"

    @property
    def extent(self) -> Extent:
        return Floor({"": self.minimum})

    def canonical(self) -> Value:
        return self.minimum


@dataclass(frozen=True, slots=True)
class Flag(Rule[Identity]):
    """False wants a certificate that says no, and silence is not a no. None: any."""

    allowed: bool | None

    def check(self, case: Case[Identity]) -> str:
        platform = case.verdict.platform
        attribute = "dynamic" if self.key == "dynamic_platform" else self.key
        found: bool | None = getattr(platform, attribute) if platform else None
        if self.allowed is False and found is not False:
            stated = "not stated by the certificate" if found is None else "true"
            raise Rejected(Reason.PLATFORM_CONFIGURATION, expected=f"{self.key} false", found=f"{self.key} {stated}")
        return f"{self.key} {'not stated' if found is None else found}".lower()

    @property
    def sentence(self) -> str:
        return f"{self.key} {'any' if self.allowed is None else 'false'}"

    @property
    def extent(self) -> Extent | None:
        return None if self.allowed is None else Named(frozenset(("false",)))

    def canonical(self) -> Value:
        return self.allowed


def read_intel(table: Table) -> tuple[Rule[Identity], ...]:
    none: frozenset[TcbStatus] = frozenset()
    tcb = table.take("tcb", _tcb, none)
    earliest = table.maybe("min_tcb_level_date", instant, None)
    grace = table.maybe("platform_grace_period", duration, None)
    if grace is not None and tcb and tcb.isdisjoint(_OUT_OF_DATE):
        table.problem("platform_grace_period", "tcb lists no status that could be in grace, such as 'OutOfDate'")
    nothing: Mapping[str, UnixTime] = {}
    minimum = table.take("min_tcb_evaluation_number", number(0xFFFFFFFF), 0)
    return (
        Status("tcb", TCB, tcb),
        *([LevelDate("min_tcb_level_date", TCB_DATE, earliest)] if earliest is not None else []),
        *([Grace("platform_grace_period", TCB_DATE, grace)] if grace is not None else []),
        Advisories("advisories", ADVISORIES, table.take("advisories", _advisories, nothing)),
        Evaluation("min_tcb_evaluation_number", EVALUATION, minimum),
        *(Flag(key, FLAGS, table.maybe(key, _flag, None)) for key in _FLAGS),
    )


def platform_id(value: object) -> str:
    """A PPID or a platform instance id."""
    return hexadecimal(16)(value).hex()


def _tcb(value: object) -> frozenset[TcbStatus]:
    texts = items(value, "TCB statuses")
    for text in texts:
        if not isinstance(text, str):
            raise ValueError("expected a list of TCB statuses")  # noqa: TRY004 - problems of a file are ValueErrors
        if text in {status.value for status in _NEVER}:
            raise ValueError(f"{text!r} can never be allowed")
        if text not in _ALLOWED:
            raise ValueError(f"{text[:64]!r} is not one of {', '.join(_ALLOWED)}")
    return frozenset(map(_ALLOWED.__getitem__, map(str, texts)))


def _advisories(value: object) -> Mapping[str, UnixTime]:
    if not isinstance(value, list):
        raise ValueError("expected a list of advisory ids")  # noqa: TRY004 - as above
    found = list(map(_advisory, value))
    allowed: dict[str, UnixTime] = {}
    for advisory, end in found:
        allowed[advisory] = max(end, allowed.get(advisory, end))
    return allowed


def _advisory(value: object) -> tuple[str, UnixTime]:
    """An id, or a table of the id, until when it is allowed, and a note."""
    end = FOREVER
    if isinstance(value, dict):
        unknown = sorted(value.keys() - {"id", "until", "note"})
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}")
        if "until" in value:
            end = instant(value["until"])
        value = value.get("id")
    if not isinstance(value, str) or not _ADVISORY.fullmatch(value):
        raise ValueError(f"{str(value)[:64]!r} is not an advisory id such as 'INTEL-SA-00615'")
    return value, end


def _flag(value: object) -> bool | None:
    """`false` forbids, `"any"` is what leaving the key out means."""
    if value == "any":
        return None
    if value is not False:
        raise ValueError("expected false or 'any'")
    return False
