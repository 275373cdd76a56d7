"""What is deployed is what is here: units and images name commands that exist, alarms name metrics that exist."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from intaglio.gateway.metrics import AnswerTimes, metrics_text
from intaglio.reasons import Reason
from tests.conftest import ROOT
from tests.gateway.test_metrics import NOTHING, samples
from tests.gateway.test_outlook import LINE
from tests.gateway.world import NOON
from tests.test_documents import parse

UNIT = ROOT / "deploy" / "intaglio.service"
IMAGE = ROOT / "deploy" / "Dockerfile"
PAGE = ROOT / "docs" / "operation.md"


def unit_command() -> list[str]:
    # systemd repeats keys; those that repeat are not read here.
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(UNIT.read_text())
    return shlex.split(unit["Service"]["ExecStart"])


def image_command() -> list[str]:
    words: list[str] = []
    for keyword in ("ENTRYPOINT", "CMD"):
        (line,) = re.findall(rf"^{keyword} (\[.*\])$", IMAGE.read_text(), re.MULTILINE)
        words += json.loads(line)
    return words


@pytest.mark.parametrize("command", [unit_command(), image_command()], ids=["unit", "image"])
def test_the_command_is_one_that_intaglio_takes(command: list[str]) -> None:
    program, *arguments = command
    assert program == "/opt/intaglio/bin/intaglio"
    assert parse(arguments) is None
    assert parse([*arguments, "--no-such-option"]) is not None


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    unit = tmp_path / "intaglio.service"
    unit.write_text(UNIT.read_text().replace("/opt/intaglio/bin/intaglio", "/bin/true"))
    ran = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    about = [line for line in ran.stderr.splitlines() if "intaglio.service" in line]
    assert (ran.returncode, about) == (0, []), ran.stderr


def test_the_image_takes_what_the_wheel_is_built_from_and_no_more() -> None:
    listed = (IMAGE.with_name("Dockerfile.dockerignore")).read_text().splitlines()
    patterns = [line for line in listed if line and not line.startswith("#")]
    assert patterns[0] == "*"
    assert all((ROOT / pattern.removeprefix("!")).exists() for pattern in patterns[1:])


def test_alarms_name_metrics_and_reasons_that_exist() -> None:
    times = AnswerTimes()
    times.observe("/v1/hello", 200, 1)
    known = {name for name, _ in samples(metrics_text(replace(NOTHING, last_at=NOON), (), NOON) + times.text())}
    known |= {"intaglio_refused_total", LINE.partition("{")[0]}
    page = PAGE.read_text()
    assert len(set(re.findall(r"\bintaglio_[a-z_]+", page))) >= 8
    assert set(re.findall(r"\bintaglio_[a-z_]+", page)) <= known
    assert set(re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b", page)) <= set(Reason.__members__)
    assert page.count("\n### ") == 11
