"""examples/ratls_meter.py, and `intaglio verify` on the certificate that it leaves."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from intaglio.sim.loader import measure
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from tests.cli.conftest import run
from tests.conftest import ROOT
from tests.gateway.world import POLICY


def test_the_example_makes_a_certificate_that_is_accepted_by_measurement(tmp_path: Path) -> None:
    now = UnixTime(int(time.time()))
    lab = Lab.create(tmp_path / "lab", now)
    script = Path(shutil.copy(ROOT / "examples" / "ratls_meter.py", tmp_path))
    (tmp_path / "policy.toml").write_text(POLICY.format(measurement=measure(script).hex()))
    command = [sys.executable, script.name, "--lab", "lab", "--policy", "policy.toml"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "accepted as meter" in said

    (tmp_path / "c.json").write_bytes(lab.collateral("alpha", now))
    given = ("--lab", tmp_path / "lab" / "root.pem", "--collateral", tmp_path / "c.json")
    ran = run("verify", tmp_path / "meter.der", *given, "--policy", tmp_path / "policy.toml", "--json")
    assert (ran.status, ran.json["verdict"], ran.json["certificate"]["bound"]) == (0, "accepted", True)

    (tmp_path / "policy.toml").write_text(POLICY.format(measurement="00" * 32))
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "refused: WRONG_MEASUREMENT" in said
