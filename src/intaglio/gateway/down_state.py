"""What the vault keeps of a session's downward direction: its key's secret, with whom the session was accepted as.

Both are wrapped together. The database says the same in columns that anybody can read and search; whom a secret goes
to is not taken from there, for whoever can write the database could make his own session look like another's. Nor is
the next number alone: he could delete one that was used, and a number must never meet two plaintexts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import cbor

__all__ = ["DownState", "measured"]

_MEASUREMENTS = ("mr_enclave", "mr_td", "measurement")


@dataclass(frozen=True, slots=True)
class DownState:
    """`measurements`: in hexadecimal, those that `--measurement` names. `lineage`: of the sealed state that the hello
    claimed. `next`: the number of the next frame."""

    secret: bytes = field(repr=False)
    workload: str
    measurements: tuple[str, ...]
    lineage: bytes | None
    next: int = 0

    def encode(self) -> bytes:
        """The secret included. Wrap it before it is stored."""
        said: list[cbor.Value] = [self.workload, list(self.measurements), self.lineage]
        return cbor.labelled("down-state", self.secret, *said, self.next)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads `encode`'s bytes. Raises `Malformed`."""
        items = cbor.array(cbor.decode(data, "down"), "down", 6)
        label, secret, workload, measurements, lineage, following = items
        if label != cbor.LABEL_PREFIX + "down-state" or not isinstance(measurements, list):
            raise Malformed("down", "not a session's downward state")
        return cls(
            cbor.bstr(secret, "down.secret", 32),
            cbor.tstr(workload, "down.workload"),
            tuple(cbor.tstr(each, "down.measurement") for each in measurements),
            None if lineage is None else cbor.bstr(lineage, "down.lineage", 16),
            cbor.uint(following, "down.next"),
        )


def measured(identity: Mapping[str, object]) -> tuple[str, ...]:
    """What evidence measured, from its verdict's identity: one value, or Nitro's PCR 0."""
    found = [identity.get(name) for name in _MEASUREMENTS]
    pcrs = identity.get("pcrs")
    if isinstance(pcrs, Mapping):
        found.append(pcrs.get("0"))
    return tuple(each for each in found if isinstance(each, str))
