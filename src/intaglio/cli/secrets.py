"""Where the secret that opens a keystore comes from: a key file, the environment, or a person."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from intaglio.cli.failure import Usage

if TYPE_CHECKING:
    from intaglio.gateway.config import Secret

__all__ = ["PASSPHRASE_VARIABLE", "keystore_secret"]

PASSPHRASE_VARIABLE = "INTAGLIO_PASSPHRASE"  # noqa: S105 - the variable's name


def keystore_secret(key_file: Path | None, *, new: bool = False) -> "Secret":
    """The key file where one is given, else the passphrase in the environment, else a prompt.

    `new`: the keystore is being made, so a missing key file is made with it and a passphrase is asked for twice.
    Raises `Usage` where nobody can be asked.
    """
    from intaglio.gateway.sealed_file import KeyFile, Passphrase  # noqa: PLC0415

    if key_file is not None:
        return KeyFile.create(key_file) if new and not key_file.exists() else KeyFile(key_file)
    text = os.environ.get(PASSPHRASE_VARIABLE)
    if text is None:
        if not sys.stdin.isatty():
            raise Usage(f"no passphrase: set {PASSPHRASE_VARIABLE}, give --key-file, or run this in a terminal")
        text = str(typer.prompt("passphrase", hide_input=True, confirmation_prompt=new))
    return Passphrase(text)
