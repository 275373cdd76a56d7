"""Rules about Intel platforms, and values with windows: each passes, and each refuses for its own reason."""

from typing import Any

import pytest

from intaglio.reasons import Reason
from intaglio.verify.policy import Policy
from intaglio.verify.verdict import TcbStatus
from tests.verify.policies import DAY, NOON, SGX, SGX_SUBJECT, appraise, genuine, problems, reasons, table

OLD, NEW = "aa" * 32, "ab" * 32
UNTIL = "2026-06-01T12:00:00Z"
ROLLOVER = (
    f'[{{ value = "{OLD}", not_after = {UNTIL}, note = "release 1" }},'
    f' {{ value = "{NEW}", not_before = 2026-05-31T14:00:00+02:00 }}]'
)


@pytest.mark.parametrize(
    ("measurement", "at", "expected"),
    [
        (OLD, NOON - DAY, ()), (OLD, NOON, ()), (OLD, NOON + 1, (Reason.MEASUREMENT_RETIRED,)),
        (NEW, NOON - DAY - 1, (Reason.MEASUREMENT_NOT_YET_VALID,)), (NEW, NOON - DAY, ()), (NEW, NOON + 400 * DAY, ()),
        ("ac" * 32, NOON, (Reason.WRONG_MEASUREMENT,)),
    ],
)  # fmt: skip
def test_releases_overlap_while_a_fleet_is_updated(measurement: str, at: int, expected: tuple[Reason, ...]) -> None:
    body = {"mr_enclave": bytes.fromhex(measurement)}
    assert reasons(SGX_SUBJECT, {"mr_enclave": ROLLOVER}, at, body=body) == expected


def test_between_two_windows_the_later_one_is_still_to_come() -> None:
    windows = (
        f'[{{ value = "{OLD}", not_after = 2026-05-01T00:00:00Z }},'
        f' {{ value = "{OLD}", not_before = 2026-07-01T00:00:00Z }}]'
    )
    assert reasons(SGX_SUBJECT, {"mr_enclave": windows}) == (Reason.MEASUREMENT_NOT_YET_VALID,)
    assert reasons(SGX_SUBJECT, {"mr_enclave": windows}, NOON - 60 * DAY) == ()
    assert reasons(SGX_SUBJECT, {"mr_enclave": windows}, NOON + 60 * DAY) == ()


def test_an_acceptance_holds_until_the_window_closes() -> None:
    """A session must not outlive the release that it was accepted for."""
    policy = Policy.parse(table(SGX, mr_enclave=ROLLOVER))
    assert appraise(policy, genuine(SGX_SUBJECT, NOON - 10)).valid_until == NOON
    assert appraise(policy, genuine(SGX_SUBJECT, NOON - 10, valid_until=NOON - 5)).valid_until == NOON - 5
    assert appraise(Policy.parse(table(SGX)), genuine(SGX_SUBJECT)).valid_until is None


def test_windows_that_overlap_are_one() -> None:
    windows = (
        f'[{{ value = "{OLD}", not_after = 2026-06-02T00:00:00Z }},'
        f' {{ value = "{OLD}", not_before = 2026-06-01T00:00:00Z, not_after = 2026-06-11T12:00:00Z }}]'
    )
    policy = Policy.parse(table(SGX, mr_enclave=windows))
    assert appraise(policy, genuine(SGX_SUBJECT)).valid_until == NOON + 10 * DAY


def test_windows_with_a_gap_are_two() -> None:
    windows = (
        f'[{{ value = "{OLD}", not_before = 2026-06-01T12:00:00Z, not_after = 2026-06-02T12:00:00Z }},'
        f' {{ value = "{OLD}", not_before = 2026-07-01T12:00:00Z, not_after = 2026-07-02T12:00:00Z }}]'
    )
    policy = Policy.parse(table(SGX, mr_enclave=windows))
    for begin in (NOON, NOON + 30 * DAY):
        for at in (begin, begin + 1, begin + DAY):
            assert appraise(policy, genuine(SGX_SUBJECT, at)).valid_until == begin + DAY
        late = appraise(policy, genuine(SGX_SUBJECT, begin + DAY + 1)).reasons
        assert late == (Reason.MEASUREMENT_NOT_YET_VALID if begin == NOON else Reason.MEASUREMENT_RETIRED,)


@pytest.mark.parametrize(
    "item",
    [
        f'{{ value = "{OLD}", not_after = 2026-06-01T12:00:00 }}',
        f'{{ value = "{OLD}", not_after = 2026-06-01 }}',
        f'{{ value = "{OLD}", not_after = "2026-06-01T12:00:00Z" }}',
        f'{{ value = "{OLD}", not_after = 1780315200 }}',
        f'{{ value = "{OLD}", not_after = 2026-06-01T12:00:00.5Z }}',
        f'{{ value = "{OLD}", not_after = 1969-12-31T23:59:59Z }}',
        f'{{ value = "{OLD}", not_before = 2026-06-02T00:00:00Z, not_after = 2026-06-01T00:00:00Z }}',
        f'{{ value = "{OLD}", until = 2026-06-01T12:00:00Z }}',
        f'{{ value = "{OLD}", note = 1 }}',
        "{ not_after = 2026-06-01T12:00:00Z }",
        '{ value = "aa" }',
        "1",
    ],
)
def test_a_window_that_could_be_misread_is_an_error(item: str) -> None:
    (problem,) = problems(table(SGX, mr_enclave=f"[{item}]"))
    assert problem.startswith("accept 'meter': mr_enclave: ")


def test_the_hash_is_of_what_a_window_means() -> None:
    plain, noted = f'["{OLD}"]', f'[{{ value = "{OLD.upper()}", note = "release 1" }}, "{OLD}"]'
    elsewhere = f'[{{ value = "{OLD}", not_after = 2026-06-01T14:00:00+02:00 }}]'
    here = f'[{{ value = "{OLD}", not_after = {UNTIL} }}]'
    assert _hash(plain) == _hash(noted)
    assert _hash(elsewhere) == _hash(here)
    assert _hash(plain) != _hash(here)


def _hash(measurements: str) -> bytes:
    return Policy.parse(table(SGX, mr_enclave=measurements)).hash


@pytest.mark.parametrize(
    ("keys", "facts", "expected"),
    [
        ({}, {}, ()),
        ({}, {"tcb_status": TcbStatus.SW_HARDENING_NEEDED}, (Reason.TCB_STATUS,)),
        ({"tcb": '["UpToDate", "SWHardeningNeeded"]'}, {"tcb_status": TcbStatus.SW_HARDENING_NEEDED}, ()),
        ({}, {"tcb_status": None}, (Reason.TCB_STATUS,)),
        ({"tcb": '["UpToDate", "OutOfDate"]'}, {"tcb_status": TcbStatus.REVOKED}, (Reason.TCB_STATUS,)),
        ({"min_tcb_level_date": "2026-02-21T12:00:00Z"}, {}, ()),
        ({"min_tcb_level_date": "2026-02-21T12:00:01Z"}, {}, (Reason.TCB_LEVEL_TOO_OLD,)),
        ({"min_tcb_level_date": "2026-02-21T12:00:00Z"}, {"tcb_date": None}, (Reason.TCB_LEVEL_TOO_OLD,)),
        ({}, {"advisory_ids": ("INTEL-SA-00615",)}, (Reason.ADVISORY,)),
        ({"advisories": '["INTEL-SA-00615"]'}, {"advisory_ids": ("INTEL-SA-00615",)}, ()),
        ({"advisories": '["INTEL-SA-00615"]'}, {"advisories_stated": False}, (Reason.ADVISORY,)),
        ({"advisories": f'[{{ id = "INTEL-SA-00615", until = {UNTIL}, note = "n" }}]'},
         {"advisory_ids": ("INTEL-SA-00615",)}, ()),
        ({"advisories": '[{ id = "INTEL-SA-00615", until = 2026-06-01T11:59:59Z }]'},
         {"advisory_ids": ("INTEL-SA-00615",)}, (Reason.ADVISORY_OVER,)),
        ({"advisories": '[{ id = "INTEL-SA-00615", until = 2026-06-01T11:59:59Z }]'}, {}, ()),
        ({"min_tcb_evaluation_number": "18"}, {}, (Reason.TCB_EVALUATION_TOO_OLD,)),
        ({"min_tcb_evaluation_number": "0"}, {"tcb_evaluation_number": None}, (Reason.TCB_EVALUATION_TOO_OLD,)),
        ({"platforms": f'["{"01" * 16}"]'}, {}, ()),
        ({"platforms": f'["{"02" * 16}"]'}, {}, ()),
        ({"platforms": f'["{"03" * 16}"]'}, {}, (Reason.PLATFORM_NOT_ALLOWED,)),
        ({"platforms": f'["{"01" * 16}"]'}, {"platform": None}, (Reason.PLATFORM_NOT_ALLOWED,)),
        ({"smt": "false"}, {}, (Reason.PLATFORM_CONFIGURATION,)),
        ({"smt": '"any"', "dynamic_platform": "false", "cached_keys": "false"}, {}, ()),
        ({"cached_keys": "false"}, {"platform": None}, (Reason.PLATFORM_CONFIGURATION,)),
    ],
)  # fmt: skip
def test_each_rule_of_an_intel_platform(
    keys: dict[str, str | None], facts: dict[str, Any], expected: tuple[Reason, ...]
) -> None:
    assert reasons(SGX_SUBJECT, keys, **facts) == expected


OUTDATED: dict[str, Any] = {"tcb_status": TcbStatus.OUT_OF_DATE}


@pytest.mark.parametrize(
    ("grace", "facts", "expected"),
    [
        (None, OUTDATED, ()),
        ("100d", OUTDATED, ()),
        ("99d", OUTDATED, (Reason.TCB_GRACE_OVER,)),
        ("99d", {"tcb_status": TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED}, (Reason.TCB_GRACE_OVER,)),
        ("99d", {"tcb_status": TcbStatus.UP_TO_DATE}, ()),
        ("100d", {**OUTDATED, "tcb_date": None}, (Reason.TCB_GRACE_OVER,)),
    ],
)
def test_a_grace_period_bounds_what_is_out_of_date(
    grace: str | None, facts: dict[str, Any], expected: tuple[Reason, ...]
) -> None:
    """Intel's platform_grace_period: it makes nothing acceptable that `tcb` does not list."""
    listed = '["UpToDate", "OutOfDate", "OutOfDateConfigurationNeeded"]'
    keys = {"tcb": listed, "platform_grace_period": None if grace is None else f'"{grace}"'}
    assert reasons(SGX_SUBJECT, keys, **facts) == expected


def test_a_grace_period_ends_a_session() -> None:
    policy = Policy.parse(table(SGX, tcb='["UpToDate", "OutOfDate"]', platform_grace_period='"101d"'))
    assert appraise(policy, genuine(SGX_SUBJECT, **OUTDATED)).valid_until == NOON + DAY
    assert appraise(policy, genuine(SGX_SUBJECT)).valid_until is None


def test_a_grace_period_for_nothing_is_an_error() -> None:
    (problem,) = problems(table(SGX, platform_grace_period='"30d"'))
    assert "lists no status that could be in grace" in problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("advisories", '[{ id = "INTEL-SA-00615", until = "2026-06-01" }]'), ("advisories", "[{ }]"),
        ("advisories", "5"),
        ("advisories", '[{ id = "INTEL-SA-00615", not_after = 2026-06-01T00:00:00Z }]'), ("tcb", "[{ a = 1 }]"),
        ("min_tcb_level_date", '"2026-06-01"'), ("min_tcb_level_date", "2026-06-01"),
        ("platform_grace_period", "30"), ("misc_select", '"00000000"'), ("misc_select_mask", '"00000000"'),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_key(key: str, value: str) -> None:
    (problem,) = problems(table(SGX, **{key: value}))
    assert problem.startswith(f"accept 'meter': {key.removesuffix('_mask')}: ")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("accepted_tcb_status", "it is called tcb here"), ("collateral_grace_period", "never judged by expired"),
        ("rejected_advisory_ids", "every advisory rejects here"), ("min_eval_num", "min_tcb_evaluation_number"),
    ],
)  # fmt: skip
def test_words_of_intels_appraisal_are_explained(key: str, hint: str) -> None:
    (problem,) = problems(table(SGX, **{key: "1"}))
    assert problem.startswith(f"accept 'meter': {key}: unknown key: ")
    assert hint in problem


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"min_isv_svn": "2"}, ()), ({"min_isv_svn": "3"}, (Reason.SVN_TOO_LOW,)),
        ({"misc_select": '"00000000"', "misc_select_mask": '"ffffffff"'}, ()),
        ({"misc_select": '"01000000"', "misc_select_mask": '"01000000"'}, (Reason.WRONG_CONFIGURATION,)),
        ({"attributes": f'"04{"00" * 15}"', "attributes_mask": f'"06{"00" * 15}"'}, ()),
        ({"attributes": f'"00{"00" * 15}"', "attributes_mask": f'"04{"00" * 15}"'}, (Reason.WRONG_CONFIGURATION,)),
        ({"config_id": f'["{"00" * 64}", "{"cc" * 64}"]'}, ()),
        ({"config_id": f'"{"00" * 64}"'}, (Reason.WRONG_CONFIGURATION,)),
        ({"family_id": f'"{"0f" * 16}"', "ext_prod_id": f'"{"0e" * 16}"', "min_config_svn": "3"}, ()),
        ({"family_id": f'"{"00" * 16}"'}, (Reason.WRONG_PRODUCT,)),
        ({"ext_prod_id": f'"{"00" * 16}"'}, (Reason.WRONG_PRODUCT,)),
        ({"min_config_svn": "4"}, (Reason.SVN_TOO_LOW,)),
        ({"mr_enclave": None, "mr_signer": f'"{"bb" * 32}"', "isv_prod_id": "1", "min_isv_svn": "2",
          "dangerous_unpinned": "true"}, ()),
        ({"mr_enclave": None, "mr_signer": f'"{"bc" * 32}"', "isv_prod_id": "1", "min_isv_svn": "2",
          "dangerous_unpinned": "true"}, (Reason.WRONG_SIGNER,)),
        ({"mr_enclave": None, "mr_signer": f'"{"bb" * 32}"', "isv_prod_id": "2", "min_isv_svn": "2",
          "dangerous_unpinned": "true"}, (Reason.WRONG_PRODUCT,)),
        ({"mr_enclave": None, "mr_signer": f'"{"bb" * 32}"', "isv_prod_id": "1", "min_isv_svn": "3",
          "dangerous_unpinned": "true"}, (Reason.SVN_TOO_LOW,)),
    ],
)  # fmt: skip
def test_each_rule_of_an_sgx_enclave(keys: dict[str, str | None], expected: tuple[Reason, ...]) -> None:
    assert reasons(SGX_SUBJECT, keys) == expected
