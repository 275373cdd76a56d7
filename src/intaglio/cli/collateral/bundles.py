"""`intaglio collateral export` and `import`: collateral for a site without a network, signed on the way."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.collateral.services import FOLDER
from intaglio.cli.console import clean, field, moment, note, print_json, size, warn
from intaglio.cli.failure import Exit
from intaglio.cli.reading import read_bytes
from intaglio.cli.secrets import keystore_secret
from intaglio.cli.store import Store, store_folder

if TYPE_CHECKING:
    from intaglio.collateral.bundle import Imported

__all__ = ["export_", "import_"]


def export_(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The bundle.")],
    signed_by: Annotated[Path, typer.Option(metavar="NAME.key", help="The data centre's keystore.")],
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Opens the keystore; otherwise INTAGLIO_PASSPHRASE or a prompt does."),
    ] = None,
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Sign all collateral of the store into one file.

    For a site without a network: there it is imported with the data centre's NAME.pub. The same content at the same
    time gives the same bytes; every bundle has a higher number than the one before, by which an old one is known.

    Exit status: 0 done, 1 nothing can be exported, 2 something you gave can't be used.
    """
    from intaglio.collateral.bundle import export_bundle  # noqa: PLC0415
    from intaglio.collateral.folder import EntryFolder  # noqa: PLC0415
    from intaglio.errors import Unavailable  # noqa: PLC0415
    from intaglio.files import replace_private  # noqa: PLC0415
    from intaglio.gateway.keystore import Keystore  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    folder = store_folder(store) / FOLDER
    entries = tuple(EntryFolder(folder).entries())
    if not entries:
        raise Unavailable(f"{folder}: nothing is held that could be exported; fetch it first")
    keystore = Keystore.open(signed_by, keystore_secret(key_file))
    bundle, data = export_bundle(entries, keystore.signer, keystore.pin, folder, UnixTime(int(time.time())))
    replace_private(out, data)
    if json:
        print_json({
            "out": str(out), "bytes": len(data), "created": bundle.created, "sequence": bundle.sequence,
            "audience": bundle.audience, "entries": [entry.request.to_json() for entry in bundle.entries],
        })  # fmt: skip
        return
    field("bundle", f"{out} ({size(len(data))})")
    field("sequence", bundle.sequence)
    for entry in bundle.entries:
        field("entry", entry.request)
    note("next, where there is no network: intaglio collateral import FILE --pin NAME.pub")


def import_(
    bundle: Annotated[Path, typer.Argument(metavar="FILE", help="From intaglio collateral export.")],
    pin: Annotated[Path, typer.Option(metavar="NAME.pub", help="The data centre that must have signed it.")],
    store: Store = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take over a bundle that a data centre signed.

    Refused is what another data centre made, what was altered, and a bundle older than the last one. Of collateral
    that is older than what the store holds, what is held stays. A gateway with --offline uses what is imported.

    Exit status: 0 taken over, 1 refused, 2 something you gave can't be read.
    """
    from intaglio.cli.inputs import read_pin  # noqa: PLC0415
    from intaglio.collateral.bundle import import_bundle  # noqa: PLC0415
    from intaglio.errors import Malformed, Rejected  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415
    from intaglio.wire.collateral_bundle import MAX_BUNDLE  # noqa: PLC0415

    pinned = read_pin(pin)
    data = read_bytes(bundle, limit=MAX_BUNDLE)
    folder = store_folder(store) / FOLDER
    try:
        imported = import_bundle(data, pinned, folder, UnixTime(int(time.time())))
    except (Malformed, Rejected) as error:
        _refuse(bundle, error, json=json)
        raise typer.Exit(Exit.FAILED) from error
    if json:
        print_json(_to_json(imported))
        return
    field("bundle", f"sequence {imported.bundle.sequence}, made {moment(imported.bundle.created)}")
    for entry in imported.taken:
        field("taken", entry.request)
    for entry in imported.unchanged:
        field("held already", entry.request)
    for rollback in imported.older:
        warn(f"older than what is held, not taken: {rollback}")


def _to_json(imported: "Imported") -> dict[str, object]:
    bundle = imported.bundle
    return {
        "reason": None,
        "sequence": bundle.sequence,
        "created": bundle.created,
        "audience": bundle.audience,
        "taken": [entry.request.to_json() for entry in imported.taken],
        "unchanged": [entry.request.to_json() for entry in imported.unchanged],
        "older": [rollback.to_json() for rollback in imported.older],
    }


def _refuse(path: Path, error: "Exception", *, json: bool) -> None:
    from intaglio.cli.verdict_text import show_reason  # noqa: PLC0415
    from intaglio.errors import Rejected  # noqa: PLC0415

    reason = error.reason if isinstance(error, Rejected) else None
    if json:
        print_json({"reason": reason.name if reason else "MALFORMED_MESSAGE", "problem": str(error)})
        return
    typer.echo(f"intaglio: {clean(str(path))}: {clean(str(error))}", err=True)
    if reason is not None:
        show_reason(reason)
