"""`intaglio serve`: the data centre's gateway."""

import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.addresses import parse_listen
from intaglio.cli.collateral.services import FOLDER, KdsOption, PcsOption, cached_source
from intaglio.cli.collateral.services import tcb_update as read_update
from intaglio.cli.console import examples, line, note, warn
from intaglio.cli.durations import parse_duration
from intaglio.cli.failure import Usage
from intaglio.cli.secrets import keystore_secret
from intaglio.cli.store import Store, store_folder

if TYPE_CHECKING:
    from intaglio.collateral.source import CollateralSource
    from intaglio.gateway.config import Settings

__all__ = ["add_to"]

_GATEWAY_LIBRARIES = ("fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "pydantic")


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio serve --policy policy.toml",
            "intaglio serve --policy policy.toml --key-file dc.secret --listen 0.0.0.0:8080",
            "intaglio serve --policy policy.toml --pcs https://pccs.example:8081 --pcs https://api.trustedservices.intel.com",
            "intaglio serve --policy policy.toml --offline       what intaglio collateral import took over",
            "intaglio serve --policy policy.toml --sigma sp.key   also for applications that speak sgx_ra_*",
            "intaglio serve --policy policy.toml --lab lab/root.pem --pcs http://127.0.0.1:8081",
        )
    )(serve)


def serve(
    policy: Annotated[Path, typer.Option(metavar="FILE", help="Which enclaves to accept (TOML).")],
    keystore: Annotated[Path, typer.Option(metavar="FILE", help="The private keys, from intaglio keygen.")] = Path(
        "dc.key"
    ),
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Opens the keystore; otherwise INTAGLIO_PASSPHRASE or a prompt does."),
    ] = None,
    store: Store = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to serve; port 0 for any.")
    ] = "127.0.0.1:8080",
    pcs: PcsOption = None,
    kds: KdsOption = None,
    tcb_update: Annotated[
        str,
        typer.Option(metavar="WHICH", help="Intel's TCB levels: standard, early, or a TCB evaluation data number."),
    ] = "standard",
    offline: Annotated[
        bool, typer.Option("--offline", help="Never fetch: only --collateral, and what was imported into the store.")
    ] = False,
    collateral: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Read collateral from the *.json files of this folder, first.")
    ] = None,
    lab: Annotated[
        list[Path] | None,
        typer.Option(metavar="ROOT.pem", help="Also accept simulated platforms under this root. Not for production."),
    ] = None,
    offer_lifetime: Annotated[
        str, typer.Option(metavar="TIME", help="How long an offer may be used; a stolen key opens this much.")
    ] = "1h",
    spool_window: Annotated[
        str, typer.Option(metavar="TIME", help="How long a host may keep messages before it delivers them.")
    ] = "7d",
    epoch0_limit: Annotated[
        str, typer.Option(metavar="N", help="Frames that an enclave may send before it hears back; or: unlimited.")
    ] = "1000",
    sigma: Annotated[
        Path | None,
        typer.Option(
            metavar="SP.key", help="Also speak Intel's Sigma (sgx_ra_*), with this key: intaglio sigma keygen."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only.")] = False,
) -> None:
    """Run the data centre's gateway.

    It publishes offers, judges the evidence of every enclave that answers one, opens their messages and stores each
    exactly once. What it refuses lies in quarantine with the reason. A restart loses nothing that was acknowledged.

    The address goes to stdout, the log to stderr. TLS is for a proxy in front of it; messages are protected without it.
    Ctrl-C or SIGTERM ends it in good order: running requests are answered, what was taken is stored.
    """
    address = parse_listen(listen)
    _check(policy, lab or [])
    if sigma is not None and not sigma.exists():
        raise Usage(f"{sigma}: no such key; make one with: intaglio sigma keygen {sigma}")
    if not keystore.exists():
        raise Usage(f"{keystore}: no such keystore; make one with: intaglio keygen {keystore.stem}")
    from intaglio.errors import Malformed  # noqa: PLC0415

    try:
        from intaglio.gateway import server  # noqa: PLC0415
        from intaglio.gateway.config import Settings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _GATEWAY_LIBRARIES:
            raise
        raise Usage("the gateway is an extra; install it with: pip install 'intaglio[gateway]'") from error
    folder = store_folder(store)
    if folder.exists() and not folder.is_dir():
        raise Usage(f"{folder}: not a folder; the store is one")
    settings = Settings(
        folder=folder,
        keystore=keystore,
        secret=keystore_secret(key_file),
        policy=policy,
        collateral=_sources(folder, pcs, kds, collateral, lab=bool(lab), offline=offline),
        tcb_update=read_update(tcb_update),
        host=address.host,
        port=address.port,
        offer_lifetime=parse_duration(offer_lifetime),
        spool_window=parse_duration(spool_window),
        epoch0_limit=_limit(epoch0_limit),
        lab_roots=tuple(lab or ()),
        sigma_key=sigma,
    )
    _start_log(quiet=quiet)
    # The server hands a signal on when it has stopped; the default for SIGTERM would skip the gateway's own farewell.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with suppress(KeyboardInterrupt):
            server.serve(settings, started=lambda url: _announce(url, settings))
    except Malformed as error:  # the policy was read before: what is left is the keystore
        files = keystore if sigma is None else f"{keystore} or {sigma}"
        raise Usage(f"{files}: not a keystore, or damaged: {error}") from error
    note("stopped; everything that was acknowledged is stored")


def _check(policy: Path, lab: list[Path]) -> None:
    """Reads what the gateway will read, for errors that name the file. Raises `Usage`."""
    from intaglio.cli.inputs import read_policy, read_roots  # noqa: PLC0415

    read_policy(policy)
    read_roots(lab)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's shape
    raise KeyboardInterrupt


def _sources(
    folder: Path, pcs: list[str] | None, kds: str | None, directory: Path | None, *, lab: bool, offline: bool
) -> "tuple[CollateralSource, ...]":
    """What was given by hand first, then the cache and its services. The vendors', unless told otherwise: they know no
    laboratories."""
    from intaglio.collateral.cache import CachedSource  # noqa: PLC0415
    from intaglio.collateral.source import DirectorySource  # noqa: PLC0415

    sources: list[CollateralSource] = []
    if directory is not None:
        if not directory.is_dir():
            raise Usage(f"{directory}: no such folder of collateral")
        sources.append(DirectorySource(directory))
    if offline:
        if pcs or kds is not None:
            raise Usage("--offline: nothing is fetched, so --pcs and --kds mean nothing")
        return (*sources, CachedSource((), folder / FOLDER))
    if lab and not pcs and directory is None:
        raise Usage(
            "--lab: say where the lab's collateral comes from, with --pcs (see: intaglio lab pcs) or --collateral"
        )
    if pcs or kds is not None or directory is None:
        sources.append(cached_source(folder, pcs, kds, lab=lab))
    return tuple(sources)


def _limit(text: str) -> int | None:
    if text == "unlimited":
        return None
    if not text.isascii() or not text.isdigit():
        raise Usage(f"--epoch0-limit {text!r}: need a number, or: unlimited")
    return int(text)


def _start_log(*, quiet: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    for noisy in ("uvicorn", "uvicorn.error", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _announce(url: str, settings: "Settings") -> None:
    line(url)
    sys.stdout.flush()
    note(f"policy      {settings.policy}")
    note(f"store       {settings.folder}   (intaglio records --store {settings.folder} --follow)")
    note(f"API token   {settings.token_file}   (API: {url}/api/v1/openapi.json)")
    if settings.sigma_key is not None:
        note(f"Sigma       {url}/v1/sigma/msg1   ({settings.sigma_key})")
    if settings.lab:
        roots = ", ".join(str(root) for root in settings.lab_roots)
        warn(f"LAB MODE: simulated evidence under {roots} is ACCEPTED, and every record of it marked SIMULATED.")
        warn("          Anybody who has that laboratory can make any record. Never run production like this.")
