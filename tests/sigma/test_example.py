"""examples/sigma_meter.py against `intaglio serve --sigma`, every part of it a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from intaglio.gateway.sealed_file import Passphrase
from intaglio.gateway.sigma_key import open_sigma_key, read_pem_key
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from tests.conftest import ROOT

ENVIRONMENT = {**os.environ, "INTAGLIO_PASSPHRASE": "open sesame"}


def intaglio(folder: Path, *arguments: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "intaglio", *arguments]
    run = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert run.returncode == status, run.stderr
    return run.stdout if status == 0 else run.stderr


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "intaglio", "serve", "--policy", "policy.toml", "--sigma", "sp.key", "--lab"]
    command += ["lab/root.pem", "--collateral", "collateral", "--listen", "127.0.0.1:0", "--quiet"]
    with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            yield served.stdout.readline().strip()
        finally:
            served.send_signal(signal.SIGTERM)
            assert served.wait(30) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    now = UnixTime(int(time.time()))
    lab = Lab.create(tmp_path / "lab", now)
    (tmp_path / "collateral").mkdir()
    (tmp_path / "collateral" / "alpha.json").write_bytes(lab.collateral("alpha", now))
    shutil.copy(ROOT / "examples" / "sigma_meter.py", tmp_path)
    intaglio(tmp_path, "keygen", "dc")
    intaglio(tmp_path, "sigma", "keygen", "sp.key")
    (tmp_path / "g_sp_pub_key.h").write_text(intaglio(tmp_path, "sigma", "show", "sp.key"))
    measured = intaglio(tmp_path, "measure", "sigma_meter.py", "--trust", "g_sp_pub_key.h")
    (tmp_path / "policy.toml").write_text(measured)
    return tmp_path


def test_the_example_delivers_and_only_the_data_centre_knows_the_value(folder: Path) -> None:
    example = [sys.executable, "sigma_meter.py"]
    with serving(folder) as url:
        run = subprocess.run([*example, url, "--lab", "lab"], cwd=folder, capture_output=True, text=True, check=True)
    assert '"stored": 1' in run.stdout
    records = [json.loads(line) for line in intaglio(folder, "records", "--json").splitlines()]
    assert [(r["name"], r["value"], r["workload"], r["simulated"]) for r in records] == [
        ("get_size", "1864", "sigma_meter", True)
    ]
    assert "sigma" in intaglio(folder, "sessions", records[0]["session"])


def test_a_key_that_exists_is_taken_over_and_none_is_overwritten(tmp_path: Path) -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    (tmp_path / "sp.pem").write_bytes(pem)
    intaglio(tmp_path, "sigma", "keygen", "sp.key", "--from", "sp.pem")
    kept = open_sigma_key(tmp_path / "sp.key", Passphrase("open sesame"))
    assert kept.public == read_pem_key(pem).public
    assert "never overwritten" in intaglio(tmp_path, "sigma", "keygen", "sp.key", status=2)
    (tmp_path / "wrong.pem").write_text("no key")
    assert "PEM" in intaglio(tmp_path, "sigma", "keygen", "new.key", "--from", "wrong.pem", status=2)
    (tmp_path / "p.toml").write_text("")
    assert intaglio(tmp_path, "serve", "--policy", "p.toml", "--sigma", "missing.key", status=2)
