"""`intaglio run`: the untrusted application in one command. It launches an enclave and carries its messages."""

import json as json_module
import logging
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, Self

import typer

from intaglio.cli.addresses import check_url
from intaglio.cli.console import clean, examples, line, note, table, warn
from intaglio.cli.failure import Exit, Usage

if TYPE_CHECKING:
    from intaglio.host.connection import EnclaveConnection
    from intaglio.host.errors import HelloRejected
    from intaglio.host.relay import Receipt, Relay

__all__ = ["add_to", "simulated"]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio run meter.py -d http://127.0.0.1:8080 --lab lab             what can be called?",
            "intaglio run meter.py -d http://127.0.0.1:8080 --lab lab --call get_size",
            "intaglio run meter.py -d http://dc.example --call 'add [1, 2]' --call 'set {\"size\": 3}'",
            "intaglio run meter.py -d http://dc.example --call get_size --every 60 --spool /var/spool/meter",
            "intaglio run counter.py -d http://dc.example --call count --state counter.sealed",
            "intaglio run --connect vsock:16:5005 -d http://dc.example --call get_size",
            "intaglio run --stdio 'gramine-sgx meter' -d http://dc.example --call get_size",
        )
    )(run)


_YEAR = 366 * 86_400
"""Seconds: what is longer is a slip of the finger, and at some length no clock can wait for it."""


_BOOT = 10.0
"""Seconds for an enclave that was started a moment ago to listen."""


class _LastTrouble(logging.Handler):
    """Remembers why the relay tries again, which it tells its log only."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said = ""
        self._log = logging.getLogger("intaglio.host.relay")

    def __enter__(self) -> Self:
        self._log.setLevel(logging.INFO)
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.INFO:
            self.said = record.getMessage()


class Call(NamedTuple):
    """One call as typed: a name, positional and named arguments."""

    name: str
    args: list[object]
    kwargs: dict[str, object]


def run(
    data_centre: Annotated[
        str,
        typer.Option(
            "--data-centre", "-d", metavar="URL", help="Where its messages go.", envvar="INTAGLIO_DATA_CENTRE"
        ),
    ],
    script: Annotated[Path | None, typer.Argument(metavar="SCRIPT", help="The enclave's script.")] = None,
    call: Annotated[
        list[str] | None,
        typer.Option(metavar="'NAME [ARGS]'", help="Call this; ARGS is a JSON array or object. May be repeated."),
    ] = None,
    every: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, max=_YEAR, help="Call again and again.")
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="With --every: this many rounds.")] = None,
    spool: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep messages here until they are delivered, across restarts. [default with --state: FILE.spool]",
        ),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the enclave's sealed state here; it need not exist yet.")
    ] = None,
    connect: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The enclave listens here: unix:PATH or vsock:CID:PORT.")
    ] = None,
    stdio: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="This command is the enclave; speak over its stdio.")
    ] = None,
    lab: Annotated[Path | None, typer.Option(metavar="DIR", help="Run on a simulated platform of this lab.")] = None,
    platform: Annotated[str, typer.Option(metavar="NAME", help="With --lab: which machine.")] = "alpha",
    trust: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="With --lab: a file that is measured with the script.")
    ] = None,
) -> None:
    """Launch an enclave and carry its messages.

    This is the application in the middle: it sees every byte and can read none of them, which is why it prints sizes
    and not values. SCRIPT launches an enclave here; without --lab that needs a real TEE. For one in an image of its own
    say with --connect where it listens, or with --stdio what starts it. Without --call the names that can be called are
    listed.

    Exit status: 0 if everything was stored by the data centre or waits in the spool, 1 if anything was refused.
    """
    from intaglio.errors import Unavailable  # noqa: PLC0415
    from intaglio.host import EnclaveRefused, HelloRejected, Relay  # noqa: PLC0415

    # What the relay logs about a rejection is what this command says of it, with the reasons' texts.
    logging.getLogger("intaglio.host.courier").setLevel(logging.ERROR)
    calls = [parse_call(text) for text in call or []]
    check_url(data_centre)
    if spool is not None and spool.exists() and not spool.is_dir():
        raise Usage(f"{spool}: not a folder; a spool is one")
    if state is not None and spool is None:
        # What a crash leaves in a temporary one nobody finds again, and the state stays ahead of it for good.
        spool = state.parent / f"{state.name}.spool"
    started = _enclave(script, connect, stdio, lab, platform, trust or [])
    with _LastTrouble() as trouble, _with_state(started, state) as enclave:
        callable_names = enclave.calls()
        if not calls:
            table(("CALLS",), [(name,) for name in callable_names])
            return
        for each in calls:
            if each.name not in callable_names:
                raise Usage(f"--call {each.name}: no such call; this enclave has {', '.join(callable_names)}")
        try:
            with Relay(enclave, data_centre, spool=spool) as relay:
                refused = _rounds(relay, calls, every, count)
                waiting = relay.flush(1.0)
        except Unavailable as error:
            raise Unavailable(f"{data_centre}: {error}", retry_after=error.retry_after) from error
        except HelloRejected as error:
            _show_rejection(error)
            raise typer.Exit(Exit.FAILED) from error
        except EnclaveRefused as error:
            typer.echo(f"intaglio: the enclave refuses: {clean(str(error))}", err=True)
            raise typer.Exit(Exit.FAILED) from error
    if waiting:
        frames = "1 frame waits" if waiting == 1 else f"{waiting} frames wait"
        warn(f"{frames} in the spool" + (f" {spool}" if spool else "; the host's log says where it is"))
        if trouble.said:
            warn(f"because: {trouble.said}")
    if refused:
        raise typer.Exit(Exit.FAILED)


def _with_state(enclave: "EnclaveConnection", state: Path | None) -> "EnclaveConnection":
    """Hands in what the enclave had sealed when it ran last."""
    from intaglio.host import EnclaveRefused  # noqa: PLC0415

    try:
        return enclave if state is None else enclave.restored(state)
    except EnclaveRefused as error:
        typer.echo(f"intaglio: {state}: the enclave refuses: {clean(str(error))}", err=True)
        raise typer.Exit(Exit.FAILED) from error


def _enclave(
    script: Path | None, address: str | None, stdio: str | None, lab: Path | None, platform: str, trust: list[Path]
) -> "EnclaveConnection":
    """The enclave that the options name: exactly one way to it. Raises `Usage`, `Unavailable` where
    nobody listens, and OSError where it can't be started."""
    from intaglio.errors import Malformed, Unavailable  # noqa: PLC0415
    from intaglio.host import connect, launch  # noqa: PLC0415

    if sum(way is not None for way in (script, address, stdio)) != 1:
        raise Usage("need one of SCRIPT, --connect and --stdio")
    if script is not None:
        if not script.is_file():
            raise Usage(f"{script}: no such file")
        return launch(script, command=None if lab is None else simulated(lab, platform, trust))
    if lab is not None:
        raise Usage("--lab simulates a machine for SCRIPT; it has no part in an enclave that runs elsewhere")
    if address is not None:
        try:
            return connect(address, wait=_BOOT)
        except Malformed as error:
            raise Usage(f"--connect: {error}") from error
        except OSError as error:
            raise Unavailable(f"{address}: no enclave there ({(error.strerror or str(error)).lower()})") from error
    try:
        command = shlex.split(stdio or "")
    except ValueError as error:
        raise Usage(f"--stdio: {error}") from error
    if not command:
        raise Usage("--stdio: need a command")
    return launch(command[0], command=command, stdio=True)


def parse_call(text: str) -> Call:
    """``name``, ``name [1, 2]`` or ``name {"a": 1}``. Raises `Usage`."""
    name, _, rest = text.strip().partition(" ")
    if not name:
        raise Usage("--call: need the name of a call")
    if not rest.strip():
        return Call(name, [], {})
    try:
        arguments = json_module.loads(rest)
    except ValueError as error:
        raise Usage(f"--call {name}: arguments are not JSON ({error})") from error
    except RecursionError as error:
        raise Usage(f"--call {name}: arguments are nested too deep") from error
    match arguments:
        case list():
            return Call(name, arguments, {})
        case dict():
            return Call(name, [], arguments)
    raise Usage(f"--call {name}: arguments must be a JSON array or object, found {rest.strip()}")


def simulated(lab: Path, platform: str, trusted: list[Path]) -> list[str]:
    """The runner that `launch` takes, for an enclave on a simulated platform. Raises `Usage`."""
    record = lab / "platforms" / f"{platform}.json"
    if not record.is_file():
        names = sorted(path.stem for path in (lab / "platforms").glob("*.json"))
        known = f"it has {', '.join(names)}" if names else f"make a lab with: intaglio lab init {lab}"
        raise Usage(f"{lab}: no platform {platform!r}; {known}")
    options = ["--lab", str(lab), "--platform", platform]
    for path in trusted:
        if not path.is_file():
            raise Usage(f"--trust {path}: no such file")
        options += ["--trust", str(path)]
    return [sys.executable, "-P", "-m", "intaglio.sim.run", *options]


def _rounds(relay: "Relay", calls: list[Call], every: float | None, count: int | None) -> int:
    """Makes the calls, once or again and again; gives how many messages were refused. Ctrl-C ends it in good order."""
    refused = 0
    try:
        for _ in _ticks(every, count):
            for each in calls:
                receipt = relay.call(each.name, *each.args, **each.kwargs)
                refused += _show_receipt(each.name, receipt)
    except KeyboardInterrupt:
        if every is None:
            raise
        note("interrupted: delivering what waits")
    return refused


def _ticks(every: float | None, count: int | None) -> Iterator[None]:
    """At once, then every so many seconds; late rounds are not made up for."""
    yield None
    done, due = 1, time.monotonic()
    while every is not None and (count is None or done < count):
        due = max(due + every, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        yield None
        done += 1


def _show_receipt(name: str, receipt: "Receipt") -> int:
    from intaglio.host.relay import Fate  # noqa: PLC0415

    said = {
        Fate.STORED: ("stored by the data centre", "green"),
        Fate.SPOOLED: ("waits in the spool", "yellow"),
        Fate.REFUSED: ("REFUSED by the data centre, whose quarantine says why", "bold red"),
    }
    text, style = said[receipt.fate]
    frames = "1 frame" if receipt.frames == 1 else f"{receipt.frames} frames"
    line(f"{clean(name)}: {frames}, {text}", style=style)
    return int(receipt.fate is Fate.REFUSED)


def _show_rejection(error: "HelloRejected") -> None:
    from intaglio.cli.verdict_text import show_reason  # noqa: PLC0415
    from intaglio.reasons import Reason  # noqa: PLC0415

    typer.echo(f"intaglio: {clean(str(error))}", err=True)
    for name in error.reasons:
        if name in Reason.__members__:
            show_reason(Reason[name])
