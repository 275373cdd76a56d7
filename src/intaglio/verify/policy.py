"""Is this the evidence we want? A policy turns a genuine verdict into accepted or rejected, and nothing else into
accepted: what is not genuine stays rejected, what is undecidable stays undecidable.
"""

from dataclasses import dataclass, field
from typing import Self

from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.ledger import Group, Ledger, Step
from intaglio.verify.policy_file import PolicyError, read_policy
from intaglio.verify.verdict import Checks, Decision, Verdict, issue
from intaglio.verify.workload import RULE_SETS, Binding, Pin, Workload
from intaglio.wire.cbor import digest, encode

__all__ = ["Pin", "Policy", "PolicyError", "Workload", "rules_of"]

WORKLOAD = Step("policy", "workload", "an [[accept]] table for this kind of TEE whose rules all pass", Group.POLICY)

_LINES = {tee: (WORKLOAD, *rules.steps) for tee, rules in RULE_SETS.items()}


def rules_of(tee: Tee) -> tuple[Step, ...]:
    """The lines of a verdict that a policy adds for this kind of TEE."""
    return _LINES[tee]


@dataclass(frozen=True, slots=True)
class Policy:
    """The workloads of a data centre, in the file's order, and the hash by which offers and verdicts name them."""

    workloads: tuple[Workload, ...]
    hash: bytes = field(init=False)

    def __post_init__(self) -> None:
        canonical = encode([workload.canonical() for workload in self.workloads])
        object.__setattr__(self, "hash", digest("policy", canonical))

    @classmethod
    def parse(cls, toml: str | bytes) -> Self:
        """Reads a policy file. Raises `PolicyError`, which lists every problem of the file."""
        return cls(read_policy(toml))

    def workload(self, name: str) -> Workload:
        """Raises KeyError."""
        for workload in self.workloads:
            if workload.name == name:
                return workload
        raise KeyError(name)

    def appraise(self, verdict: Verdict, *, report_data: bytes | None, pin_hash: bytes | None) -> Verdict:
        """`verdict` with a decision: the first workload in the file's order whose rules all pass accepts it.

        If none does, the reasons are those of the closest: one whose measurement fits before one whose does not, then
        the one with the fewest failed rules, then the first. `report_data` is what this session's evidence must
        carry and `pin_hash` the hash of our pinned keys; None where they can't be known, which is listed as skipped.
        """
        if verdict.genuine is not True or verdict.identity is None:
            return self._refuse(verdict)
        binding = Binding(report_data, pin_hash)
        steps = RULE_SETS[verdict.tee].steps
        closest: tuple[Workload, Ledger] | None = None
        for workload in self.workloads:
            kind = RULE_SETS[workload.tee].kind
            if workload.tee is not verdict.tee or not isinstance(verdict.identity, kind):
                continue
            ledger = workload.judge(verdict, verdict.identity, binding)
            if not ledger.not_passed(steps):
                ledger.ok(WORKLOAD, workload.name)
                closes = workload.closes(verdict, verdict.identity)
                return self._decide(verdict, Decision.ACCEPTED, ledger, workload.name, closes)
            if closest is None or _distance(ledger, verdict.tee) < _distance(closest[1], verdict.tee):
                closest = workload, ledger
        if closest is None:
            ledger = Ledger()
            ledger.fail(WORKLOAD, Reason.NO_WORKLOAD, f"no table has tee = {verdict.tee.value!r}")
        else:
            ledger = closest[1]
            ledger.skip(WORKLOAD, f"none accepts; the closest is {closest[0].name!r}, and its rules follow")
        return self._decide(verdict, Decision.REJECTED, ledger, None)

    def _refuse(self, verdict: Verdict) -> Verdict:
        decision = Decision.UNDECIDABLE if verdict.genuine is None else Decision.REJECTED
        ledger = Ledger()
        for step in rules_of(verdict.tee):
            ledger.skip(step, "not run: the evidence is not known to be genuine")
        return self._decide(verdict, decision, ledger, None)

    def _decide(
        self, verdict: Verdict, decision: Decision, ledger: Ledger, workload: str | None, closes: UnixTime | None = None
    ) -> Verdict:
        procedure = rules_of(verdict.tee)
        ends = [end for end in (verdict.valid_until, closes) if end is not None]
        return issue(
            tee=verdict.tee,
            genuine=verdict.genuine,
            reasons=tuple(dict.fromkeys((*verdict.reasons, *ledger.reasons(procedure)))),
            checks=Checks(lambda: verdict.checks + ledger.render(procedure)),
            evidence_hash=verdict.evidence_hash,
            at=verdict.at,
            tcb_status=verdict.tcb_status,
            tcb_date=verdict.tcb_date,
            advisory_ids=verdict.advisory_ids,
            advisories_stated=verdict.advisories_stated,
            tcb_evaluation_number=verdict.tcb_evaluation_number,
            decision=decision,
            workload=workload,
            policy_hash=self.hash,
            simulated=verdict.simulated,
            valid_until=min(ends, default=None),
            platform=verdict.platform,
            identity=verdict.identity,
            tcb_evaluations=verdict.tcb_evaluations,
        )


def _distance(ledger: Ledger, tee: Tee) -> tuple[bool, int]:
    rules = RULE_SETS[tee]
    return not ledger.passed(rules.identifying), len(ledger.not_passed(rules.steps))
