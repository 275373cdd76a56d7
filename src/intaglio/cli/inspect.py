"""`intaglio inspect`: what is this file?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from intaglio.cli.console import clean, examples, field, line, moment, print_json
from intaglio.cli.failure import Exit
from intaglio.cli.reading import read_bytes

__all__ = ["add_to", "show_facts"]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio inspect quote.bin",
            "intaglio inspect collateral.json --json | jq .facts.tcb_info.next_update",
            "curl -s http://dc.example:8080/v1/offer | intaglio inspect -",
        )
    )(inspect)


def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Any file; raw, hexadecimal or base64; - for standard input.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a file is, and print its fields.

    Known are quotes and SGX reports, SEV-SNP reports and the certificate tables beside them, Nitro documents, reports
    of Intel's attestation service, collateral and bundles of it, certificate chains and revocation lists, SIGSTRUCTs,
    data-centre pins, keystores (their header), offers, hellos, Accepts and frames. Nothing is judged, nothing is
    decrypted and no signature is checked: that is what `intaglio verify` and `intaglio offer` are for.

    Exit status: 0 if it was recognised and well formed, 1 if not, 2 if it can't be read.
    """
    from intaglio.cli.formats import identify  # noqa: PLC0415
    from intaglio.cli.formats.facts import to_json  # noqa: PLC0415
    from intaglio.errors import Malformed  # noqa: PLC0415

    data = read_bytes(file)
    try:
        found = identify(data)
    except Malformed as error:
        if json:
            print_json({"kind": None, "encoding": None, "size": len(data), "facts": None, "problem": str(error)})
        else:
            typer.echo(f"intaglio: {file}: {clean(str(error))}", err=True)
        raise typer.Exit(Exit.FAILED) from error
    if json:
        facts = to_json(found.facts)
        print_json(
            {"kind": found.kind, "encoding": found.encoding, "size": found.size, "facts": facts, "problem": None}
        )
        return
    line(f"{file}: {found.kind} ({found.encoding}, {found.size:,} bytes)", style="bold")
    show_facts(found.facts)


def show_facts(facts: Mapping[str, object], indent: int = 2) -> None:
    """Names and values, nested ones further to the right."""
    from intaglio.cli.formats.facts import When  # noqa: PLC0415

    for name, value in facts.items():
        label = name.replace("_", " ")
        if isinstance(value, Mapping):
            line(" " * indent + label, style="bold")
            show_facts(value, indent + 2)
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, 1):
                line(f"{' ' * indent}{label} {number}", style="bold")
                show_facts(item if isinstance(item, Mapping) else {"value": item}, indent + 2)
        elif isinstance(value, list | tuple) and len(value) > 1:
            line(" " * indent + label, style="bold")
            for item in value:
                line(" " * (indent + 2) + clean(item.hex() if isinstance(item, bytes) else str(item)))
        else:
            shown = f"{moment(value)} ({int(value)})" if isinstance(value, When) else value
            field(label, shown, indent=indent, width=26)
