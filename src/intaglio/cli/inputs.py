"""What a person gives a command to judge by: a policy, a data centre's pin, the roots of laboratories. What can't be
read is a usage error that names the file."""

from collections.abc import Iterable
from pathlib import Path

from intaglio.cli.failure import Usage
from intaglio.cli.reading import read_bytes
from intaglio.errors import Malformed
from intaglio.verify.policy import Policy, PolicyError
from intaglio.verify.roots import Roots
from intaglio.wire.identity import Pin

__all__ = ["read_pin", "read_policy", "read_roots"]


def read_policy(path: Path) -> Policy:
    """Raises `Usage` with every problem of the file."""
    try:
        return Policy.parse(read_bytes(path))
    except PolicyError as error:
        raise Usage(f"{path}: not a policy: {'; '.join(error.problems)}") from error


def read_pin(path: Path) -> Pin:
    """A NAME.pub file. Raises `Usage` for a file that `intaglio keygen` did not write."""
    try:
        return Pin.from_text(read_bytes(path).decode("ascii"))
    except (Malformed, UnicodeDecodeError) as error:
        raise Usage(f"{path}: not a data centre's pin: {error}") from error


def read_roots(lab: Iterable[Path]) -> Roots:
    """The roots of real hardware, and those of these laboratories. Raises `Usage`."""
    roots = Roots.production()
    for path in lab:
        try:
            roots |= Roots.lab(read_bytes(path))
        except Malformed as error:
            raise Usage(f"{path}: not a laboratory's root certificate: {error}") from error
    return roots
