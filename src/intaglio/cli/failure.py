"""How commands end: four exit statuses, and one clear line on stderr for whatever went wrong. No traceback reaches a
user unless INTAGLIO_DEBUG=1 asks for it."""

import errno
import os
import sys
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup

from intaglio.cli.console import clean
from intaglio.errors import IntaglioError

__all__ = ["Commands", "Exit", "Usage", "report"]


class Exit(IntEnum):
    """What a command's exit status means."""

    OK = 0
    """Done; for `verify`: genuine, and accepted where a policy was given."""
    FAILED = 1
    """It did not work; for `verify`: not genuine, or rejected."""
    USAGE = 2
    """Something that was given to the command is missing or can't be read; nothing was done."""
    UNDECIDABLE = 3
    """`verify` could not decide."""
    INTERRUPTED = 130
    """Ctrl-C."""


class Usage(IntaglioError):
    """What the caller gave can't be used: the exit status is 2."""


_USAGE_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
_USAGE_NUMBERS = (errno.ENAMETOOLONG, errno.ELOOP)
"""The same mistake, for which Python has no class: a name that can't be a file's."""


class Commands(TyperGroup):
    """A group whose commands fail with one line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (IntaglioError, OSError) as error:
            if os.environ.get("INTAGLIO_DEBUG") == "1" or getattr(error, "errno", None) == errno.EPIPE:
                raise
            raise typer.Exit(report(error)) from error
        except (KeyboardInterrupt, typer.Abort) as interrupt:  # Abort: Ctrl-C while a passphrase was asked for
            raise typer.Exit(Exit.INTERRUPTED) from interrupt


def report(error: IntaglioError | OSError) -> Exit:
    """Says what went wrong on stderr; returns the exit status that it deserves."""
    sys.stderr.write(f"intaglio: {clean(_text(error))}\n")
    if isinstance(error, OSError):
        named_wrongly = isinstance(error, _USAGE_ERRORS) or error.errno in _USAGE_NUMBERS
        return Exit.USAGE if named_wrongly else Exit.FAILED
    from intaglio.gateway.config import Misconfigured  # noqa: PLC0415 - only a failing command pays for it

    return Exit.USAGE if isinstance(error, Usage | Misconfigured) else Exit.FAILED


def _text(error: IntaglioError | OSError) -> str:
    if not isinstance(error, OSError):
        return str(error)
    what = (error.strerror or str(error) or type(error).__name__).lower()
    return f"{error.filename}: {what}" if error.filename is not None else what
