"""The numbers of bundles: what was imported under each pin, and what was exported under it.

They are what an old bundle is recognised by, so a file that can't be read is an error and not an empty one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from intaglio.errors import Malformed, Rejected
from intaglio.files import replace_private
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.wire import cbor

__all__ = ["Sequences"]

V = TypeVar("V")

_NAME = "bundles.cbor"
_LABEL = cbor.LABEL_PREFIX + "bundle-sequences"
_REMEDY = (
    "restore it from a backup; without one, remove it and import the newest bundle at once, because then any is taken"
)
MAX_FILE = 1 << 20
MAX_PINS = 1024
"""One row a pin that was ever used here."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """By the pin's hash: the sequence and content's digest of the last import, the sequence of the last export."""

    folder: Path
    imports: Mapping[bytes, tuple[int, bytes]]
    exports: Mapping[bytes, int]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Empty where no bundle was ever made or imported. Raises `Malformed`, which says what to do, OSError."""
        path = folder / _NAME
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except FileNotFoundError:
            return cls(folder, {}, {})
        try:
            return cls._parse(folder, data)
        except Malformed as error:
            raise Malformed(str(path), f"{error.problem}; {_REMEDY}") from error

    @classmethod
    def _parse(cls, folder: Path, data: bytes) -> Self:
        if len(data) > MAX_FILE:
            raise Malformed(_NAME, f"more than {MAX_FILE} bytes")
        label, imports, exports = cbor.array(cbor.decode(data, _NAME), _NAME, 3)
        if label != _LABEL or not isinstance(imports, list) or not isinstance(exports, list):
            raise Malformed(_NAME, "not the numbers of bundles")
        return cls(folder, dict(map(_import, imports)), dict(map(_export, exports)))

    def save(self) -> None:
        """Only by whoever keeps others out (`files.exclusive`) since `open`. Raises OSError."""
        imports: list[cbor.Value] = [[pin, sequence, digest] for pin, (sequence, digest) in self.imports.items()]
        exports: list[cbor.Value] = [[pin, sequence] for pin, sequence in self.exports.items()]
        replace_private(self.folder / _NAME, cbor.labelled("bundle-sequences", imports, exports))

    def check_import(self, pin: bytes, sequence: int, digest: bytes) -> None:
        """Raises `Rejected` for a bundle older than the last, or another one under its number."""
        last, content = self.imports.get(pin, (-1, b""))
        if sequence < last or (sequence == last and digest != content):
            raise Rejected(Reason.COLLATERAL_BUNDLE_OLD, expected=f"a sequence above {last}", found=sequence)

    def imported(self, pin: bytes, sequence: int, digest: bytes) -> Self:
        return replace(self, imports=_newest({**self.imports, pin: (sequence, digest)}))

    def next_export(self, pin: bytes, at: UnixTime) -> int:
        """The time, so that a lost file or another machine does not go back; above the last where clocks did."""
        return max(at, self.exports.get(pin, -1) + 1)

    def exported(self, pin: bytes, sequence: int) -> Self:
        return replace(self, exports=_newest({**self.exports, pin: sequence}))


def _newest(rows: dict[bytes, V]) -> dict[bytes, V]:
    return dict(list(rows.items())[-MAX_PINS:])


def _import(row: object) -> tuple[bytes, tuple[int, bytes]]:
    pin, sequence, digest = cbor.array(row, _NAME, 3)
    return cbor.bstr(pin, _NAME, 32), (cbor.uint(sequence, _NAME), cbor.bstr(digest, _NAME, 32))


def _export(row: object) -> tuple[bytes, int]:
    pin, sequence = cbor.array(row, _NAME, 2)
    return cbor.bstr(pin, _NAME, 32), cbor.uint(sequence, _NAME)
