"""What `nitro-cli build-enclave`, `describe-eif` and `sign-eif` print about an image of AWS Nitro: its registers."""

import json
from pathlib import Path
from typing import NamedTuple

from intaglio.cli.failure import Usage

__all__ = ["Registers", "is_nitro_output", "read_registers"]

_HEX_DIGITS = 96
_ZERO = "0" * _HEX_DIGITS


class Registers(NamedTuple):
    """SHA-384 in hexadecimal; `pcr8` only of an image that is signed."""

    pcr0: str
    pcr1: str
    pcr2: str
    pcr8: str | None


def is_nitro_output(path: Path, data: bytes) -> bool:
    """Whether this is to be read as such output."""
    return path.suffix != ".py" and b'"Measurements"' in data and data.rstrip().endswith(b"}")


def read_registers(path: Path, data: bytes) -> Registers:
    """Raises `Usage` for what is no such output, for an image that was damaged, and for registers that no image has."""
    said = _json(path, data)
    for key, what in (("CheckCRC", "the image is damaged"), ("SignatureCheck", "the image's signature does not hold")):
        if said.get(key) is False:
            raise Usage(f"{path}: {key} is false: {what}")
    measured = said.get("Measurements")
    if not isinstance(measured, dict):
        raise Usage(f'{path}: no "Measurements"')
    algorithm = measured.get("HashAlgorithm", "Sha384")
    if not (isinstance(algorithm, str) and algorithm.startswith("Sha384")):
        raise Usage(f"{path}: need SHA-384 measurements")
    pcr0, pcr1, pcr2 = (_register(path, f"PCR{number}", measured.get(f"PCR{number}")) for number in range(3))
    pcr8 = measured.get("PCR8")
    return Registers(pcr0, pcr1, pcr2, None if pcr8 is None else _register(path, "PCR8", pcr8))


def _json(path: Path, data: bytes) -> dict[str, object]:
    """The object at the end: `build-enclave` says what it does before it."""
    start = data.find(b"{")
    try:
        said = json.loads(data[start:] if start >= 0 else b"")
    except (ValueError, RecursionError) as error:
        raise Usage(f"{path}: not what nitro-cli prints ({error})") from error
    return said if isinstance(said, dict) else {}


def _register(path: Path, name: str, value: object) -> str:
    if not (isinstance(value, str) and len(value) == _HEX_DIGITS and set(value.lower()) <= set("0123456789abcdef")):
        raise Usage(f"{path}: {name}: need {_HEX_DIGITS} hexadecimal digits")
    if value == _ZERO:
        raise Usage(f"{path}: {name} is zero, as in a debug enclave: describe the image, not what runs in debug mode")
    return value.lower()
