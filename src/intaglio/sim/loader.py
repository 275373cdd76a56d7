"""Which files make an enclave's image, and so its MRENCLAVE. `intaglio measure` and `intaglio.sim.run` both ask
here.

In this order: the script under its own name; every file given as trusted, under its own name; `dc.pub` beside
the script if none of that name was given; every Python file of the SDK that loads in an enclave (`SDK_ROOMS`),
as `intaglio/...`, sorted. The order is part of the measurement; folders, times and permissions are not.
Interpreter and dependencies are not in a simulated image either; with a real TEE they are (Gramine lists them
in its manifest).
"""

from collections.abc import Iterable
from pathlib import Path

import intaglio
from intaglio.sim.measure import Image, TrustedFile
from intaglio.types import Measurement

__all__ = ["PINNED_NAME", "SDK_ROOMS", "image_of", "measure"]

PINNED_NAME = "dc.pub"
"""The data centre's pinned identity: `Enclave(data_centre="dc.pub")` reads it from the image."""

MAX_FILE = 16 << 20
"""Bytes of one file in an image. It is read whole, and a device has no end worth waiting for."""

SDK_ROOMS = ("errors.py", "reasons.py", "types.py", "wire", "verify", "session", "attest", "enclave")
"""What runs inside. The untrusted rooms (host, gateway, cli, sim, collateral, files) may change without a new
measurement."""


def measure(script: Path, trusted: Iterable[Path] = ()) -> Measurement:
    """MRENCLAVE of `script` with these pinned files: what policy names and what the CPU will report.

    Raises FileNotFoundError for a file that is not there, `ValueError` for two files of one name or a file that
    is too large.
    """
    return image_of(script, trusted).mr_enclave()


def image_of(script: Path, trusted: Iterable[Path] = ()) -> Image:
    """Reads every file once; from here on only these bytes count. Raises as `measure` does."""
    files = [TrustedFile(path.name, _read(path)) for path in (script, *trusted)]
    pinned = script.parent / PINNED_NAME
    if pinned.is_file() and all(file.name != PINNED_NAME for file in files):
        files.append(TrustedFile(PINNED_NAME, _read(pinned)))
    return Image((*files, *_sdk()))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise ValueError(f"{path}: more than {MAX_FILE} bytes, which no image of this simulator holds")
    return content


def _sdk() -> list[TrustedFile]:
    package = Path(intaglio.__file__).parent
    paths = [package / "__init__.py"]
    for room in SDK_ROOMS:
        path = package / room
        paths += path.rglob("*.py") if path.is_dir() else [path]
    named = {f"intaglio/{path.relative_to(package).as_posix()}": path for path in paths}
    return [TrustedFile(name, named[name].read_bytes()) for name in sorted(named)]
