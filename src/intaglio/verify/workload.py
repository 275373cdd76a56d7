"""One `[[accept]]` table of a policy: the rules of its kind of TEE, what binds evidence to a session and to a data
centre (check 32 and the pin), and the terms of a session.

Every rule of a workload must pass; a rule that can't be judged does not. What these rules read was verified: they
are only applied to evidence that is genuine.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.ledger import Ledger, Step
from intaglio.verify.rules.common import PIN, REPORT_DATA
from intaglio.verify.rules.extent import Extent, Limit, Named
from intaglio.verify.rules.nitro import NITRO
from intaglio.verify.rules.rule import MEASURED, Case, PinField, Rule, RuleSet
from intaglio.verify.rules.sgx import SGX
from intaglio.verify.rules.snp import SNP
from intaglio.verify.rules.tdx import TDX
from intaglio.verify.verdict import Identity, Verdict
from intaglio.wire.cbor import Value

__all__ = ["RULE_SETS", "Binding", "Pin", "Workload"]

RULE_SETS: dict[Tee, RuleSet[Any]] = {each.tee: each for each in (SGX, TDX, SNP, NITRO)}
"""What can be judged."""

_PIN_SIZE = 32


@dataclass(frozen=True, slots=True)
class Pin:
    """Where the data centre's pinned keys are measured: `measured` (inside the measurement) or the name of a field."""

    where: str


@dataclass(frozen=True, slots=True)
class Binding:
    """What the evidence must be bound to. None: the caller can't know it, and the rule is listed as skipped."""

    report_data: bytes | None
    pin_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Workload:
    """What one table accepts. Ages and heartbeat are in seconds; `heartbeat` is None for disconnected workloads.

    `exact`: the rules name an image, and not whatever somebody signs or boots.
    """

    name: str
    tee: Tee
    rules: tuple[Rule[Any], ...]
    exact: bool
    pin: Pin
    max_session_age: int
    max_offer_age: int
    heartbeat: int | None
    dangerous_unpinned: bool = False
    _plan: tuple[tuple[Step, tuple[Rule[Any], ...]], ...] = field(init=False, repr=False, compare=False)
    _closing: tuple[Rule[Any], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps = (step for step in RULE_SETS[self.tee].steps if step not in (REPORT_DATA, PIN))
        plan = tuple((step, tuple(rule for rule in self.rules if rule.step is step)) for step in steps)
        object.__setattr__(self, "_plan", plan)
        object.__setattr__(self, "_closing", tuple(rule for rule in self.rules if rule.may_close))

    def rule(self, key: str) -> Rule[Any] | None:
        """The rule that this key of the file made, None where the table says nothing of it."""
        return next((rule for rule in self.rules if rule.key == key), None)

    @property
    def dangers(self) -> list[str]:
        """What weakens this table, each by its ugly name."""
        found = [rule.danger for rule in self.rules if rule.danger is not None]
        if self.dangerous_unpinned:
            found.append("dangerous_unpinned: the enclave may talk to another data centre")
        return found

    @property
    def pin_sentence(self) -> str:
        """Where our keys are, in words."""
        if self.pin.where == MEASURED:
            loose = RULE_SETS[self.tee].loose
            return "our keys are in the measurement" if self.exact else f"not pinned: {loose} may pin other keys"
        return f"{RULE_SETS[self.tee].pins[self.pin.where].name} holds the hash of our keys"

    @property
    def extents(self) -> dict[str, Extent | None]:
        """How much each rule and each term lets through, by its key."""
        return {
            **{rule.key: rule.extent for rule in self.rules},
            "pin": Named(frozenset((self.pin.where,))),
            "dangerous_unpinned": Named(frozenset(("unpinned",) if self.dangerous_unpinned else ())),
            "max_session_age": Limit(self.max_session_age),
            "max_offer_age": Limit(self.max_offer_age),
            "heartbeat": None if self.heartbeat is None else Limit(self.heartbeat),
        }

    def judge(self, verdict: Verdict, identity: Identity, binding: Binding) -> Ledger:
        """All rules on a genuine verdict. It accepts if no rule failed."""
        ledger = Ledger()
        case = Case(verdict, identity)
        for step, rules in self._plan:
            try:  # as Ledger.run does, without a closure for each step: this is done for every hello
                found = [text for rule in rules if (text := rule.check(case)) is not None]
            except Rejected as rejected:
                ledger.fail(step, rejected.reason, rejected.found, rejected.expected or "")
            else:
                ledger.ok(step, found or None)
        self._judge_binding(identity, binding, ledger)
        return ledger

    def _judge_binding(self, identity: Identity, binding: Binding, ledger: Ledger) -> None:
        """Check 32 and the pin: the two rules that need something from the session."""
        report_data, pin_hash = binding.report_data, binding.pin_hash
        if report_data is None:
            ledger.skip(REPORT_DATA, "not asked: no session is known that it could be bound to")
        else:
            ledger.run(REPORT_DATA, partial(_check_report_data, identity, report_data))
        if self.pin.where == MEASURED:
            ledger.run(PIN, self._check_measured_pin)
        elif pin_hash is None:
            ledger.skip(PIN, "not asked: the data centre's pinned keys are not known here")
        else:
            place = RULE_SETS[self.tee].pins[self.pin.where]
            ledger.run(PIN, partial(_check_pin_field, place, identity, pin_hash))

    def _check_measured_pin(self) -> str:
        if self.exact:
            return "measured: whoever has this measurement holds our keys"
        rules = RULE_SETS[self.tee]
        # The file's reader refuses this without its ugly name; here nothing depends on that.
        if not self.dangerous_unpinned:
            raise Rejected(Reason.WRONG_PIN, expected=f"a pin in {' or '.join(rules.pins)}", found=rules.loose)
        return f"not pinned: {rules.loose}, allowed by dangerous_unpinned"

    def closes(self, verdict: Verdict, identity: Identity) -> UnixTime | None:
        """Until when what this table accepts now is accepted, as far as its own rules set an end."""
        case = Case(verdict, identity)
        ends = [end for rule in self._closing if (end := rule.closes(case)) is not None]
        return min(ends, default=None)

    def canonical(self) -> dict[Value, Value]:
        """Every rule, for the policy's hash: two files with one meaning have one hash."""
        return {
            "name": self.name,
            "tee": self.tee.value,
            "rules": {rule.key: rule.canonical() for rule in self.rules},
            "max_session_age": self.max_session_age,
            "max_offer_age": self.max_offer_age,
            "heartbeat": self.heartbeat,
            "pin": self.pin.where,
            "dangerous_unpinned": self.dangerous_unpinned,
        }


def _check_report_data(identity: Identity, expected: bytes) -> None:
    """Check 32. Zeros are refused even if somebody expects them: a forgotten binding would look like success."""
    if not identity.report_data.strip(b"\0") or identity.report_data != expected:
        raise Rejected(Reason.REPORT_DATA, expected=expected.hex(), found=identity.report_data.hex())


def _check_pin_field(place: PinField[Any], identity: Identity, pin_hash: bytes) -> None:
    expected, found = place.value(pin_hash), place.read(identity)
    if len(pin_hash) != _PIN_SIZE or found != expected:
        raise Rejected(Reason.WRONG_PIN, expected=f"{place.name} {expected.hex()}", found=found.hex())
