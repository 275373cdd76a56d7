"""The console script: what it costs to start, how it fails, and what it says without its libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

from intaglio.cli.failure import Usage
from intaglio.cli.reference import reference
from tests.cli.conftest import run
from tests.conftest import ROOT

BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
sys.argv = ["intaglio", "verify", "x"]
from intaglio.__main__ import main
sys.exit(main())
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("library", ["typer", "rich"])
def test_without_the_extra_one_line_says_how_to_install_it(library: str) -> None:
    ran = python(BLOCKED.format(name=library))
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.splitlines() == [
        "intaglio: the command line is an extra; install it with: pip install 'intaglio[cli]'"
    ]


@pytest.mark.parametrize(("command", "extra"), [("demo", "lab"), ("serve", "gateway")])
def test_without_the_gateways_libraries_one_line_says_so(workshop: Path, command: str, extra: str) -> None:
    (workshop / "policy.toml").write_text(run("measure", workshop / "meter.py").out)
    given = ["--policy", "policy.toml", "--key-file", "dc.secret"] if command == "serve" else []
    code = BLOCKED.format(name="uvicorn").replace('"verify", "x"', repr([command, *given])[1:-1])
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=workshop)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[-1].endswith(f"pip install 'intaglio[{extra}]'")
    assert "Traceback" not in ran.stderr


def test_another_missing_library_is_not_called_the_extra() -> None:
    ran = python(BLOCKED.format(name="cbor2").replace('"verify", "x"', '"inspect", "/dev/null"'))
    assert ran.returncode == 1
    assert "cbor2" in ran.stderr
    assert "pip install" not in ran.stderr


def test_help_loads_no_server_and_no_cryptography() -> None:
    code = "import sys\nfrom intaglio.cli.app import run\nassert run(['--help']) == 0\nprint('LOADED', *sys.modules)"
    loaded = python(code).stdout.rpartition("LOADED")[2].split()
    heavy = {"fastapi", "starlette", "sqlalchemy", "alembic", "uvicorn", "pydantic", "cryptography", "cbor2", "asyncio"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize("module", [False, True])
def test_the_version_is_printed(module: bool) -> None:
    if module:
        ran = subprocess.run(
            [sys.executable, "-m", "intaglio", "--version"], capture_output=True, text=True, check=True
        ).stdout
    else:
        ran = run("--version").out
    assert ran.startswith("intaglio 0.")


def commands(*group: str) -> list[tuple[str, ...]]:
    """Every command that `--help` lists below `group`, groups resolved."""
    listed = run(*group, "--help").out.partition("Commands:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in listed.splitlines()]
    return [each for name in names for each in commands(*group, name) or [(*group, name)]]


def test_every_command_has_a_help_text_with_examples() -> None:
    found = commands()
    assert {("verify",), ("policy", "check")} <= set(found)
    for command in found:
        shown = run(*command, "--help")
        assert shown.status == 0
        assert f"intaglio {' '.join(command)}" in shown.out.partition("Examples:")[2], command


def test_an_unknown_command_is_a_usage_error() -> None:
    assert run("conjure").status == 2


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAGLIO_DEBUG", "1")
    with pytest.raises(Usage):
        run("inspect", "/nonexistent/file")


def test_the_reference_is_what_the_commands_say() -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert page == reference(), "make it anew: python -m intaglio.cli.reference > docs/cli.md"
