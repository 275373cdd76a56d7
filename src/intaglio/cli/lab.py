"""`intaglio lab`: a simulated SGX world for laptops and tests, with a root of its own."""

import time
from pathlib import Path
from typing import Annotated

import typer

from intaglio.cli.addresses import parse_listen
from intaglio.cli.console import examples, field, line, note, warn
from intaglio.cli.failure import Commands, Usage

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Make a simulated SGX world: for laptops and tests.",
    )
    group.command(epilog=examples("intaglio lab init lab", "intaglio lab init lab --platform alpha --platform beta"))(
        init
    )
    group.command(
        epilog=examples("intaglio lab pcs lab", "intaglio lab pcs lab --listen 127.0.0.1:8081"),
    )(pcs)
    app.add_typer(group, name="lab")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The lab's folder; it must not hold one yet.")],
    platform: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A machine of the lab. [default: alpha]")
    ] = None,
) -> None:
    """Make a lab: a root, its PCS, platforms, a vendor key.

    The lab has a certificate authority of its own, the service that publishes collateral, one or more machines with
    a simulated SGX processor, and the signing key of an enclave vendor. It protects nothing: whoever reads the
    folder has every key. No gateway trusts it unless it is started with --lab DIR/root.pem.
    """
    from intaglio.sim.vendors import create_vendors  # noqa: PLC0415
    from intaglio.sim.world import Lab, PlatformPlan  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    names = platform or ["alpha"]
    if len(set(names)) != len(names) or not all(name.isidentifier() for name in names):
        raise Usage("platforms: need different names of letters, digits and underscores")
    if folder.exists() and not folder.is_dir():
        raise Usage(f"{folder}: not a folder; a lab is one")
    now = UnixTime(int(time.time()))
    try:
        lab = Lab.create(folder, now, platforms=[PlatformPlan(name) for name in names])
    except FileExistsError as error:
        if not any((folder / "platforms").glob("*.json")):
            raise Usage(f"{folder}: holds a lab that was not finished; remove it and try again") from error
        raise Usage(f"{folder}: holds a lab already, and a key is never overwritten") from error
    create_vendors(folder, now)
    field("lab", folder)
    field("root", f"{folder / 'root.pem'} (for serve --lab)")
    field("others", f"{folder / 'guests'} (roots and collateral of simulated SEV-SNP and Nitro machines)")
    field("platforms", sorted(lab.records))
    note(f"next: intaglio lab pcs {folder}   (serves the lab's collateral, like Intel's PCS)")


def pcs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The lab's folder.")],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to serve; port 0 for any.")
    ] = "127.0.0.1:8081",
) -> None:
    """Serve the lab's collateral as Intel's PCS does.

    The API is version 4 of Intel's Provisioning Certification Service. Start the gateway with --pcs and the
    address that is printed here. Runs until Ctrl-C.
    """
    from intaglio.sim.pcs_http import PcsServer  # noqa: PLC0415
    from intaglio.sim.world import Lab  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    address = parse_listen(listen)
    try:
        Lab.open(folder)
    except FileNotFoundError as error:
        raise Usage(f"{folder}: no lab here; make one with: intaglio lab init {folder}") from error
    try:
        server = PcsServer(
            lambda: Lab.open(folder).pcs, lambda: UnixTime(int(time.time())), host=address.host, port=address.port
        )
    except OSError as error:
        raise Usage(f"{listen}: {(error.strerror or type(error).__name__).lower()}") from error
    line(server.url)
    warn("this is a laboratory: its collateral vouches for simulated platforms only. Ctrl-C ends it.")
    server.serve_forever()
