"""What holds for every policy: it improves nothing, another rule accepts no more, and its hash is of its meaning."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.policy import Policy
from intaglio.verify.policy_diff import compare
from intaglio.verify.rules.table import Below, Table
from intaglio.verify.verdict import Checks, Decision, TcbStatus, Verdict, issue
from tests.verify.policies import (
    DAY,
    INTEL,
    NOON,
    REPORT_DATA,
    SNP_SUBJECT,
    SUBJECTS,
    TDX_SUBJECT,
    Keys,
    Subject,
    appraise,
    genuine,
    table,
)  # fmt: skip
from tests.verify.test_policy_tees import NITRO_CASES, SNP_CASES, TDX_CASES

_UNTIL, _ZEROS = "not_after = 2026-06-02T12:00:00Z", "00" * 48
_INTEL_MORE: dict[str, tuple[str, ...]] = {
    "min_tcb_level_date": ("2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"),
    "smt": ("false",), "cached_keys": ("false",), "dynamic_platform": ("false",),
    "platforms": (f'["{"01" * 16}"]', f'["{"09" * 16}"]'), "min_tcb_evaluation_number": ("17", "18"),
}  # fmt: skip
MORE: dict[Tee, dict[str, tuple[str, ...]]] = {
    Tee.SGX: {
        **_INTEL_MORE, "min_isv_svn": ("2", "3"), "config_id": (f'"{"cc" * 64}"', f'"{"cd" * 64}"'),
        "family_id": (f'"{"0f" * 16}"', f'"{"00" * 16}"'), "ext_prod_id": (f'"{"0e" * 16}"',),
        "min_config_svn": ("3", "4"), "mr_enclave": (f'[{{ value = "{"aa" * 32}", {_UNTIL} }}]',),
    },
    Tee.TDX: {
        **_INTEL_MORE, "rtmr3": (f'["{"e3" * 48}"]', f'["{_ZEROS}"]'), "mr_seam": (f'"{"5e" * 48}"', f'"{_ZEROS}"'),
        "mr_signer_seam": (f'"{_ZEROS}"',), "min_tee_tcb_svn": (f'"0501{"00" * 14}"', f'"0601{"00" * 14}"'),
        "mr_config_id": (f'"{"c1" * 48}"', f'"{_ZEROS}"'), "mr_owner": (f'"{"c2" * 48}"', f'"{_ZEROS}"'),
    },
    Tee.SNP: {
        "host_data": (f'"{"0d" * 32}"', f'"{"00" * 32}"'), "min_build": ("21", "22"), "min_version": ('"1.56"',),
        "min_guest_svn": ("7", "8"), "signing_key": ('"vcek"', '"vlek"'), "products": ('["Milan"]', '["Turin"]'),
        "require_crl": ("true",), "require_id_block": ("true",), "require_author_key": ("true",),
        "min_launch_tcb": ("{ bl = 4, tee = 0, snp = 22, ucode = 214 }",),
        "platform_info": ("{ smt_en = true }", "{ smt_en = false, alias_check_complete = true }"),
        "guest_policy": ("{ smt = false }", '{ smt = "any", single_socket = true }'),
    },
    Tee.NITRO: {
        "pcr1": (f'["{"a1" * 48}"]', f'["{_ZEROS}"]'), "pcr8": (f'["{"a8" * 48}"]', f'["{"a0" * 48}"]'),
        "pcr3": (f'["{"a3" * 48}"]', f'["{_ZEROS}"]'), "platforms": ('["i-0abc"]', '["i-1"]'),
    },
}  # fmt: skip
"""Rules that a table may have besides those of its subject: one of them never lets more through."""

WEAKER: dict[Tee, Keys] = {
    Tee.SGX: {"dangerous_allow_privileged": "true"},
    Tee.TDX: {"dangerous_allow_sept_ve": "true", "dangerous_allow_migration": "true", "perfmon": '"any"'},
    Tee.SNP: {"dangerous_allow_migration": "true", "dangerous_allow_provisional_firmware": "true"},
    Tee.NITRO: {},
}

_BODIES = {
    Tee.SGX: [{}, {"mr_enclave": bytes(32)}, {"isv_svn": 1}, {"config_id": bytes(64)}],
    Tee.TDX: [body for _, body, _ in TDX_CASES], Tee.SNP: [body for _, body, _ in SNP_CASES],
    Tee.NITRO: [body for _, body, _ in NITRO_CASES],
}  # fmt: skip
_FACTS: list[dict[str, Any]] = [
    {}, {"platform": None}, {"tcb_status": TcbStatus.OUT_OF_DATE}, {"advisory_ids": ("INTEL-SA-00615",)},
    {"tcb_evaluation_number": 16}, {"tcb_date": None},
]  # fmt: skip


def draw_subject(data: st.DataObject) -> Subject:
    subject: Subject = data.draw(st.sampled_from(SUBJECTS))
    return subject


def draw_keys(data: st.DataObject, subject: Subject) -> Keys:
    """Some rules more; never all that there are."""
    more = MORE[subject.tee]
    chosen = data.draw(st.lists(st.sampled_from(sorted(more)), unique=True, max_size=3))
    return {key: data.draw(st.sampled_from(more[key])) for key in chosen}


def draw_verdict(data: st.DataObject, subject: Subject) -> Verdict:
    body = data.draw(st.sampled_from(_BODIES[subject.tee]))
    facts = data.draw(st.sampled_from(_FACTS))
    at = NOON + data.draw(st.sampled_from((0, DAY, 3 * DAY)))
    return genuine(subject, at, identity=replace(subject.identity, **body), **facts)


def accepts(keys: Keys, verdict: Verdict) -> bool:
    return appraise(Policy.parse(table(keys)), verdict).decision is Decision.ACCEPTED


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_another_rule_accepts_no_more(data: st.DataObject) -> None:
    subject = draw_subject(data)
    verdict = draw_verdict(data, subject)
    some = draw_keys(data, subject)
    key = data.draw(st.sampled_from(sorted(MORE[subject.tee].keys() - some.keys())))
    more = {**some, key: data.draw(st.sampled_from(MORE[subject.tee][key]))}
    if accepts({**subject.keys, **more}, verdict):
        assert accepts({**subject.keys, **some}, verdict)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_has_an_ugly_name_refuses_no_more(data: st.DataObject) -> None:
    subject = draw_subject(data)
    verdict = draw_verdict(data, subject)
    some = draw_keys(data, subject)
    if accepts({**subject.keys, **some}, verdict):
        assert accepts({**subject.keys, **some, **WEAKER[subject.tee]}, verdict)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_difference_that_is_not_wider_accepts_no_more(data: st.DataObject) -> None:
    """What `policy diff` says is what the two policies do."""
    subject = draw_subject(data)
    verdict = draw_verdict(data, subject)
    old = Policy.parse(table({**subject.keys, **draw_keys(data, subject)}))
    new = Policy.parse(table({**subject.keys, **draw_keys(data, subject)}))
    differences = compare(old, new)
    assert bool(differences) == (old.hash != new.hash)
    was, is_now = (appraise(policy, verdict).decision is Decision.ACCEPTED for policy in (old, new))
    if is_now and not was:
        assert any(each.wider for each in differences)
    if was and not is_now:
        assert any(each.narrower for each in differences)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_the_hash_does_not_depend_on_order(data: st.DataObject) -> None:
    subject = draw_subject(data)
    keys = {**subject.keys, **draw_keys(data, subject)}
    shuffled = {key: keys[key] for key in data.draw(st.permutations(sorted(keys)))}
    assert Policy.parse(table(keys)).hash == Policy.parse(table(shuffled)).hash


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.tee.value)
def test_every_key_is_in_the_hash(subject: Subject) -> None:
    """Two files that differ in one value have two hashes."""
    seen = {Policy.parse(table(subject.keys)).hash}
    count = 1
    for key, values in {**MORE[subject.tee], **{k: (v,) for k, v in WEAKER[subject.tee].items() if v}}.items():
        for value in values:
            if subject.keys.get(key) == value:
                continue
            seen.add(Policy.parse(table(subject.keys, **{key: value})).hash)
            count += 1
    assert len(seen) == count


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.tee.value)
@pytest.mark.parametrize("genuineness", [False, None])
def test_a_policy_improves_nothing(subject: Subject, genuineness: bool | None) -> None:
    before = issue(
        tee=subject.tee, genuine=genuineness, reasons=(Reason.QUOTE_SIGNATURE,), checks=Checks(tuple),
        evidence_hash=bytes(32), at=UnixTime(NOON), identity=subject.identity, **subject.facts,
    )  # fmt: skip
    after = Policy.parse(table(subject.keys)).appraise(before, report_data=REPORT_DATA, pin_hash=None)
    assert after.decision is (Decision.REJECTED if genuineness is False else Decision.UNDECIDABLE)
    assert (after.genuine, after.reasons, after.workload) == (genuineness, before.reasons, None)


def test_the_cases_use_every_key_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that nobody tests is a rule that nobody knows to work."""
    for subject, cases in ((TDX_SUBJECT, TDX_CASES), (SNP_SUBJECT, SNP_CASES)):
        used = {key for keys, _, _ in cases for key in keys} | set(subject.keys)
        texts = "".join(str(value) for keys, _, _ in cases for value in keys.values()) + str(subject.keys)
        asked = set(asked_keys(subject, monkeypatch))
        assert {key for key in asked if "." not in key} - used - set(INTEL_OPTIONAL) == set()
        assert {key for key in asked if "." in key and key.partition(".")[2] not in texts} == set()


INTEL_OPTIONAL = (
    *INTEL, "min_tcb_level_date", "platform_grace_period", "smt", "cached_keys", "dynamic_platform",
)  # fmt: skip
"""Tested in test_policy_intel for both."""


def asked_keys(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every key that the reader of this kind of table looks for."""
    found: set[str] = set()
    with monkeypatch.context() as patch:
        for method in ("take", "maybe", "has", "below"):
            patch.setattr(Table, method, _recording(getattr(Table, method), lambda _, key: found.add(key)))
        for method in ("take", "maybe", "has"):
            record = _recording(getattr(Below, method), lambda below, name: found.add(below.key(name)))
            patch.setattr(Below, method, record)
        Policy.parse(table(subject.keys))
    yield from sorted(found)


def _recording(method: Any, record: Any) -> Any:
    def recorded(self: Any, key: str, *arguments: Any, **named: Any) -> Any:
        record(self, key)
        return method(self, key, *arguments, **named)

    return recorded


_STRICT = {"smt", "min_version", "require_id_block", "require_author_key", "min_launch_tcb", "guest_policy"}
"""Whose first value refuses the honest guest."""


def test_the_properties_are_about_policies_that_accept_something() -> None:
    """The properties would hold of policies that accept nothing."""
    for subject in SUBJECTS:
        assert accepts(subject.keys, genuine(subject))
        for key, values in MORE[subject.tee].items():
            assert accepts({**subject.keys, key: values[0]}, genuine(subject)) is (key not in _STRICT), key
