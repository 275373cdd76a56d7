"""Running the command line in this process, and one lab for the tests that need evidence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from intaglio.cli.app import app
from intaglio.sim.world import Lab
from intaglio.types import UnixTime

NOON = UnixTime(1_780_315_200)
"""2026-06-01T12:00:00Z."""

METER = """\
from intaglio.enclave import Enclave

enclave = Enclave(data_centre="dc.pub")


@enclave.call
def get_size() -> int:
    return 100
"""


class Ran(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


def run(*arguments: object, stdin: bytes | None = None, env: dict[str, str] | None = None) -> Ran:
    """One command; an exception that is not a clean exit fails the test."""
    result = CliRunner(env=env).invoke(
        app, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False
    )
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """A folder with an enclave's script and the pin of a data centre whose key file opens its keystore."""
    (tmp_path / "meter.py").write_text(METER, "utf-8")
    made = run("keygen", "dc", "--out", tmp_path, "--key-file", tmp_path / "dc.secret")
    assert made.status == 0, made.err
    return tmp_path


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated world on disk with one platform, `alpha`."""
    folder = tmp_path_factory.mktemp("lab") / "lab"
    Lab.create(folder, NOON)
    return folder
