"""docs/simulator.md runs, and says what the code says."""

import re
from pathlib import Path
from typing import Any

import pytest

from intaglio.sim import authority, world
from intaglio.sim.cpu import _Dependencies
from intaglio.sim.loader import SDK_ROOMS
from intaglio.sim.structures import KeyName
from intaglio.sim.world import Lab
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "simulator.md").read_text()


def test_its_programs_run(tmp_path: Path, drawn_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(world, "generate_vendor_key", lambda: drawn_lab.vendor)
    monkeypatch.setattr(authority, "generate_vendor_key", lambda: drawn_lab.authority.quoting_signer)
    Path("meter.py").write_text("pass\n")
    names: dict[str, Any] = {}
    for program in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(program, names)  # noqa: S102
    assert names["machine"].record.name == "beta"
    assert names["evidence"].collateral.tcb_info_issuer_chain.count(b"BEGIN CERTIFICATE") == 3
    listed = set(re.findall(r"^\| `([\w.-]+)`", TEXT, re.MULTILINE))
    assert {path.name for path in Path("lab").iterdir() if path.is_file()} <= listed


def test_it_names_the_rooms_and_the_size_of_the_dependencies() -> None:
    for room in SDK_ROOMS:
        assert f"`{room.removesuffix('.py')}`" in TEXT
    assert f"over {len(_Dependencies(KeyName.SEAL).encode())} bytes" in TEXT
