"""`policy explain` and `policy diff`: what a policy means, for people and for machines."""

from pathlib import Path

import pytest

from tests.cli.conftest import NOON, run
from tests.verify.policies import SGX, SUBJECTS, TDX, Keys, Subject, table

OLD, NEW = "aa" * 32, "ab" * 32
ROLLOVER = (
    f'[{{ value = "{OLD}", not_after = 2026-06-01T12:00:00Z, note = "release 1" }},'
    f' {{ value = "{NEW}", not_before = 2026-05-31T12:00:00Z, note = "release 2" }}]'
)


def write(folder: Path, keys: Keys, file: str = "policy.toml", /, **changes: str | None) -> Path:
    path = folder / file
    path.write_text(table(keys, **changes))
    return path


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.tee.value)
def test_every_kind_of_table_is_explained(tmp_path: Path, subject: Subject) -> None:
    path = write(tmp_path, subject.keys)
    said = run("policy", "explain", path, "--at", NOON)
    assert said.status == 0
    for text in ("meter", subject.tee.value, "measurement", "any platform", "at most 1d", "our keys are in the"):
        assert text in said.out
    assert "WEAKENED" not in said.out
    (workload,) = run("policy", "explain", path, "--at", NOON, "--json").json["workloads"]
    assert workload["tee"] == subject.tee.value
    assert workload["dangers"] == workload["windows"] == []
    assert all(rule["key"] and rule["check"] and rule["accepts"] for rule in workload["rules"])
    checked = run("policy", "check", path)
    assert (checked.status, subject.tee.value in checked.out) == (0, True)


@pytest.mark.parametrize(
    ("at", "states"), [(NOON - 2 * 86400, ["open", "not yet"]), (NOON, ["open", "open"]), (NOON + 1, ["over", "open"])]
)
def test_windows_are_shown_with_their_state(tmp_path: Path, at: int, states: list[str]) -> None:
    path = write(tmp_path, SGX, mr_enclave=ROLLOVER, advisories='[{ id = "INTEL-SA-1", until = 2030-01-01T00:00:00Z }]')
    said = run("policy", "explain", path, "--at", at)
    (workload,) = run("policy", "explain", path, "--at", at, "--json").json["workloads"]
    shown = [(window["what"], window["state"]) for window in workload["windows"]]
    wanted = zip((f"MRENCLAVE {OLD}", f"MRENCLAVE {NEW}", "INTEL-SA-1"), (*states, "open"), strict=True)
    assert shown == list(wanted)
    assert f"  {states[0]:8} MRENCLAVE {OLD} until 2026-06-01 12:00:00 UTC (release 1)" in said.out
    assert [window["note"] for window in workload["windows"]] == ["release 1", "release 2", ""]
    assert [window["not_before"] for window in workload["windows"]] == [None, NOON - 86400, None]


def test_what_weakens_a_table_is_said_with_what_it_gives_away(tmp_path: Path) -> None:
    changes: Keys = {
        "debug": None, "dangerous_allow_debug": "true", "dangerous_allow_sept_ve": "true", "rtmr1": None,
        "dangerous_any_rtmr": "true", "dangerous_unpinned": "true", "dangerous_allow_migration": "true",
    }  # fmt: skip
    path = write(tmp_path, TDX, **changes)
    said = run("policy", "explain", path)
    (workload,) = run("policy", "explain", path, "--json").json["workloads"]
    for key in (key for key in changes if key.startswith("dangerous_")):
        assert f"WEAKENED {key}: " in said.out
        assert any(danger.startswith(f"{key}: ") for danger in workload["dangers"])
        assert key in run("policy", "check", path).out
    assert "not pinned" in said.out


def test_a_difference_is_of_meaning(tmp_path: Path) -> None:
    old = write(tmp_path, SGX)
    same = write(tmp_path, SGX, "same.toml", max_session_age='"1440m"')
    assert run("policy", "diff", old, same).status == 0
    assert run("policy", "diff", old, same, "--json").json["same"] is True
    new = write(tmp_path, SGX, "new.toml", mr_enclave=f'["{OLD}", "{NEW}"]', max_session_age='"12h"')
    said = run("policy", "diff", old, new)
    assert said.status == 1
    assert f"  + mr_enclave: {NEW}" in said.out
    assert "  - max_session_age: more than 12h, up to 1d" in said.out
    shown = run("policy", "diff", old, new, "--json").json
    assert (shown["same"], shown["wider"], shown["narrower"]) == (False, True, True)
    assert shown["workloads"][0]["wider"] == [{"key": "mr_enclave", "accepts": NEW}]


def test_workloads_that_come_and_go(tmp_path: Path) -> None:
    old = write(tmp_path, SGX)
    new = write(tmp_path, TDX, "new.toml", name='"guest"')
    said = run("policy", "diff", old, new)
    assert "guest: a new workload" in said.out
    assert "meter: no longer accepted at all" in said.out
    shown = run("policy", "diff", old, new, "--json").json
    assert {each["workload"]: each["kind"] for each in shown["workloads"]} == {"guest": "added", "meter": "removed"}


def test_what_is_no_policy_is_a_usage_error(tmp_path: Path) -> None:
    good, bad = write(tmp_path, SGX), write(tmp_path, SGX, "bad.toml", tcb=None)
    for arguments in (("explain", bad), ("diff", good, bad), ("diff", bad, good), ("try", bad), ("explain", "none")):
        ran = run("policy", *arguments)
        assert (ran.status, ran.out) == (2, "")
        assert len(ran.err.splitlines()) == 1
