"""The demonstration passes, fails where it must, and leaves nothing behind, also when it is interrupted."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from intaglio.cli.demo import play as playing
from intaglio.cli.demo import stage
from intaglio.cli.demo.command import Silence
from intaglio.cli.demo.enclaves import ENCLAVE_ATTACKS
from intaglio.cli.measure import policy_table
from intaglio.reasons import Reason
from tests.conftest import REQUIRE_ALL, VECTORS

EXPECTED = {
    "edit": ["FRAME_AUTHENTICATION"],
    "forge": ["FRAME_AUTHENTICATION"],
    "replay": ["REPLAY"],
    "reorder": ["ACCEPTED"],
    "drop": ["MISSING"],
    "swap": ["WRONG_MEASUREMENT"],
    "debug": ["DEBUG_ENCLAVE"],
    "relay": ["OFFER_SIGNATURE", "OFFER_UNKNOWN"],
    "outdated": ["TCB_STATUS", "ADVISORY"],
    "simulated": ["ROOT_UNTRUSTED", "COLLATERAL_MISSING"],
}
COMMAND = [sys.executable, "-m", "intaglio", "demo"]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "INTAGLIO_VECTORS": str(VECTORS)}


def processes_of(folder: Path) -> list[str]:
    """Command lines that name `folder`: enclaves are started on files below it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if str(folder) in line:
            found.append(line)
    return found


def test_every_attack_fails_for_exactly_its_reason(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*COMMAND, "--json"], env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    told = json.loads(ran.stdout)
    assert told["passed"] is True
    assert told["problem"] is None
    assert told["honest"]["value"] == 100
    assert told["honest"]["simulated"] is True
    assert {attack["name"]: attack["reasons"] for attack in told["attacks"]} == EXPECTED
    for attack in told["attacks"]:
        assert attack["defended"]
        assert len(attack["explanations"]) == len(attack["reasons"])
        for name, why in zip(attack["reasons"], attack["explanations"], strict=True):
            assert why
            assert name not in Reason.__members__ or why == Reason[name].summary
    assert told["seconds"] < 60
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []
    if REQUIRE_ALL or (VECTORS / "sgx").is_dir():
        assert told["hardware"]["verdict"]["genuine"] is True
        assert told["hardware"]["flipped"] == {"genuine": False, "reasons": ["QUOTE_SIGNATURE"]}
    else:
        assert told["hardware"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        COMMAND, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("An honest host" if number is signal.SIGINT else "  platform"):
                process.send_signal(number)
                break
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == ""
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def test_it_fails_if_an_attack_succeeds_or_fails_for_another_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = policy_table

    def weak(name: str, mr_enclave: str) -> str:
        return honest(name, mr_enclave).replace("debug = false", "dangerous_allow_debug = true")

    attacks = {attack.name: attack for attack in ENCLAVE_ATTACKS}
    mistaken = replace(attacks["swap"], expected=("DEBUG_ENCLAVE",))
    monkeypatch.setattr(stage, "policy_table", weak)
    monkeypatch.setattr(playing, "ATTACKS", (attacks["debug"], mistaken))
    played = playing.play(Silence())
    assert not played.passed
    accepted, other_reason = (result.problem for result in played.results)
    assert accepted == "the data centre accepted it"
    assert other_reason == "on record is WRONG_MEASUREMENT, and DEBUG_ENCLAVE must be"
