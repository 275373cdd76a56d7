"""`intaglio keygen`: a data centre's identity."""

from pathlib import Path
from typing import Annotated

import typer

from intaglio.cli.console import examples, field, note
from intaglio.cli.failure import Usage
from intaglio.cli.secrets import keystore_secret

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio keygen dc                                  asks for a passphrase",
            "INTAGLIO_PASSPHRASE=... intaglio keygen dc          does not ask",
            "intaglio keygen dc --key-file /etc/intaglio/dc.secret   starts without a person",
            "intaglio keygen dc --suite 2                        post-quantum signatures as well",
        )
    )(keygen)


def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Names the two files: NAME.key and NAME.pub.")],
    audience: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The data centre's name, which every message is bound to. [default: NAME]"),
    ] = None,
    suite: Annotated[
        int,
        typer.Option(
            metavar="1|2",
            min=1,
            max=2,
            help="The weakest signatures that enclaves accept: 1 is Ed25519, 2 is Ed25519 and ML-DSA-65.",
        ),
    ] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for both files.")] = Path(),
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Seal the keystore with this file instead of a passphrase; it is made if it is missing.",
        ),
    ] = None,
) -> None:
    """Make a data centre's identity: keystore and pin.

    NAME.key holds the private keys, encrypted and readable by you alone. NAME.pub is what every enclave of this
    data centre pins: copy it beside the enclave's script before you measure it. Nothing is ever overwritten.

    Keep a copy of NAME.key: enclaves believe no other key, so without it every enclave has to be measured again.
    """
    from intaglio.gateway.keystore import Keystore  # noqa: PLC0415
    from intaglio.wire.identity import Suite  # noqa: PLC0415

    if name != Path(name).name or name in ("", ".", ".."):
        raise Usage(f"{name}: need a file name without a folder; --out names the folder")
    keystore, public = out / f"{name}.key", out / f"{name}.pub"
    for path in (keystore, public):
        if path.exists():
            raise Usage(f"{path}: exists already, and a key is never overwritten")
    if not out.is_dir():
        raise Usage(f"{out}: no such folder")
    pin = Keystore.create(keystore, audience or name, Suite(suite), keystore_secret(key_file, new=True))
    try:
        public.write_text(pin.to_text(), "ascii")
    except BaseException:
        # Nobody pins this identity yet, and one half of it would be in the way of the next try.
        public.unlink(missing_ok=True)
        keystore.unlink()
        raise
    field("keystore", f"{keystore} (private, encrypted)")
    field("pin", f"{public} (public: goes into every enclave)")
    field("audience", pin.audience)
    field("suite", f"{int(pin.minimum_suite)}")
    field("pin hash", pin.hash)
    note(f"next: put {public.name} beside the enclave's script, then: intaglio measure SCRIPT >> policy.toml")
