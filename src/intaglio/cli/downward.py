"""What `secret` and `command` have in common: reading a value without showing it, wrapping it, and telling of what was
sent.

The value is wrapped under the keystore before it touches the database. The gateway may be running.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.failure import Usage
from intaglio.cli.reading import read_bytes
from intaglio.cli.secrets import keystore_secret
from intaglio.cli.store import who

if TYPE_CHECKING:
    from intaglio.gateway.config import Secret
    from intaglio.gateway.query import StoredDelivery, StoredItem
    from intaglio.gateway.store.downward import Addressee, NewItem
    from intaglio.gateway.vault import Vault

__all__ = [
    "KeyFileOption", "KeystoreOption", "LineageOption", "MeasurementOption", "Workload", "addressee", "delivery_fields",
    "delivery_state", "item_fields", "new_item", "opened_vault", "value_of",
]  # fmt: skip

Workload = Annotated[str, typer.Option(metavar="NAME", help="The enclaves: the name that the policy gives them.")]
MeasurementOption = Annotated[
    str | None, typer.Option(metavar="HEX", help="Of those, only enclaves with this measurement.")
]
LineageOption = Annotated[
    str | None, typer.Option(metavar="HEX", help="Of those, only the one that owns this lineage of sealed state.")
]
KeystoreOption = Annotated[Path, typer.Option(metavar="FILE", help="The private keys, from intaglio keygen.")]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Opens the keystore; otherwise INTAGLIO_PASSPHRASE or a prompt does."),
]


def addressee(workload: str, measurement: str | None, lineage: str | None) -> "Addressee":
    """Raises `Usage`."""
    from intaglio.gateway.store.downward import Addressee  # noqa: PLC0415

    if not 0 < len(workload.encode(errors="replace")) <= _MAX_TEXT or not workload.isprintable():
        raise Usage(f"--workload: need a name of 1 to {_MAX_TEXT} bytes, all printable")
    measured = None if measurement is None else _hexadecimal(measurement, "--measurement", 32, 48).hex()
    return Addressee(workload, measured, None if lineage is None else _hexadecimal(lineage, "--lineage", 16))


def value_of(file: Path) -> bytes:
    """What a file holds, or standard input for `-`; as it is, a last line break included. Raises `Usage`."""
    from intaglio.wire.downward import MAX_ITEM  # noqa: PLC0415

    data = read_bytes(file, limit=MAX_ITEM)
    if not data:
        raise Usage(f"{file}: is empty")
    return data


def new_item(kind: str, name: str, to: "Addressee", value: bytes, *, lifetime: int | None = None) -> "NewItem":
    """Raises `Usage` for a name that no enclave would take."""
    from intaglio.gateway.store.downward import NewItem  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415
    from intaglio.wire.downward import MAX_ITEM_NAME, REFERENCE_SIZE  # noqa: PLC0415

    if not 0 < len(name.encode(errors="replace")) <= MAX_ITEM_NAME or not name.isprintable():
        raise Usage(f"a name has 1 to {MAX_ITEM_NAME} bytes, all printable")
    at = int(time.time())
    expires = None if lifetime is None else UnixTime(at + lifetime)
    return NewItem(os.urandom(REFERENCE_SIZE), kind, name, to, who(), UnixTime(at), value, expires)


def opened_vault(keystore: Path, key_file: Path | None) -> "Callable[[sqlite3.Connection], Vault]":
    """Asks for what opens the keystore; gives what opens it, inside a transaction: see `Vault`. Raises `Usage`."""
    if not keystore.exists():
        raise Usage(f"{keystore}: no such keystore; it is the one that intaglio serve runs with")
    secret = keystore_secret(key_file)
    return lambda connection: _vault(connection, keystore, secret)


def item_fields(item: "StoredItem") -> dict[str, object]:
    return {
        "name": item.name,
        "workload": item.workload,
        "version": item.version,
        "type": item.kind,
        "reference": item.reference.hex(),
        "measurement": item.measurement,
        "lineage": item.lineage.hex() if item.lineage else None,
        "by": item.made_by,
        "at": item.made_at,
        "replaced_at": item.closed_at,
        "sent": item.sent,
        "answered": item.answered,
    }


def delivery_fields(delivery: "StoredDelivery") -> dict[str, object]:
    return {
        "session": delivery.session.hex(),
        "sequence": delivery.sequence,
        "sent_at": delivery.made_at,
        "answered_at": delivery.answered_at,
        "state": delivery_state(delivery),
    }


def delivery_state(delivery: "StoredDelivery") -> str:
    """`taken`, `older`, `refused`, `failed` as the enclave said; `waiting` while it may still say; else `unknown`."""
    return delivery.outcome or ("waiting" if delivery.live else "unknown")


_MAX_TEXT = 255


def _vault(connection: sqlite3.Connection, path: Path, secret: "Secret") -> "Vault":
    from intaglio.errors import Malformed  # noqa: PLC0415
    from intaglio.gateway.keystore import Keystore  # noqa: PLC0415
    from intaglio.gateway.vault import Vault  # noqa: PLC0415

    try:
        keystore = Keystore.open(path, secret)
    except Malformed as error:
        raise Usage(f"{path}: not a keystore, or damaged: {error}") from error
    held = connection.execute("SELECT hash FROM offers WHERE destroyed_at IS NULL").fetchall()
    # The gateway could not open what another keystore wrapped, and would only say so in its log.
    if not keystore.wrapping or not any(offer in keystore.offers for (offer,) in held):
        raise Usage(f"{path}: not the keystore of this store, or its gateway has never run")
    return Vault(keystore, os.urandom)


def _hexadecimal(text: str, option: str, *sizes: int) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) not in sizes:
        raise Usage(f"{option}: need {' or '.join(str(2 * size) for size in sizes)} hexadecimal digits")
    return data
