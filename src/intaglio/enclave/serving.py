"""What the host can ask of an enclave, and the state behind it: one session at a time, one request after another.

    ["restore", blob | null]     -> ["restored", blob to keep | null]
    ["hello", offer]             -> ["hello", hello]
    ["accept", accept]           -> ["accepted", [frames to send]]
    ["call", name, args, kwargs] -> ["frames", [frames]]
    ["down", frame]              -> ["frames", [frames]]     or, where the state changed: ["sealed", [frames], blob]
    ["rekey"] | ["end"]          -> ["frames", [frames]]
    ["heartbeat"]                -> ["frames", [frames]]     a checkpoint, even of nothing new
    ["status"]                   -> ["status", {...}]
    ["calls"]                    -> ["calls", [names]]
    anything else, or refused    -> ["error", code, text]

No request sets report data: evidence is made in `EnclaveHandshake.hello` alone, over a hash of its own transcript. A
new hello ends the session before it, whose frames stay valid; if that session was established, its last frame (END)
leaves together with the first frames of the next.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Final, TypeVar

from intaglio.attest.base import Attester
from intaglio.enclave import values
from intaglio.enclave.calls import Enclave
from intaglio.enclave.values import Plain
from intaglio.errors import IntaglioError, LocalProtocolError, Malformed, ProtocolError, Rejected, Unavailable
from intaglio.session.enclave import EnclaveChannel, EnclaveHandshake
from intaglio.session.sender import Sender
from intaglio.types import Draw, SessionId
from intaglio.wire import cbor
from intaglio.wire.content import Record
from intaglio.wire.state import StateStep

__all__ = ["Refused", "Service"]

# Not an import statement: the package names the host's classes, lazily, and nothing in here may reach those.
_SDK: Final[str] = f"intaglio/{import_module('intaglio').__version__}"

Answer = list[Plain]
T = TypeVar("T")


class Refused(IntaglioError):
    """The host gets an error instead of an answer: `code` is one of the pipe's, the text names nothing secret."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Service:
    """Answers one host. Not for several threads: calls run in the order in which they are asked for."""

    def __init__(self, enclave: Enclave, attester: Attester, draw: Draw, name: str) -> None:
        """`name`: the script's, which the hello claims to the data centre."""
        self._enclave = enclave
        self._attester = attester
        self._draw = draw
        self._claims: Final[dict[cbor.Value, cbor.Value]] = {"sdk": _SDK, "name": name}
        self._handshake: EnclaveHandshake | None = None
        self._channel: EnclaveChannel | None = None
        self._ended = False
        self._end_of_previous: list[bytes] = []
        self._highest_epoch = 0
        self._minimum_epoch = 0
        self._sessions = 0
        self._claimed: StateStep | None = None
        """The state of the hello that waits for an Accept."""
        self._last_accepted: SessionId | None = None

    def answer(self, request: bytes) -> Answer:
        """The answer to one message of the pipe; what is refused is an answer, too."""
        try:
            return self._dispatch(values.decode(request, "request"))
        except Refused as error:
            return ["error", error.code, str(error)]
        except Malformed as error:
            return ["error", "bad-request", str(error)]
        except (Unavailable, ProtocolError) as error:  # the attester's
            return ["error", "unavailable", str(error)]

    def _dispatch(self, request: Plain) -> Answer:
        match request:
            case ["restore", (bytes() | None) as blob]:
                return ["restored", self._restore(blob)]
            case ["hello", bytes(offer)]:
                return ["hello", self._hello(offer)]
            case ["accept", bytes(accept)]:
                return ["accepted", list[Plain](self._accept(accept))]
            case ["call", str(name), list(args), dict(kwargs)]:
                return self._with_blob(self._call(name, args, kwargs))
            case ["down", bytes(frame)]:
                return self._with_blob(self._down(frame))
            case ["rekey"]:
                return ["frames", list[Plain](self._rekey())]
            case ["heartbeat"]:
                return ["frames", list[Plain](self._heartbeat())]
            case ["end"]:
                return ["frames", list[Plain](self._end())]
            case ["status"]:
                return ["status", self._status()]
            case ["calls"]:
                return ["calls", list[Plain](self._enclave.calls)]
        raise Refused("bad-request", "no such request")

    def _restore(self, blob: bytes | None) -> bytes | None:
        """The state that the host kept, before the first hello. The host learns whether it opens."""
        state = self._enclave.state
        if state is None:
            raise Refused("no-state", "this enclave keeps no state")
        if state.restored:
            raise Refused("bad-request", "restored already")
        try:
            return state.restore(blob)
        except Rejected as error:
            raise Refused(f"rejected:{error.reason.name}", error.reason.summary) from error

    def _with_blob(self, frames: list[bytes]) -> Answer:
        blob = self._enclave.take_blob()
        return ["frames", list[Plain](frames)] if blob is None else ["sealed", list[Plain](frames), blob]

    def _hello(self, offer: bytes) -> bytes:
        """A new session; the old one stays as it is unless a hello comes of this."""
        claims, step = self._claims_now()
        handshake = EnclaveHandshake(
            self._enclave.pin,
            self._attester.tee,
            self._draw,
            highest_epoch=self._highest_epoch,
            minimum_epoch=self._minimum_epoch,
        )
        _by_data_centre(lambda: handshake.offer(offer))
        self._highest_epoch, self._minimum_epoch = handshake.highest_epoch, handshake.minimum_epoch
        hello = handshake.hello(self._attester.evidence, claims)
        if self._channel is not None and not self._ended:
            self._end_of_previous = _last_of(self._channel.up)
        self._handshake, self._channel, self._ended = handshake, None, False
        self._claimed = step
        self._sessions += 1
        return hello

    def _claims_now(self) -> tuple[Mapping[cbor.Value, cbor.Value], StateStep | None]:
        state = self._enclave.state
        if state is None:
            return self._claims, None
        if not state.restored:
            raise Refused("no-state", "restore this enclave's state first")
        step = state.claim()
        return self._claims | {"state": step.to_value(), "continues": self._last_accepted}, step

    def _accept(self, accept: bytes) -> list[bytes]:
        handshake = self._handshake
        if handshake is None or self._channel is not None or self._ended:
            raise Refused("no-session", "no hello waits for an Accept")
        try:
            channel = _by_data_centre(lambda: handshake.accept(accept))
        except LocalProtocolError as error:
            raise Refused("no-session", "this handshake failed: begin a new one") from error
        self._confirm(channel)
        self._channel, self._last_accepted = channel, handshake.session
        frames = [*self._end_of_previous, channel.farewell, *_checkpoints(channel.up)]
        self._end_of_previous = []
        return frames

    def _confirm(self, channel: EnclaveChannel) -> None:
        """An Accept that does not name our state is of a data centre that does not guard it: no session then."""
        state, claimed = self._enclave.state, self._claimed
        if state is not None and claimed is not None:
            try:
                _by_data_centre(lambda: state.confirm(claimed, channel.result.attestation))
            except Refused:
                self._ended = True
                raise

    def _call(self, name: str, args: list[Plain], kwargs: dict[str | int | bytes, Plain]) -> list[bytes]:
        if name not in self._enclave.calls:
            raise Refused("unknown-call", "no call of this name")
        named = {key: value for key, value in kwargs.items() if isinstance(key, str)}
        if len(named) != len(kwargs):
            raise Refused("bad-request", "keyword arguments: need text keys")
        return self._protected(lambda: self._enclave.perform(name, args, named))

    def _down(self, data: bytes) -> list[bytes]:
        down = self._established().down
        opened = _by_data_centre(lambda: down.open(data))
        # An answer each, so that there is room; but a state takes one step, and all that rests on it leaves with it.
        whole = self._enclave.state is not None and opened.records
        frames: list[bytes] = []
        for group in [opened.records] if whole else [(record,) for record in opened.records]:
            frames += self._protected(partial(self._enclave.deliver, group))
        return frames

    def _protected(self, run: Callable[[], list[Record]]) -> list[bytes]:
        """The records of `run` in one frame, after a rekey where the epoch is full. The room is looked for first: a
        call whose result could not leave must not have run."""
        sender = self._sender()
        frames: list[bytes] = []
        if sender.left <= 0:
            if sender.epoch == 0:
                raise Refused("exhausted", "no more frames before the data centre's Accept")
            frames += (sender.rekey(), *_checkpoints(sender))
        frames += (sender.protect(run()), *_checkpoints(sender))
        if sender.epoch == 0 and sender.left <= 0 and sender.unproven:
            frames.append(sender.checkpoint())  # it may be long until anything else can be sent
        return frames

    def _rekey(self) -> list[bytes]:
        sender = self._established().up
        return [sender.rekey(), *_checkpoints(sender)]

    def _heartbeat(self) -> list[bytes]:
        sender = self._established().up
        frames = [] if sender.left > 0 else self._rekey()
        return [*frames, sender.checkpoint()]

    def _end(self) -> list[bytes]:
        frames = _last_of(self._sender())
        self._ended = True
        return frames

    def _sender(self) -> Sender:
        if self._handshake is None or self._ended:
            raise Refused("no-session", "no session: begin one with an offer")
        return self._handshake.sender

    def _established(self) -> EnclaveChannel:
        if self._channel is None or self._ended:
            raise Refused("no-session", "no established session")
        return self._channel

    def _status(self) -> Plain:
        """For the host: where the session stands. The data centre's times tell it when to begin a new one; the
        enclave has no clock and does not judge them."""
        status: dict[str | int | bytes, Plain] = {"state": self._state(), "sessions": self._sessions}
        if self._handshake is not None and not self._ended:
            sender = self._handshake.sender
            status |= {
                "session": sender.session,
                "epoch": sender.epoch,
                "sequence": sender.sequence,
                "left": sender.left,
            }
        if self._channel is not None and not self._ended:
            result = self._channel.result
            status |= {"expires": result.expires, "time": result.time, "down": self._channel.down.sequence}
        return status

    def _state(self) -> str:
        if self._handshake is None or self._ended:
            return "none"
        return "opened" if self._channel is None else "established"


def _checkpoints(sender: Sender) -> list[bytes]:
    """Where one is due: a frame that is not yet in a checkpoint is proven to the data centre alone."""
    return [sender.checkpoint()] if sender.checkpoint_due else []


def _last_of(sender: Sender) -> list[bytes]:
    """A checkpoint of what is not yet in one, and END."""
    return [*([sender.checkpoint()] if sender.unproven else []), sender.end()]


def _by_data_centre(step: Callable[[], T]) -> T:
    """Runs a step on bytes that the data centre should have made. The host learns the reason's name, no more."""
    try:
        return step()
    except Rejected as error:
        raise Refused(f"rejected:{error.reason.name}", error.reason.summary) from error
    except Malformed as error:
        raise Refused("rejected:MALFORMED_MESSAGE", str(error)) from error
