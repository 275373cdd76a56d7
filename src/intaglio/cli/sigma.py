"""`intaglio sigma`: the service provider's key of Intel's Sigma handshake."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import examples, field, line, note
from intaglio.cli.failure import Commands, Usage
from intaglio.cli.secrets import keystore_secret

if TYPE_CHECKING:
    from intaglio.sigma.curve import ProviderKey

__all__ = ["add_to"]

KeyPath = Annotated[Path, typer.Argument(metavar="FILE", help="The key's file.")]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Seals the key instead of a passphrase; the gateway's own, so that it can open it."
    ),
]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        help="The key of Intel's Sigma handshake, for applications that speak sgx_ra_*.",
    )
    group.command(
        epilog=examples(
            "intaglio sigma keygen sp.key                        a new key",
            "intaglio sigma keygen sp.key --from sp_private.pem  the one that enclaves have compiled in",
        )
    )(keygen)
    group.command(epilog=examples("intaglio sigma show sp.key > sp_public_key.h"))(show)
    app.add_typer(group, name="sigma")


def keygen(
    path: KeyPath,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="KEY.pem", help="Take over this P-256 private key instead of drawing one."),
    ] = None,
    key_file: KeyFileOption = None,
) -> None:
    """Make the service provider's key, sealed like the keystore and by the same secret.

    What goes into the enclave is its public half, which is printed as C source; it belongs among the enclave's
    constants. A key that the application hands in at run time pins nothing.
    """
    import os  # noqa: PLC0415

    from intaglio.cli.reading import read_bytes  # noqa: PLC0415
    from intaglio.errors import Malformed  # noqa: PLC0415
    from intaglio.gateway.sigma_key import create_sigma_key, read_pem_key  # noqa: PLC0415
    from intaglio.sigma.curve import ProviderKey  # noqa: PLC0415

    if path.exists():
        raise Usage(f"{path}: exists already, and a key is never overwritten")
    if not path.parent.is_dir():
        raise Usage(f"{path.parent}: no such folder")
    try:
        key = read_pem_key(read_bytes(source)) if source is not None else ProviderKey.draw(os.urandom)
    except Malformed as error:
        raise Usage(f"{source}: {error.problem}") from error
    create_sigma_key(path, keystore_secret(key_file, new=True), key)
    _show(key)
    note(f"next: compile this into the enclave, then: intaglio serve --policy policy.toml --sigma {path}")


def show(path: KeyPath, key_file: KeyFileOption = None) -> None:
    """Print the public half, as the C source that an enclave pins."""
    from intaglio.errors import Malformed  # noqa: PLC0415
    from intaglio.gateway.sigma_key import open_sigma_key  # noqa: PLC0415

    try:
        key = open_sigma_key(path, keystore_secret(key_file))
    except Malformed as error:
        raise Usage(f"{path}: {error.problem}") from error
    _show(key)


def _show(key: "ProviderKey") -> None:
    from intaglio.gateway.sigma_key import pin_hash  # noqa: PLC0415

    field("// pin hash", pin_hash(key))
    line("static const sgx_ec256_public_t g_sp_pub_key = {")
    for half, end in ((key.public[:32], ","), (key.public[32:], "")):
        line("    {")
        for at in range(0, 32, 8):
            line("        " + ", ".join(f"0x{byte:02x}" for byte in half[at : at + 8]) + ("," if at < 24 else ""))
        line("    }" + end)
    line("};")
