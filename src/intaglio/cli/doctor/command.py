"""`intaglio doctor`: what is wrong with this host or this data centre, and what does this error code mean?"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import clean, examples, line, print_json
from intaglio.cli.failure import Exit, Usage

if TYPE_CHECKING:
    from intaglio.cli.doctor.finding import Finding
    from intaglio.gateway.config import Secret

__all__ = ["add_to"]

_POLICY, _KEYSTORE = Path("policy.toml"), Path("dc.key")


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio doctor --host                             can this machine attest?",
            "intaglio doctor --host --pccs https://localhost:8081",
            "intaglio doctor --data-centre --policy policy.toml --store /var/lib/intaglio",
            "intaglio doctor --code 0xe019                      what does this code of Intel's mean?",
            "journalctl -u aesmd | tail -1 | intaglio doctor --code -",
        )
    )(doctor)


def doctor(
    host: Annotated[bool, typer.Option("--host", help="Examine this machine as one that attests.")] = False,
    data_centre: Annotated[
        bool, typer.Option("--data-centre", help="Examine what a gateway stands on: policy, keys, collateral, disk.")
    ] = False,
    code: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Explain the error codes in this text, or in standard input for -."),
    ] = None,
    pccs: Annotated[
        str | None, typer.Option(metavar="URL", help="Also ask this PCCS (or PCS) over the network.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="The policy. [default: policy.toml]")] = None,
    keystore: Annotated[Path | None, typer.Option(metavar="FILE", help="The keystore. [default: dc.key]")] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Opens the keystore; otherwise INTAGLIO_PASSPHRASE may.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The gateway's folder. [default: $INTAGLIO_STORE, or intaglio-store]"),
    ] = None,
    collateral: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of collateral files (*.json) to look at as well.")
    ] = None,
    root: Annotated[
        Path, typer.Option(metavar="DIR", help="Examine the machine whose files lie below this folder.")
    ] = Path("/"),
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Examine a host or a data centre, and say what to do.

    Of a host: device nodes, kernel interfaces, CPU, rights, the quote provider's configuration, the clock. Of a data
    centre: policy, keystore, age of the collateral, free disk, the clock. Nothing is changed, and the network is used
    only for --pccs.

    With --code it explains the error codes of Intel's quote libraries, alone or in a line of a log.

    Exit status: 0 if nothing keeps attestation from working (warnings may), 1 if something does.
    """
    if code is not None:
        _explain(code, json=json)
        return
    if not host and not data_centre:
        host = True
    if not root.is_dir():
        raise Usage(f"{root}: no such folder")
    found: dict[str, Sequence[Finding]] = {}
    if host:
        found["host"] = _host(root)
    if data_centre:
        found["data_centre"] = _data_centre(policy, keystore, key_file, store, collateral, root, with_clock=not host)
    if pccs is not None:
        found["network"] = _network(pccs)
    _report(found, json=json)


def _host(root: Path) -> "Sequence[Finding]":
    from intaglio.cli.doctor.host import examine_host  # noqa: PLC0415
    from intaglio.cli.doctor.machine import LocalMachine  # noqa: PLC0415

    return tuple(examine_host(LocalMachine(root)))


def _data_centre(
    policy: Path | None,
    keystore: Path | None,
    key_file: Path | None,
    store: Path | None,
    collateral: Path | None,
    root: Path,
    *,
    with_clock: bool,
) -> "Sequence[Finding]":
    from intaglio.cli.doctor import clock  # noqa: PLC0415
    from intaglio.cli.doctor.centre import Centre, examine_centre  # noqa: PLC0415
    from intaglio.cli.doctor.machine import LocalMachine  # noqa: PLC0415
    from intaglio.cli.store import store_folder  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    centre = Centre(
        policy=policy or _POLICY,
        keystore=keystore or _KEYSTORE,
        secret=_secret(key_file),
        store=store_folder(store),
        collateral=collateral,
    )
    findings = tuple(examine_centre(centre, UnixTime(int(time.time()))))
    return findings + (tuple(clock.probe(LocalMachine(root))) if with_clock else ())


def _secret(key_file: Path | None) -> "Secret | None":
    """Nobody is asked: a check-up may run without a person."""
    from intaglio.cli.secrets import PASSPHRASE_VARIABLE, keystore_secret  # noqa: PLC0415

    if key_file is None and not os.environ.get(PASSPHRASE_VARIABLE):
        return None
    return keystore_secret(key_file)


def _network(pccs: str) -> "Sequence[Finding]":
    from intaglio.cli.doctor.pccs import probe  # noqa: PLC0415

    return tuple(probe(pccs, time.time))


def _report(found: "dict[str, Sequence[Finding]]", *, json: bool) -> None:
    from intaglio.cli.doctor.finding import Level  # noqa: PLC0415
    from intaglio.cli.doctor.show import show_findings  # noqa: PLC0415

    levels = [finding.level for findings in found.values() for finding in findings]
    problems, warnings = levels.count(Level.PROBLEM), levels.count(Level.WARNING)
    if json:
        shown = {part: [finding.to_json() for finding in findings] for part, findings in found.items()}
        print_json({**shown, "problems": problems, "warnings": warnings})
    else:
        for part, findings in found.items():
            show_findings(part.replace("_", " "), findings)
        style = "bold red" if problems else "bold yellow" if warnings else "bold green"
        line(f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}", style=style)
    raise typer.Exit(Exit.FAILED if problems else Exit.OK)


def _explain(text: str, *, json: bool) -> None:
    from intaglio.cli.doctor.codes.lookup import codes_in, family_of  # noqa: PLC0415
    from intaglio.cli.doctor.show import show_codes  # noqa: PLC0415
    from intaglio.cli.reading import read_bytes  # noqa: PLC0415

    if text == "-":
        text = read_bytes(Path("-")).decode("utf-8", "replace")
    codes = codes_in(text)
    if json:
        print_json([{**code._asdict(), "family": family_of(code).value} for code in codes])
    else:
        show_codes(codes)
    if not codes:
        shown = clean(text.strip())
        typer.echo(
            f"intaglio: {shown[:60]!r}: no error code that is known here (0xe0xx, 0xb0xx, 0xf0xx, 0x1200x, or a name "
            "such as SGX_QL_NETWORK_ERROR)", err=True,
        )  # fmt: skip
        raise typer.Exit(Exit.FAILED)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
