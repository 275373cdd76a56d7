"""Files of the measured image, where the TEE measures a whole file system: what `Attester.trusted_file` reads.

The folder is the script's. That its files are measured is not checked here and can't be: Gramine compares each file
that it opens with the hash in the measured manifest, an image of Nitro is measured as a whole, and a confidential VM
must boot a root file system that its measurement covers (docs/enclave.md says what each TEE relies on).
"""

from dataclasses import dataclass
from errno import EACCES, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM
from os import strerror

from intaglio.attest.system import System, read_all

__all__ = ["ImageFolder"]

MAX_FILE = 16 << 20
"""Bytes of one file: far more than any script, far less than an enclave's memory."""

_ABSENT = frozenset((ENOENT, ENOTDIR, EISDIR, ENAMETOOLONG, EACCES, EPERM))
"""Gramine answers the last two for a file that is not among the manifest's trusted files, or differs from its hash."""


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """One folder of the image; there are no paths into others."""

    system: System
    path: str

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError for what is not a readable file of this folder, OSError for a disk that fails."""
        if not name or name in {".", ".."} or "/" in name or "\0" in name:
            raise FileNotFoundError(ENOENT, strerror(ENOENT), name)
        try:
            return read_all(self.system, f"{self.path.rstrip('/')}/{name}", MAX_FILE)
        except OSError as error:
            if error.errno in _ABSENT:
                raise FileNotFoundError(ENOENT, f"not a readable file of the image ({error.strerror})", name) from error
            raise
