"""The command tree, and how the process ends."""

from collections.abc import Sequence
from typing import Annotated

import typer

import intaglio
from intaglio.cli import (
    backup,
    command,
    ear,
    export,
    inspect,
    keygen,
    lab,
    measure,
    offer,
    policy,
    quarantine,
    recall,
    records,
    secret,
    serve,
    sessions,
    sigma,
    state,
    token,
    verify,
)
from intaglio.cli import run as running
from intaglio.cli.collateral import command as collateral
from intaglio.cli.console import examples
from intaglio.cli.demo import command as demo
from intaglio.cli.doctor import command as doctor
from intaglio.cli.failure import Commands
from intaglio.cli.kits import command as kits

__all__ = ["app", "run"]

app = typer.Typer(
    name="intaglio",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "intaglio demo                                      the whole story in one terminal",
        "intaglio keygen dc                                 dc.key for the gateway, dc.pub for enclaves",
        "intaglio measure meter.py >> policy.toml           what the data centre shall accept",
        "intaglio serve --policy policy.toml                the data centre",
        "intaglio records --follow                          what has arrived, and from which enclave",
        "intaglio verify quote.bin --collateral coll.json   is this evidence genuine?",
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"intaglio {intaglio.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Proof of origin for every value that leaves an enclave.

    Exit status: 0 done, 1 failed or rejected, 2 usage, 3 undecidable. Set INTAGLIO_DEBUG=1 to see tracebacks.
    """


# The order of `--help`: see it work, set it up, pack it, run it, look at it, judge evidence by hand.
for module in (demo, keygen, measure, policy, kits, lab):
    module.add_to(app)
for module in (serve, sigma, running, offer, records, sessions, state, secret, command, quarantine, recall):
    module.add_to(app)
for module in (export, token, backup):
    module.add_to(app)
for module in (verify, ear, inspect, collateral, doctor):
    module.add_to(app)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit status."""
    try:
        app(args=list(arguments), prog_name="intaglio")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
