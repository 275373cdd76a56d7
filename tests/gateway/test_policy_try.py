"""`policy try` says beforehand what a gateway does when it starts with another policy."""

import sqlite3
from pathlib import Path

from tests.cli.conftest import Ran, run
from tests.gateway.world import HOUR, IMAGE, NOON, POLICY, World


def write(folder: Path, **changes: str) -> Path:
    text = POLICY.format(measurement=IMAGE.mr_enclave().hex())
    for old, new in changes.items():
        assert f"{old} = " in text
        text = "\n".join(f"{old} = {new}" if line.startswith(f"{old} = ") else line for line in text.splitlines())
    path = folder / "new.toml"
    path.write_text(text)
    return path


def attempt(world: World, policy: Path, *arguments: object, at: int = NOON + HOUR) -> Ran:
    store, root = world.settings.folder, world.settings.lab_roots[0]
    return run("policy", "try", policy, *arguments, "--store", store, "--lab", root, "--at", at)


def test_a_policy_that_still_allows_everybody(world: World, tmp_path: Path) -> None:
    with world.gateway() as dc:
        dc.session(), dc.session()
    ran = attempt(world, write(tmp_path))
    assert (ran.status, ran.out.strip()) == (0, "2 sessions: 2 kept, 0 shortened, 0 ended")


def test_who_would_be_rejected_and_why(world: World, tmp_path: Path) -> None:
    with world.gateway() as dc:
        guest, _ = dc.session()
        dc.session()
    policy = write(tmp_path, mr_enclave=f'["{"ab" * 32}"]', min_tcb_evaluation_number="99")
    ran = attempt(world, policy)
    assert ran.status == 1
    assert "2 sessions: 0 kept, 0 shortened, 2 ended" in ran.out
    assert "2 WRONG_MEASUREMENT: " in ran.out
    shown = attempt(world, policy, "--json").json
    assert shown["sessions"] == {"judged": 2, "kept": 0, "shortened": 0, "ended": 2}
    assert shown["reasons"] == {"WRONG_MEASUREMENT": 2}
    found = next(each for each in shown["changed"] if each["session"] == guest.session.hex())
    assert found["reasons"] == ["WRONG_MEASUREMENT", "TCB_EVALUATION_TOO_OLD"]
    assert (found["outcome"], found["workload"], found["new_workload"]) == ("ended", "meter", None)
    with world.reader() as reader:
        assert all(session.expires_at > NOON + HOUR for session in reader.sessions()), "a trial changes nothing"


def test_the_gateway_does_what_was_said(world: World, tmp_path: Path) -> None:
    with world.gateway() as dc:
        dc.session()
    policy = write(tmp_path, max_session_age='"3h"')
    shown = attempt(world, policy, "--json").json
    assert shown["sessions"] == {"judged": 1, "kept": 0, "shortened": 1, "ended": 0}
    world.settings.policy.write_text(policy.read_text())
    world.clock.now = NOON + HOUR
    with world.gateway(), world.reader() as reader:
        (session,) = reader.sessions()
        assert session.expires_at == shown["changed"][0]["new_expires_at"] == NOON + 3 * HOUR


def test_a_measurement_that_retires_shortens_its_sessions(world: World, tmp_path: Path) -> None:
    with world.gateway() as dc:
        dc.session()
    measurement = IMAGE.mr_enclave().hex()
    policy = write(tmp_path, mr_enclave=f'[{{ value = "{measurement}", not_after = 2026-06-01T14:00:00Z }}]')
    ran = attempt(world, policy)
    assert (ran.status, "until 2026-06-01 14:00:00 UTC" in ran.out) == (0, True)
    late = attempt(world, policy, "--json", at=NOON + 2 * HOUR)
    assert (late.status, late.json["reasons"]) == (1, {"SESSION_ENDED": 1})
    world.settings.policy.write_text(policy.read_text())
    world.clock.now = NOON + HOUR
    with world.gateway(), world.reader() as reader:
        assert [session.expires_at for session in reader.sessions()] == [NOON + 2 * HOUR]


def test_sessions_that_have_ended_are_judged_on_request(world: World, tmp_path: Path) -> None:
    with world.gateway() as dc:
        dc.session()
    policy, later = write(tmp_path, mr_enclave=f'["{"ab" * 32}"]'), NOON + 100 * HOUR
    assert "0 sessions" in attempt(world, policy, at=later).out
    ran = attempt(world, policy, "--all", at=later)
    assert (ran.status, "1 session: 0 kept, 0 shortened, 1 ended" in ran.out) == (0, True)


def test_stored_evidence_that_can_not_be_read_is_named(world: World, tmp_path: Path) -> None:
    with world.gateway() as dc:
        dc.session()
    with sqlite3.connect(world.settings.database) as connection:
        connection.execute("UPDATE evidence SET bytes = x'00'")
    connection.close()
    shown = attempt(world, write(tmp_path), "--json")
    assert (shown.status, shown.json["reasons"]) == (1, {"MALFORMED_EVIDENCE": 1})


def test_evidence_in_files(world: World, tmp_path: Path) -> None:
    with world.gateway() as dc:
        dc.session()
    with world.reader() as reader:
        (stored,) = reader.evidence(NOON)
    assert stored.collateral is not None
    quote, collateral, other = (tmp_path / name for name in ("quote.bin", "collateral.json", "other.txt"))
    quote.write_bytes(stored.evidence)
    collateral.write_bytes(stored.collateral)
    other.write_text("no evidence")
    files = ("--collateral", collateral, "--lab", world.settings.lab_roots[0], "--at", NOON)
    good = run("policy", "try", write(tmp_path), quote, *files)
    assert (good.status, good.out.strip()) == (0, f"{quote}: accepted as meter")
    bad = run("policy", "try", write(tmp_path, mr_enclave=f'["{"ab" * 32}"]'), quote, other, *files, "--json")
    assert bad.status == 1
    assert [each["reasons"] for each in bad.json["files"]] == [["WRONG_MEASUREMENT"], ["MALFORMED_EVIDENCE"]]
    assert bad.json["sessions"]["judged"] == 0
    assert run("policy", "try", write(tmp_path), quote, *files[2:]).status == 1


def test_a_pin_that_nobody_gave_is_pointed_out(world: World, tmp_path: Path) -> None:
    with world.gateway() as dc:
        dc.session()
    policy = write(tmp_path, pin='"config_id"')
    assert "nobody looked at the pin of meter" in attempt(world, policy).err
    pin = tmp_path / "dc.pub"
    pin.write_text(world.pin.to_text())
    shown = attempt(world, policy, "--pin", pin, "--json")
    assert (shown.status, shown.json["reasons"]) == (1, {"WRONG_PIN": 1})


def test_a_store_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert run("policy", "try", write(tmp_path), "--store", tmp_path / "nowhere").status == 2
