"""The group `intaglio collateral`."""

import typer

from intaglio.cli.collateral.bundles import export_, import_
from intaglio.cli.collateral.fetch import fetch
from intaglio.cli.collateral.numbers import numbers
from intaglio.cli.collateral.status import status
from intaglio.cli.console import examples
from intaglio.cli.failure import Commands

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Fetch what evidence is judged by, and see when it ends.",
    )
    group.command(
        epilog=examples(
            "intaglio collateral fetch quote.bin",
            "intaglio collateral fetch quote.bin -o collateral.json     for intaglio verify --collateral",
            "intaglio collateral fetch --fmspc 00906ed50000 --ca processor --tcb-update early",
            "intaglio collateral fetch report.bin --pcs https://pccs.example:8081 --store /srv/intaglio",
        )
    )(fetch)
    group.command(
        epilog=examples(
            "intaglio collateral status --store /srv/intaglio",
            "intaglio collateral status --days 3          exit status 1 if anything ends within three days",
            "intaglio collateral status --json | jq .days",
        )
    )(status)
    group.command(
        epilog=examples(
            "intaglio collateral numbers",
            "intaglio collateral numbers --tee tdx --pcs https://pccs.example:8081 --json",
        )
    )(numbers)
    group.command(
        "export",
        epilog=examples(
            "intaglio collateral export -o june.bundle --signed-by dc.key",
            "intaglio collateral export -o june.bundle --signed-by dc.key --key-file dc.secret --store /srv/intaglio",
        ),
    )(export_)
    group.command(
        "import",
        epilog=examples(
            "intaglio collateral import june.bundle --pin dc.pub --store /srv/intaglio",
            "intaglio collateral import june.bundle --pin dc.pub --json",
        ),
    )(import_)
    app.add_typer(group, name="collateral")
