"""`intaglio demo`."""

import signal
from types import FrameType
from typing import Annotated

import typer

from intaglio.cli.console import examples, print_json
from intaglio.cli.failure import Exit, Usage

__all__ = ["add_to"]

_GATEWAY_LIBRARIES = ("fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "pydantic")


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("intaglio demo", "intaglio demo --json | jq '.attacks[] | {name, reasons}'"))(demo)


def demo(json: Annotated[bool, typer.Option("--json", help="Print JSON at the end instead.")] = False) -> None:
    """Show the whole story in one terminal.

    Starts a simulated platform with its collateral service, a real gateway with a real store, and enclaves in
    processes of their own. An honest value arrives; then a hostile host tries to edit it, forge it, replay, reorder and
    drop it, to swap the enclave, to run it in debug mode with the vendor's leaked key, to relay it to another data
    centre, to use an outdated platform, and to pass simulated evidence off as real.

    Every reason that is shown was read from the data centre's own records. Exit status: 0 if every attack failed for
    exactly the reason it must, 1 if not. Takes some ten seconds, uses loopback ports and a temporary folder, and leaves
    nothing behind.
    """
    try:
        from intaglio.cli.demo.play import play  # noqa: PLC0415
        from intaglio.cli.demo.show import Terminal, show_summary  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _GATEWAY_LIBRARIES:
            raise
        raise Usage("the demonstration runs a gateway; install it with: pip install 'intaglio[lab]'") from error
    signal.signal(signal.SIGTERM, _interrupt)
    if json:
        played = play(Silence())
        print_json(played.to_json())
    else:
        played = play(Terminal())
        show_summary(played)
    if not played.passed:
        raise typer.Exit(Exit.FAILED)


class Silence:
    """An `Audience` that reads the programme afterwards."""

    def stage(self, what: str, how: str) -> None: ...
    def honest(self, honest: object) -> None: ...
    def attempt(self, number: int, result: object) -> None: ...
    def hardware(self, result: object) -> None: ...


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's shape
    raise KeyboardInterrupt
