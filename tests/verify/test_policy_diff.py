"""Differences of policies, by what they accept."""

import pytest

from intaglio.verify.policy import Policy
from intaglio.verify.policy_diff import Difference, compare
from tests.verify.policies import SGX, SNP, TDX, Keys, table

OLD, NEW = "aa" * 32, "ab" * 32
Pairs = tuple[tuple[str, str], ...]


def one(before: Keys, after: Keys, keys: Keys = SGX) -> Difference:
    (difference,) = compare(Policy.parse(table(keys, **before)), Policy.parse(table(keys, **after)))
    return difference


@pytest.mark.parametrize(
    ("before", "after", "wider", "narrower"),
    [
        ({}, {"mr_enclave": f'["{OLD}", "{NEW}"]'}, (("mr_enclave", NEW),), ()),
        ({}, {"mr_enclave": f'["{NEW}"]'}, (("mr_enclave", NEW),), (("mr_enclave", OLD),)),
        ({}, {"mr_enclave": f'[{{ value = "{OLD}", not_after = 2026-06-01T00:00:00Z }}]'}, (),
         (("mr_enclave", f"{OLD} at any time (before: until 2026-06-01T00:00:00Z)"),)),
        ({}, {"tcb": '["UpToDate", "OutOfDate"]'}, (("tcb", "OutOfDate"),), ()),
        ({}, {"min_tcb_evaluation_number": "15"}, (("min_tcb_evaluation_number", "15 to 16"),), ()),
        ({}, {"min_tcb_evaluation_number": "18"}, (), (("min_tcb_evaluation_number", "17"),)),
        ({}, {"max_session_age": '"48h"'}, (("max_session_age", "more than 1d, up to 2d"),), ()),
        ({}, {"heartbeat": '"60s"'}, (), (("heartbeat", "anything else"),)),
        ({}, {"advisories": '["INTEL-SA-00615"]'}, (("advisories", "INTEL-SA-00615"),), ()),
        ({}, {"smt": "false"}, (), (("smt", "anything else"),)),
        ({}, {"config_id": f'"{"00" * 64}"'}, (), (("config_id", "anything else"),)),
        ({}, {"debug": None, "dangerous_allow_debug": "true"}, (("debug", "debug"),), ()),
        ({}, {"dangerous_allow_privileged": "true"}, (("dangerous_allow_privileged", "privileged"),), ()),
        ({}, {"platforms": f'["{"01" * 16}"]'}, (), (("platforms", "anything else"),)),
        ({}, {"pin": '"config_id"'}, (("pin", "config_id"),), (("pin", "measured"),)),
        ({"min_tcb_level_date": "2026-01-01T00:00:00Z"}, {"min_tcb_level_date": "2025-01-01T00:00:00Z"},
         (("min_tcb_level_date", "from 2025-01-01T00:00:00Z on"),), ()),
        ({"attributes": f'"04{"00" * 15}"', "attributes_mask": f'"06{"00" * 15}"'},
         {"attributes": f'"04{"00" * 15}"', "attributes_mask": f'"04{"00" * 15}"'},
         (("attributes", f"04{'00' * 15} under the mask 04{'00' * 15}"),), ()),
    ],
)  # fmt: skip
def test_what_a_change_lets_through(before: Keys, after: Keys, wider: Pairs, narrower: Pairs) -> None:
    assert one(before, after) == Difference("meter", "changed", wider, narrower)
    assert one(after, before) == Difference("meter", "changed", narrower, wider)


def test_other_kinds_of_rules() -> None:
    assert one({}, {"min_tcb": "{ bl = 4, tee = 0, snp = 20, ucode = 213 }"}, SNP).wider == (
        ("min_tcb", "snp 20 to 21"),
    )
    free = one({}, {"rtmr0": None, "dangerous_any_rtmr": "true"}, TDX)
    assert (free.wider, free.narrower) == ((("rtmr0", "anything else"),), ())
    assert one({}, {"perfmon": '"any"'}, TDX).wider == (("perfmon", "PERFMON"),)


def test_workloads_come_go_and_move() -> None:
    a, b, c = (table(SGX, name=f'"{name}"') for name in "abc")
    assert compare(Policy.parse(a + b), Policy.parse(a + b)) == ()
    found = compare(Policy.parse(a + b), Policy.parse(c + a))
    assert found == (Difference("c", "added"), Difference("b", "removed"))
    moved = compare(Policy.parse(a + b), Policy.parse(b + a))
    assert {each.kind for each in moved} == {"moved"}
    other = compare(Policy.parse(a), Policy.parse(table(TDX, name='"a"')))
    assert other == (Difference("a", "changed", (("tee", "tdx"),), (("tee", "sgx"),)),)


@pytest.mark.parametrize(
    "changes",
    [
        {"smt": '"any"'}, {"max_session_age": '"1440m"'}, {"min_config_svn": "0"},
        {"mr_enclave": f'["{OLD.upper()}", {{ value = "{OLD}", note = "n", not_after = 2026-06-01T00:00:00Z }}]'},
        {"mr_enclave": f'[{{ value = "{OLD}", not_after = 2026-06-01T00:00:00Z }},'
                       f' {{ value = "{OLD}", not_before = 2026-06-01T00:00:01Z }}]'},
    ],
)  # fmt: skip
def test_another_spelling_is_no_difference(changes: Keys) -> None:
    old, new = Policy.parse(table(SGX)), Policy.parse(table(SGX, **changes))
    assert old.hash == new.hash
    assert compare(old, new) == ()
