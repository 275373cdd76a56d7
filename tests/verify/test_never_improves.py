"""A verdict never improves when a check is added: not by a longer procedure, not by one more finding, not by a rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.reasons import Reason
from intaglio.types import Tee
from intaglio.verify.ledger import Group, Ledger, Step
from intaglio.verify.policy import Policy
from intaglio.verify.verdict import Decision
from tests.verify.policies import SUBJECTS, Subject, appraise, genuine, table

STEPS = [Step(str(number), f"step {number}", "", Group.FORMAT) for number in range(6)]
REASONS = list(Reason)[:4]
WORSE = {False: 0, None: 1, True: 2}


@dataclass(frozen=True)
class Record:
    """What one check had to say."""

    step: Step
    outcome: str
    reason: Reason

    def write(self, ledger: Ledger) -> None:
        match self.outcome:
            case "ok":
                ledger.ok(self.step)
            case "fail":
                ledger.fail(self.step, self.reason, "")
            case "undecidable":
                ledger.undecidable(self.step, self.reason, "")
            case "skip":
                ledger.skip(self.step, "")
            case "overturn":
                ledger.overturn(self.step, self.reason, "")


RECORDS = st.builds(
    Record,
    st.sampled_from(STEPS),
    st.sampled_from(["ok", "ok", "fail", "undecidable", "skip", "overturn"]),
    st.sampled_from(REASONS),
)


def ledger_of(records: Sequence[Record]) -> Ledger:
    ledger = Ledger()
    for record in records:
        record.write(ledger)
    return ledger


@given(st.lists(RECORDS, max_size=12), st.sets(st.sampled_from(STEPS)), st.sampled_from(STEPS))
def test_a_longer_procedure_never_improves(records: list[Record], steps: set[Step], more: Step) -> None:
    ledger = ledger_of(records)
    assert WORSE[ledger.genuine(frozenset({*steps, more}))] <= WORSE[ledger.genuine(frozenset(steps))]


@given(st.lists(RECORDS, max_size=12), RECORDS)
def test_one_more_finding_never_improves(records: list[Record], more: Record) -> None:
    """Except that a step which nobody had run may pass: until then the verdict was open for want of it."""
    ledger, procedure = ledger_of(records), frozenset(STEPS)
    before, reasons = ledger.genuine(procedure), set(ledger.reasons(STEPS))
    missing = more.step not in ledger.findings
    more.write(ledger)
    after = ledger.genuine(procedure)
    assert WORSE[after] <= WORSE[before] or (missing and more.outcome == "ok" and before is None)
    assert before is not False or after is False
    if more.outcome != "overturn":
        assert set(ledger.reasons(STEPS)) >= reasons


@given(st.lists(RECORDS, max_size=12))
def test_genuine_means_that_every_step_passed(records: list[Record]) -> None:
    ledger = ledger_of(records)
    if ledger.genuine(frozenset(STEPS)):
        assert all(map(ledger.passed, STEPS))
        assert ledger.reasons(STEPS) == ()
    else:
        assert not all(map(ledger.passed, STEPS)) or ledger.failed


@given(st.lists(RECORDS, max_size=8), st.lists(RECORDS, max_size=8))
def test_findings_taken_over_never_improve(records: list[Record], others: list[Record]) -> None:
    ledger, taken = ledger_of(records), ledger_of(others)
    before = ledger.genuine(frozenset())
    if ledger.findings.keys().isdisjoint(taken.findings):
        ledger.take(taken)
        assert WORSE[ledger.genuine(frozenset())] <= WORSE[before]
    else:
        with pytest.raises(KeyError):
            ledger.take(taken)
        assert ledger.genuine(frozenset()) is before


FURTHER_RULES: dict[Tee, dict[str, tuple[str, ...]]] = {
    Tee.SGX: {
        "min_isv_svn": ("0", "2", "9"),
        "min_config_svn": ("0", "3", "9"),
        "config_id": (f'"{"cc" * 64}"', f'"{"00" * 64}"'),
        "family_id": (f'"{"0f" * 16}"', f'"{"00" * 16}"'),
        "min_tcb_level_date": ("2020-01-01T00:00:00Z", "2026-05-01T00:00:00Z"),
        "smt": ("false",),
        "cached_keys": ("false",),
    },
    Tee.TDX: {
        "rtmr3": (f'["{"e3" * 48}"]', f'["{"00" * 48}"]'),
        "mr_owner": (f'"{"c2" * 48}"', f'"{"00" * 48}"'),
        "mr_seam": (f'"{"5e" * 48}"', f'"{"00" * 48}"'),
        "min_tee_tcb_svn": (f'"{"00" * 16}"', f'"{"ff" * 16}"'),
        "min_tcb_level_date": ("2020-01-01T00:00:00Z", "2026-05-01T00:00:00Z"),
        "dynamic_platform": ("false",),
    },
    Tee.SNP: {
        "min_guest_svn": ("0", "7", "9"),
        "family_id": (f'"{"fa" * 16}"', f'"{"00" * 16}"'),
        "host_data": (f'"{"0d" * 32}"', f'"{"00" * 32}"'),
        "min_launch_tcb": ("{ bl = 4, tee = 0, snp = 22, ucode = 213 }", "{ bl = 9, tee = 0, snp = 22, ucode = 213 }"),
        "products": ('["Milan"]', '["Turin"]'),
        "signing_key": ('"vcek"', '"vlek"'),
        "require_crl": ("true",),
        "require_id_block": ("true",),
    },
    Tee.NITRO: {
        "pcr1": (f'["{"a1" * 48}"]', f'["{"00" * 48}"]'),
        "pcr2": (f'["{"a2" * 48}"]', f'["{"00" * 48}"]'),
        "pcr8": (f'["{"a8" * 48}"]', f'["{"01" * 48}"]'),
    },
}
"""Keys that only ever refuse, each with values that the subject satisfies and values that it does not."""


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.tee.value)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_one_more_rule_never_improves(subject: Subject, data: st.DataObject) -> None:
    rules = FURTHER_RULES[subject.tee]
    chosen = data.draw(st.sets(st.sampled_from(sorted(rules))))
    keys: dict[str, str | None] = {key: data.draw(st.sampled_from(rules[key])) for key in sorted(chosen)}
    accepts = [appraise(Policy.parse(table(subject.keys)), genuine(subject)).decision is Decision.ACCEPTED]
    for count in range(1, len(keys) + 1):
        policy = Policy.parse(table(subject.keys, **dict(list(keys.items())[:count])))
        accepts.append(appraise(policy, genuine(subject)).decision is Decision.ACCEPTED)
    assert accepts == sorted(accepts, reverse=True)
    assert accepts[0]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.tee.value)
def test_each_further_rule_accepts_and_refuses(subject: Subject) -> None:
    """Otherwise the test before this one says nothing."""
    refusing = 0
    for key, values in FURTHER_RULES[subject.tee].items():
        found = [appraise(Policy.parse(table(subject.keys, **{key: each})), genuine(subject)) for each in values]
        refusing += any(each.decision is Decision.REJECTED for each in found)
        assert len(found) == 1 or found[0].decision is Decision.ACCEPTED, key
        assert len(found) == 1 or found[-1].decision is Decision.REJECTED, key
    assert refusing >= 3
