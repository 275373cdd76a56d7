"""`Enclave`: what a script inside an enclave makes, once, to say which data centre it talks to and what can be called.

What a call returns, emits or raises leaves only as a protected record. This module knows nothing of sessions: it turns
(name, arguments) into records, and `serving.py` protects them.
"""

from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar, overload

from intaglio.attest.base import Attester, SealPolicy
from intaglio.enclave import sealing, values
from intaglio.enclave.arguments import ArgumentError, Signature
from intaglio.enclave.downward import Downward
from intaglio.enclave.inside import INSIDE
from intaglio.enclave.secrets import Secrets
from intaglio.enclave.state import SealedState, StateUnconfirmed
from intaglio.enclave.values import Plain
from intaglio.errors import IntaglioError, LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.wire.content import MAX_NAME, Record
from intaglio.wire.identity import Pin
from intaglio.wire.state import STATE_TYPE

__all__ = ["CBOR", "ERROR", "MAX_RECORDS_SIZE", "CallError", "Enclave"]

CBOR: Final = "application/cbor"
"""Content type of a result."""
ERROR: Final = "application/vnd.intaglio.error+cbor"
"""Content type of an error: a map of "type" and "message"."""

MAX_RECORDS_SIZE = 1_000_000
"""Bytes of names, content types and values that one call may make: they travel in one frame of at most 1 MiB."""

P = ParamSpec("P")
R = TypeVar("R")


class CallError(IntaglioError):
    """Raised by a call to say something to the data centre. The host sees a frame like any other."""


class Enclave:
    """One per script. Outside an enclave (in a unit test of the script, say) it registers calls and can do no more."""

    def __init__(self, data_centre: str = "dc.pub") -> None:
        """`data_centre`: the name of the pinned identity's file, which is part of the measurement.

        Raises FileNotFoundError where the file is not part of the measured image, `Malformed` where it is no identity,
        `Rejected(WRONG_PIN)` where the host launched this enclave for another one.
        """
        self._calls: dict[str, tuple[Callable[..., object], Signature]] = {}
        self._received: Callable[[str, str, bytes], object] | None = None
        self._downward = Downward(ERROR)
        self._batch: list[Record] | None = None
        self._state: SealedState | None = None
        self._blob: bytes | None = None
        self._attester: Attester | None = None
        self._pin: Pin | None = None
        inside = INSIDE.get()
        if inside is not None:
            self._attester = inside.attester
            self._pin = _read_pin(inside.attester, data_centre)
            inside.enclaves.append(self)

    @property
    def pin(self) -> Pin:
        """The data centre this enclave talks to. Raises `LocalProtocolError` outside an enclave."""
        if self._pin is None:
            raise LocalProtocolError("pin: not inside an enclave")
        return self._pin

    @property
    def calls(self) -> tuple[str, ...]:
        """The names that the host can call."""
        return tuple(sorted(self._calls))

    @overload
    def call(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def call(self, /, *, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def call(
        self, function: Callable[P, R] | None = None, /, *, name: str | None = None
    ) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
        """Makes a function callable from outside, under its own name or `name`, and returns it unchanged.

        Raises TypeError for an annotation that no argument can satisfy, ValueError for a name that is taken.
        """

        def register(function: Callable[P, R]) -> Callable[P, R]:
            self._register(name or str(getattr(function, "__name__", "")), function)
            return function

        return register if function is None else register(function)

    def receive(self, function: Callable[[str, str, bytes], object]) -> Callable[[str, str, bytes], object]:
        """Makes `function(name, content_type, value)` the one that gets records which the data centre sends down."""
        if self._received is not None:
            raise ValueError("receive: there is one receiver already")
        self._received = function
        return function

    def command(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Makes a function one that the data centre, and nobody else, can have run: `intaglio command send`. It runs
        once for each command; what it emits and returns goes up as of a call. Returns it unchanged.

        Raises TypeError for an annotation that no argument can satisfy, ValueError for a name that is taken.
        """
        name = str(getattr(function, "__name__", ""))
        if name in self._calls:
            raise ValueError(f"command: {name} can be called by the host")
        self._downward.register(name, function)
        return function

    @property
    def secrets(self) -> Secrets:
        """What the data centre has sent by `intaglio secret put`, by name."""
        return self._downward.secrets

    def emit(self, name: str, value: Plain, content_type: str = CBOR) -> None:
        """Adds a record to the frame that the current call makes, before its result. `value` is encoded as CBOR, or
        taken as it is (bytes) for another content type.

        Raises `Malformed` for what is not plain, `LocalProtocolError` outside a call.
        """
        if self._batch is None:
            raise LocalProtocolError("emit: only during a call")
        if content_type == STATE_TYPE:
            raise Malformed(name, "only sealed_state takes steps")
        if content_type == CBOR:
            data = values.encode(value, name)
        elif isinstance(value, bytes):
            data = value
        else:
            raise Malformed(name, f"{content_type}: need bytes, found {type(value).__name__}")
        self._batch.append(_record(name, content_type, data))

    def seal(self, data: bytes, policy: SealPolicy = SealPolicy.MRENCLAVE, aad: bytes = b"") -> bytes:
        """`data`, to be kept by the host: only this enclave (or, under MRSIGNER, one of its vendor) on this platform
        can open it. No protection against an older blob put back in place. Raises `Unavailable` where the TEE has no
        sealing key."""
        return sealing.seal(self._inside("seal"), data, policy, aad)

    def unseal(self, blob: bytes, aad: bytes = b"") -> bytes:
        """Opens `seal`'s result. Raises `Malformed`, `Rejected(SEAL_AUTHENTICATION)` or `Unavailable`."""
        return sealing.unseal(self._inside("unseal"), blob, aad)

    def reseal(self, blob: bytes, aad: bytes = b"") -> bytes | None:
        """After an update: what an older version of this enclave sealed, sealed by this one, so that the older can't
        open it any more; None where there is nothing to do. Raises as `unseal` does."""
        return sealing.reseal(self._inside("reseal"), blob, aad)

    def sealed_state(self, policy: SealPolicy = SealPolicy.MRENCLAVE) -> SealedState:
        """State that survives this enclave, and of which the data centre holds the number of the newest. Once a
        script. Raises ValueError a second time."""
        if self._state is not None:
            raise ValueError("sealed_state: there is one already")
        self._state = SealedState(self._attester, policy)
        return self._state

    @property
    def state(self) -> SealedState | None:
        """For the SDK: the script's state, if it keeps one."""
        return self._state

    def take_blob(self) -> bytes | None:
        """For the SDK: the sealed state that the host must keep before it passes on the last call's frame."""
        blob, self._blob = self._blob, None
        return blob

    def perform(self, name: str, args: list[Plain], kwargs: dict[str, Plain]) -> list[Record]:
        """Runs a registered call and gives its records: those emitted, then its result or error. Raises KeyError."""
        function, signature = self._calls[name]

        def run() -> object:
            bound = signature.bind(args, kwargs)
            return function(*bound.args, **bound.kwargs)

        return self._with_state(name, lambda: self._records_of(name, run))

    def deliver(self, records: Sequence[Record]) -> list[Record]:
        """Gives records from the data centre to whom they are for (the secrets, a command, the script's receiver), and
        the records that answer them, for one frame. Together they are one change of the state: the data centre can
        only tell a host's crash from a fork where no more than one step is sealed before it leaves."""
        return self._with_state(records[0].name, lambda: [each for record in records for each in self._answer(record)])

    def _answer(self, record: Record) -> list[Record]:
        if self._downward.knows(record):
            try:
                return self._downward.take(record, self._records_of)
            except Malformed as error:
                return [_error(record.name, "Malformed", error.field)]
        receiver = self._received
        if receiver is None:
            return [_error(record.name, "CallError", "this enclave receives nothing")]
        return self._records_of(record.name, lambda: receiver(record.name, record.content_type, record.value))

    def _records_of(self, name: str, run: Callable[[], object]) -> list[Record]:
        batch = self._batch = []
        succeeded = False
        mark = self._state.mark() if self._state is not None else None
        try:
            batch.append(_record(name, CBOR, values.encode(run(), "result")))
            succeeded = True
        except (CallError, ArgumentError, Malformed, StateUnconfirmed) as error:
            batch.append(_error(name, type(error).__name__, str(error)))
        except BaseException as error:  # noqa: BLE001 - whatever the script raises must leave as a protected record
            # SystemExit and asyncio's CancelledError among it: Python prints their texts, and the host reads them.
            # Only the class: the text of an error nobody foresaw may hold anything, and nobody decided to send it.
            batch.append(_error(name, type(error).__name__, type(error).__name__))
        finally:
            self._batch = None
        if _too_large(batch):
            batch, succeeded = [_too_much(name)], False
        if self._state is not None and not succeeded:
            self._state.undo(mark)
        return batch

    def _with_state(self, name: str, run: Callable[[], list[Record]]) -> list[Record]:
        """The records of one frame, with the step of the state that they rest on as the last; an error alone where they
        are too many together or the step can't be sealed, for then nothing of it has happened."""
        if self._state is None:
            return run()
        self._state.begin()
        batch = run()
        if _too_large(batch):
            self._state.abandon()
            return [_too_much(name)]
        try:
            step = self._state.finish()
        except IntaglioError as error:
            return [_error(name, type(error).__name__, "the state could not be sealed")]
        if step is None:
            return batch
        record, self._blob = step
        return [*batch, record]

    def _register(self, name: str, function: Callable[..., object]) -> None:
        if not 0 < len(name.encode()) <= MAX_NAME:
            raise ValueError(f"call: need a name of 1 to {MAX_NAME} bytes")
        if name in self._calls:
            raise ValueError(f"call: {name} is registered already")
        if self._downward.has(name):
            raise ValueError(f"call: {name} is a command, which the host must not run")
        self._calls[name] = (function, Signature(function))

    def _inside(self, what: str) -> Attester:
        if self._attester is None:
            raise LocalProtocolError(f"{what}: not inside an enclave")
        return self._attester


def _read_pin(attester: Attester, name: str) -> Pin:
    try:
        pin = Pin.from_text(attester.trusted_file(name).decode("ascii"))
    except UnicodeDecodeError as error:
        raise Malformed(name, "not text") from error
    # A policy with pin = "config_id" believes CONFIGID, which the host chooses: so an image that pins another data
    # centre must not run under the hash of ours. A CONFIGID of any other form is the application's own.
    named, rest = attester.config_id[:32], attester.config_id[32:]
    if any(named) and not any(rest) and named != pin.hash:
        raise Rejected(Reason.WRONG_PIN, expected=f"CONFIGID for {pin.hash.hex()}", found=named.hex())
    return pin


def _record(name: str, content_type: str, value: bytes) -> Record:
    for text in (name, content_type):
        if not 0 < len(text.encode()) <= MAX_NAME:
            raise Malformed("record", f"need a name and a content type of 1 to {MAX_NAME} bytes")
    return Record(name, content_type, value)


def _size(record: Record) -> int:
    """At least what the record takes in a frame; at 16 bytes or more each, their number stays within a frame's too."""
    return len(record.name.encode()) + len(record.content_type.encode()) + len(record.value) + 16


def _too_large(batch: list[Record]) -> bool:
    return sum(_size(record) for record in batch) > MAX_RECORDS_SIZE


def _too_much(name: str) -> Record:
    return _error(name, "Malformed", f"the records of one call take more than {MAX_RECORDS_SIZE} bytes")


def _error(name: str, kind: str, message: str) -> Record:
    # A message that is not Unicode must not turn into an error that the host would see.
    text = message[:4096].encode(errors="replace").decode()
    return Record(name, ERROR, values.encode({"type": kind, "message": text}, "error"))
