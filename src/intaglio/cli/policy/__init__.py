"""`intaglio policy`: what the data centre accepts, in words; whether a file is sound; and what a change would do."""

import typer

from intaglio.cli.console import examples
from intaglio.cli.failure import Commands
from intaglio.cli.policy.check import check
from intaglio.cli.policy.diff import diff
from intaglio.cli.policy.explain import explain
from intaglio.cli.policy.trial import trial

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Commands, no_args_is_help=True, rich_markup_mode=None, help="Look after the data centre's policy."
    )
    group.command(
        epilog=examples(
            "intaglio policy check policy.toml",
            "intaglio policy check policy.toml --json | jq .problems",
        )
    )(check)
    group.command(
        epilog=examples(
            "intaglio policy explain policy.toml",
            "intaglio policy explain policy.toml --at 1798761600     at the next new year",
        )
    )(explain)
    group.command(
        epilog=examples(
            "intaglio policy diff policy.toml new.toml",
            "intaglio policy diff policy.toml new.toml --json | jq .wider",
        )
    )(diff)
    group.command(
        "try",
        epilog=examples(
            "intaglio policy try new.toml                              on the live sessions of ./intaglio-store",
            "intaglio policy try new.toml --store /srv/intaglio --pin dc.pub",
            "intaglio policy try new.toml quote.bin --collateral collateral.json",
        ),
    )(trial)
    app.add_typer(group, name="policy")
