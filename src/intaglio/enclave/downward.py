"""What an enclave does with a record that came down: a secret is kept, a command runs once, and each is answered by an
acknowledgement in the same upward frame as whatever it made.
"""

import json
from collections import OrderedDict
from collections.abc import Callable

from intaglio.enclave.arguments import Signature
from intaglio.enclave.secrets import Secrets
from intaglio.enclave.values import Plain
from intaglio.wire.content import Record
from intaglio.wire.downward import (
    ACK_NAME,
    ACK_TYPE,
    COMMAND_TYPE,
    SECRET_TYPE,
    Acknowledgement,
    Command,
    ItemOutcome,
    Secret,
)

__all__ = ["Downward"]

MAX_REMEMBERED = 4096
"""Commands of which the id is known: the data centre sends none twice, so this is for one that errs."""

RunAs = Callable[[str, Callable[[], object]], list[Record]]
"""(name, function) -> the records of a call: see `Enclave`."""


class Downward:
    """The secrets and the commands of one enclave."""

    def __init__(self, error_type: str) -> None:
        """`error_type`: the content type by which an error among a call's records is known."""
        self.secrets = Secrets()
        self._error_type = error_type
        self._commands: dict[str, tuple[Callable[..., object], Signature]] = {}
        self._done: OrderedDict[bytes, ItemOutcome] = OrderedDict()

    def register(self, name: str, function: Callable[..., object]) -> None:
        """Raises ValueError for a name that is taken."""
        if name in self._commands:
            raise ValueError(f"command: {name} is registered already")
        self._commands[name] = (function, Signature(function))

    def has(self, name: str) -> bool:
        """Whether there is a command of this name."""
        return name in self._commands

    def knows(self, record: Record) -> bool:
        """Whether this record is ours, and not the script's receiver's."""
        return record.content_type in (SECRET_TYPE, COMMAND_TYPE)

    def take(self, record: Record, run: RunAs) -> list[Record]:
        """The records that answer. Raises `Malformed` for what no data centre of this version sends."""
        if record.content_type == SECRET_TYPE:
            secret = Secret.parse(record.value)
            return [_ack(secret.reference, self.secrets.take(secret))]
        command = Command.parse(record.value)
        done = self._done.get(command.reference)
        if done is not None:
            return [_ack(command.reference, done)]
        found, arguments = self._commands.get(command.name), _arguments(command)
        if found is None or arguments is None:
            return self._answered(command, [], ItemOutcome.REFUSED)
        function, signature = found

        def perform() -> object:
            bound = signature.bind([], arguments)
            return function(*bound.args, **bound.kwargs)

        # Before it runs: should the script hang or its host kill it half-way, it has been tried.
        self._remember(command.reference, ItemOutcome.FAILED)
        records = run(command.name, perform)
        failed = records[-1].content_type == self._error_type
        return self._answered(command, records, ItemOutcome.FAILED if failed else ItemOutcome.TAKEN)

    def _answered(self, command: Command, records: list[Record], outcome: ItemOutcome) -> list[Record]:
        self._remember(command.reference, outcome)
        return [*records, _ack(command.reference, outcome)]

    def _remember(self, reference: bytes, outcome: ItemOutcome) -> None:
        self._done[reference] = outcome
        while len(self._done) > MAX_REMEMBERED:
            self._done.popitem(last=False)


def _ack(reference: bytes, outcome: ItemOutcome) -> Record:
    return Record(ACK_NAME, ACK_TYPE, Acknowledgement(reference, outcome).encode())


def _arguments(command: Command) -> dict[str, Plain] | None:
    """None for what is no JSON object."""
    try:
        value: object = json.loads(command.arguments or b"{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
