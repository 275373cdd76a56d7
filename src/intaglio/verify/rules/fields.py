"""Fields of evidence and the keys by which a table names what they may be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from intaglio.reasons import Reason
from intaglio.verify.ledger import Step
from intaglio.verify.rules.reference import References
from intaglio.verify.rules.rule import AtLeast, Masked, OneOf, Rule
from intaglio.verify.rules.table import Table, hexadecimal, number, references

__all__ = ["BytesField", "NumberField"]

Body = TypeVar("Body")

# Without slots: Python 3.11 can't make an instance of a subscripted class that is frozen and has them.


@dataclass(frozen=True)
class BytesField(Generic[Body]):
    """A field of `size` bytes. `reason` is given where it is not what the table names. `signer`: it is all zero where
    nobody signed, so that a table must not name that."""

    key: str
    step: Step
    name: str
    size: int
    read: Callable[[Body], bytes]
    reason: Reason
    signer: bool = False

    def listed(self, table: Table) -> Rule[Body]:
        """Mandatory: a list of values."""
        return self._rule(table.take(self.key, self._values, References(())))

    def one(self, table: Table) -> Rule[Body]:
        """Mandatory: one value, or a list."""
        return self._rule(table.take(self.key, self._some, References(())))

    def maybe(self, table: Table) -> list[Rule[Body]]:
        """Optional: one value, or a list."""
        values = table.maybe(self.key, self._some, None)
        return [] if values is None else [self._rule(values)]

    def masked(self, table: Table) -> list[Rule[Body]]:
        """Optional: a value and a mask, which belong together."""
        value = table.maybe(self.key, hexadecimal(self.size), None)
        mask = table.maybe(f"{self.key}_mask", hexadecimal(self.size), None)
        if (value is None) != (mask is None):
            table.problem(self.key, f"{self.key} and {self.key}_mask belong together")
        if value is None or mask is None:
            return []
        if value != bytes(map(int.__and__, value, mask)):
            table.problem(self.key, f"has bits outside {self.key}_mask, so nothing could match")
        if not any(mask):
            table.problem(self.key, f"{self.key}_mask is zero, so nothing would be looked at")
        return [Masked(self.key, self.step, self.name, self.read, value, mask)]

    def _rule(self, values: References) -> Rule[Body]:
        return OneOf(self.key, self.step, self.name, self.read, values, self.reason)

    def _some(self, value: object) -> References:
        return self._values([value] if isinstance(value, str | dict) else value)

    def _values(self, value: object) -> References:
        found = references(self.size)(value)
        if self.signer and bytes(self.size) in found.values:
            raise ValueError("all zero is what an image has that nobody signed")
        return found


@dataclass(frozen=True)
class NumberField(Generic[Body]):
    """A field that holds a number of at most `limit`, by the key of its minimum."""

    key: str
    step: Step
    name: str
    limit: int
    read: Callable[[Body], int]
    reason: Reason

    def minimum(self, table: Table) -> Rule[Body]:
        """Mandatory."""
        return self._rule(table.take(self.key, number(self.limit), 0))

    def maybe(self, table: Table) -> list[Rule[Body]]:
        """Optional; a minimum of 0 is none."""
        found = table.maybe(self.key, number(self.limit), 0)
        return [self._rule(found)] if found else []

    def _rule(self, minimum: int) -> Rule[Body]:
        return AtLeast(self.key, self.step, self.name, self.read, minimum, self.reason)
