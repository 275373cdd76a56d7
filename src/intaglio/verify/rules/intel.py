"""Rules about Intel platforms, for SGX and TDX alike (checks 19, 29, 33): TCB status, advisories, the collateral's
evaluation number, and what the platform's certificate says of its configuration."""

import re
from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.verify.ledger import Group, Step
from intaglio.verify.rules.rule import Case, Rule
from intaglio.verify.rules.table import Table, hexadecimal, number, strings
from intaglio.verify.verdict import Identity, TcbStatus
from intaglio.wire.cbor import Value

__all__ = ["STEPS", "Advisories", "Evaluation", "Flag", "Status", "platform_id", "read_intel"]

TCB = Step("29", "TCB status allowed", "a status that the policy lists", Group.POLICY)
ADVISORIES = Step(
    "29", "advisories allowed", "only advisories that the policy names, in TCB info that can name them", Group.POLICY
)
EVALUATION = Step("19", "minimum TCB evaluation number", "at least the policy's minimum", Group.POLICY)
FLAGS = Step("33", "platform flags", "dynamic platform, cached keys and SMT as the policy allows", Group.POLICY)

STEPS = (TCB, ADVISORIES, EVALUATION)

_ADVISORY = re.compile(r"[A-Z0-9][A-Za-z0-9-]{2,63}")
_NEVER = (TcbStatus.REVOKED, TcbStatus.NOT_SUPPORTED)
_ALLOWED = {status.value: status for status in TcbStatus if status not in _NEVER}
_FLAGS = ("dynamic_platform", "cached_keys", "smt")


@dataclass(frozen=True, slots=True)
class Status(Rule[Identity]):
    """Intel's accepted_tcb_status."""

    allowed: frozenset[TcbStatus]

    def check(self, case: Case[Identity]) -> str:
        # The reader of files refuses Revoked and NotSupported; here nothing depends on that.
        status = case.verdict.tcb_status
        if status is None or status in _NEVER or status not in self.allowed:
            expected = sorted(each.value for each in self.allowed)
            raise Rejected(Reason.TCB_STATUS, expected=expected, found=status.value if status else "none")
        return status.value

    @property
    def sentence(self) -> str:
        return f"TCB status {' or '.join(sorted(each.value for each in self.allowed))}"

    def canonical(self) -> Value:
        return sorted(each.value for each in self.allowed)


@dataclass(frozen=True, slots=True)
class Advisories(Rule[Identity]):
    """Each advisory passes only by name."""

    allowed: frozenset[str]

    def check(self, case: Case[Identity]) -> str:
        verdict = case.verdict
        if not verdict.advisories_stated:
            # Even platforms that are UpToDate have advisories, and whoever serves collateral chooses its version.
            found = "not stated: TCB info of version 2 names none"
            raise Rejected(Reason.ADVISORY, expected="TCB info that names advisories (version 3)", found=found)
        unnamed = [advisory for advisory in verdict.advisory_ids if advisory not in self.allowed]
        if unnamed:
            raise Rejected(Reason.ADVISORY, expected=sorted(self.allowed) or "none", found=unnamed)
        return ", ".join(verdict.advisory_ids) or "none"

    @property
    def sentence(self) -> str:
        return f"advisories {', '.join(sorted(self.allowed))}" if self.allowed else "no advisories"

    def canonical(self) -> Value:
        return sorted(self.allowed)


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

    def canonical(self) -> Value:
        return self.allowed


def read_intel(table: Table) -> tuple[Rule[Identity], ...]:
    return (
        Status("tcb", TCB, table.take("tcb", _tcb, frozenset())),
        Advisories("advisories", ADVISORIES, table.take("advisories", _advisories, frozenset())),
        Evaluation(
            "min_tcb_evaluation_number",
            EVALUATION,
            table.take("min_tcb_evaluation_number", number(0xFFFFFFFF), 0),
        ),
        *(Flag(key, FLAGS, table.maybe(key, _flag, None)) for key in _FLAGS),
    )


def platform_id(value: object) -> str:
    """A PPID or a platform instance id."""
    return hexadecimal(16)(value).hex()


def _tcb(value: object) -> frozenset[TcbStatus]:
    texts = strings(value, "TCB statuses")
    if not texts:
        raise ValueError("the list is empty: this table would accept nothing")
    for text in texts:
        if text in {status.value for status in _NEVER}:
            raise ValueError(f"{text!r} can never be allowed")
        if text not in _ALLOWED:
            raise ValueError(f"{text[:64]!r} is not one of {', '.join(_ALLOWED)}")
    return frozenset(_ALLOWED[text] for text in texts)


def _advisories(value: object) -> frozenset[str]:
    texts = strings(value, "advisory ids")
    for text in texts:
        if not _ADVISORY.fullmatch(text):
            raise ValueError(f"{text[:64]!r} is not an advisory id such as 'INTEL-SA-00615'")
    return frozenset(texts)


def _flag(value: object) -> bool | None:
    """`false` forbids, `"any"` is what leaving the key out means."""
    if value == "any":
        return None
    if value is not False:
        raise ValueError("expected false or 'any'")
    return False
