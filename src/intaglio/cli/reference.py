"""`python -m intaglio.cli.reference` prints docs/cli.md: every help text on one page. A test holds it current."""

import sys
from collections.abc import Iterator

import typer.main
from typer.core import TyperGroup

from intaglio.cli.app import app

__all__ = ["reference"]

_WIDTH = 100

_INTRODUCTION = """\
# The command

One command for the engineer who writes an enclave, the operator at 3 a.m., and the auditor years later. Every help text
is below; `intaglio COMMAND --help` prints the same. This page is made by `python -m intaglio.cli.reference`.

| exit status | meaning |
|---|---|
| 0 | done; for `verify`: genuine, and accepted where a policy was given |
| 1 | it did not work; for `verify`: not genuine, or rejected; for `demo`: an attack was not defended |
| 2 | something that was given is missing or can't be read; nothing was done |
| 3 | `verify` could not decide, which is never a yes |
| 130 | interrupted by Ctrl-C |

What goes wrong is one line on stderr. Results go to stdout, so that they can be piped; `--json` is for machines and its
names are stable. Text that came from outside (a certificate's name, a record) is shown with its control characters
escaped.

| variable | meaning |
|---|---|
| `INTAGLIO_PASSPHRASE` | opens the keystore without asking (`keygen`, `serve`); `--key-file` comes before it |
| `INTAGLIO_STORE` | the gateway's folder (`serve`, `records`, `sessions`, `quarantine`); `--store` comes before it |
| `INTAGLIO_PCS_KEY` | Intel's subscription key, for PCK certificates (`collateral fetch`) |
| `INTAGLIO_DATA_CENTRE` | where `run` delivers; `--data-centre` comes before it |
| `INTAGLIO_VECTORS` | a collection of real evidence, for the last act of `demo` |
| `INTAGLIO_DEBUG` | `1` shows tracebacks |
"""


def reference() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    settings = root.context_settings
    context = typer.Context(root, info_name="intaglio", terminal_width=_WIDTH, max_content_width=_WIDTH, **settings)
    parts = [_INTRODUCTION, _section("intaglio", root.get_help(context))]
    parts += [_section(name, text) for name, text in _commands(root, context)]
    return "\n".join(parts)


def _commands(group: object, context: typer.Context) -> Iterator[tuple[str, str]]:
    """Name and help text of every command below `group`, groups taken apart."""
    if not isinstance(group, TyperGroup):
        return
    for name, command in group.commands.items():
        below = typer.Context(command, info_name=name, parent=context, terminal_width=_WIDTH, max_content_width=_WIDTH)
        if isinstance(command, TyperGroup):
            if command.invoke_without_command:
                yield below.command_path, command.get_help(below)
            yield from _commands(command, below)
        else:
            yield below.command_path, command.get_help(below)


def _section(name: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return f"## `{name}`\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
