"""The documents do what they say: their Python compiles, their command lines parse, README and tutorial run."""

import ast
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
import typer.main
from typer.core import TyperGroup

from intaglio.cli.app import app
from tests.cli.conftest import run
from tests.conftest import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]
USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""Of click, of which typer brings its own copy under a private name."""
LEFT_OUT = ("MissingParameter", "BadOptionUsage")
"""What a mention may lack: an argument, or an option's value."""

SIMULATOR = [sys.executable, "-P", "-m", "intaglio.sim.run", "--lab", "lab", "--platform", "alpha"]

_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^ {2,}(?:[A-Z_]+=\S+ )?intaglio (\S.*)$", re.MULTILINE)
_MENTION = re.compile(r"`intaglio ([a-z][^`]*)`")
_SHELL = re.compile(r"\s+(?:[|>;#]|>>)(?:\s.*)?$|\s{2,}\S.*$")


def page(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def python_of(text: str) -> list[str]:
    """The Python blocks of a page, each without the indentation that all its lines share."""
    return [textwrap.dedent(block) for block in _PYTHON.findall(text)]


def command_lines() -> Iterator[tuple[str, str, bool]]:
    """Page, arguments, and whether it is a line to type; a mention in a sentence may leave things out."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for found in _COMMAND.findall(text):
            yield path.name, _SHELL.sub("", found), True
        for found in _MENTION.findall(text):
            yield path.name, found, False


def parse(arguments: list[str]) -> str | None:
    """What the command says of these arguments, short of running: None where it would run."""
    group = typer.main.get_command(app)
    context = group.make_context("intaglio", list(arguments), resilient_parsing=False)
    try:
        while isinstance(group, TyperGroup):
            arguments = [*context._protected_args, *context.args]  # without the group's own options
            if not arguments and group.invoke_without_command:
                return None
            name, command, arguments = group.resolve_command(context, arguments)
            if command is None:
                return f"no command {name}"
            context = command.make_context(name, list(arguments), parent=context)
            group = command
    except USAGE_ERROR as error:
        return f"{type(error).__name__}: {error}"
    return None


def test_the_python_of_every_page_compiles() -> None:
    blocks = [(path.name, block) for path in PAGES for block in python_of(path.read_text(encoding="utf-8"))]
    assert len(blocks) >= 9
    for name, block in blocks:
        compile(block, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_every_command_line_of_the_documents_parses() -> None:
    lines = list(command_lines())
    assert len(lines) >= 60
    for name, text, typed in lines:
        problem = parse(shlex.split(text))
        allowed = problem is None or (not typed and problem.startswith(LEFT_OUT))
        assert allowed, f"{name}: intaglio {text}: {problem}"


def test_a_command_line_that_does_not_parse_is_found() -> None:
    for wrong in ("serve --polcy p", "nosuch", "records --limit x", "lab nosuch", "keygen"):
        assert parse(shlex.split(wrong)) is not None, wrong


@contextmanager
def service(folder: Path, *arguments: str) -> Iterator[str]:
    """`intaglio ...` in a process of its own; yields its address."""
    command = [sys.executable, "-m", "intaglio", *arguments, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, process.communicate()[1]
            yield address
        finally:
            process.send_signal(signal.SIGTERM)


def environment() -> dict[str, str]:
    """As the tutorial leaves it: the command on the path, and a passphrase that needs no terminal."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "INTAGLIO_PASSPHRASE": "correct horse battery staple"}


def python(folder: Path, source: str, *arguments: str) -> str:
    """Runs a script in `folder` as a reader would, and gives what it printed."""
    (folder / "app.py").write_text(source, "utf-8")
    command = [sys.executable, "app.py", *arguments]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder, after the tutorial's steps 1 and 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTAGLIO_PASSPHRASE", environment()["INTAGLIO_PASSPHRASE"])
    for step in ("lab init lab", "keygen dc"):
        assert run(*step.split()).status == 0
    return tmp_path


@contextmanager
def data_centre(folder: Path, meter: str) -> Iterator[str]:
    """The data centre that accepts this meter.py; yields its address."""
    (folder / "meter.py").write_text(meter, "utf-8")
    (folder / "policy.toml").write_text(run("measure", "meter.py").out, "utf-8")
    with (
        service(folder, "lab", "pcs", "lab") as pcs,
        service(folder, "serve", "--policy", "policy.toml", "--lab", "lab/root.pem", "--pcs", pcs) as address,
    ):
        yield address


def replaced(text: str, old: str, new: str) -> str:
    """`text` with `old` replaced, which must be there: else a test would no longer run what the page says."""
    assert old in text, text
    return text.replace(old, new)


def test_the_ten_lines_of_the_readme_carry_100(first: Path) -> None:
    meter, application = python_of(page("README.md"))
    with data_centre(first, meter) as address:
        application = replaced(application, "http://dc.example:8080", address)
        python(first, replaced(application, 'launch("meter.py")', f'launch("meter.py", command={SIMULATOR!r})'))
        records = run("records", "--json").out
    assert '"decoded": 100' in records
    assert records.count("get_size") == 1


def test_the_tutorial_carries_a_value_and_catches_the_cheat(first: Path) -> None:
    text = page("docs/tutorial.md")
    meter, application, cheat = python_of(text)
    cheat = textwrap.indent(cheat, "    ")
    with data_centre(first, meter) as address:
        said = python(first, replaced(application, "http://127.0.0.1:8080", address) + cheat)
        assert "REFUSED" in said
        assert run("records", "--json").out.count('"decoded": 100') == 1
        assert "FRAME_AUTHENTICATION" in run("quarantine").out
        (first / "meter.py").write_text(replaced(meter, "return 100", "return 200"), "utf-8")
        assert "WRONG_MEASUREMENT" in run("run", "meter.py", "-d", address, "--lab", "lab", "--call", "get_size").err


def test_the_examples_run_as_their_page_says(first: Path) -> None:
    command = re.search(r"^    python app\.py http://127\.0\.0\.1:8080 (.*)$", page("examples/README.md"), re.MULTILINE)
    assert command is not None
    with data_centre(first, page("examples/meter.py")) as address:
        said = python(first, page("examples/app.py"), address, *shlex.split(command[1]))
        assert [line.rpartition(" ")[2] for line in said.splitlines()] == ["stored"] * 3
        shown = run("records").out
    assert "48213.5" in shown
    assert "no meter A-9999" in shown


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_every_example_is_explained_and_run_by_a_test(example: str) -> None:
    """Run: some module of the tests takes it from the folder by its name."""
    assert f"`{example}`" in page("examples/README.md")
    sources = [
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)
    ]
    by_name = [text for text in sources if f'"{example}"' in text and 'ROOT / "examples"' in text]
    assert by_name or f'page("examples/{example}")' in page("tests/test_documents.py")
