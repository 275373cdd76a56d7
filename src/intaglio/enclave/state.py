"""State that outlives an enclave: sealed, kept by the host, and never older than what the data centre acknowledged.

    value        of a state that the data centre confirmed when it accepted this enclave's session
    update(...)  during a call: sealed as the next number, announced in the frame that holds the call's result

A host can hand back any older blob, and can start two enclaves from one. Sealing can't tell. So nothing of a restored
state can be read or changed before an Accept has named it as the newest; and each change leaves in the very frame whose
results rest on it, so the data centre has both or neither.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from intaglio.attest.base import Attester, SealPolicy
from intaglio.enclave import sealing
from intaglio.errors import IntaglioError, LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.wire import cbor
from intaglio.wire.content import Record
from intaglio.wire.state import LINEAGE_SIZE, STATE_NAME, STATE_TYPE, StateStep

__all__ = ["MAX_STATE", "SealedState", "StateUnconfirmed"]

MAX_STATE = 8 * 1024 * 1024
"""Bytes: a blob leaves with the frames of its call, in one message of the pipe of at most 16 MiB."""

_AAD = cbor.labelled("state")


class StateUnconfirmed(IntaglioError):
    """The data centre has not confirmed yet that this state is the newest. To a call it is an error like any other."""


@dataclass(frozen=True, slots=True, repr=False)
class _Held:
    """A state and the blob's place in its history."""

    step: StateStep
    value: bytes


class SealedState:
    """One per script, made by `Enclave.sealed_state`. Not for several threads."""

    def __init__(self, attester: Attester | None, policy: SealPolicy) -> None:
        self._attester = attester
        self._policy = policy
        self._held: _Held | None = None
        self._confirmed = False
        self._next: bytes | None = None
        self._in_call = False

    @property
    def confirmed(self) -> bool:
        """Whether the data centre has said, in an Accept to this enclave, that this state is the newest."""
        return self._confirmed

    @property
    def restored(self) -> bool:
        return self._held is not None

    @property
    def counter(self) -> int:
        """How many changes there have been. Raises `StateUnconfirmed`."""
        return self._known().step.counter

    @property
    def value(self) -> bytes:
        """The newest, empty in the beginning; within a call, what this call set. Raises `StateUnconfirmed`."""
        known = self._known()
        return known.value if self._next is None else self._next

    def update(self, value: bytes) -> None:
        """Sets the value, if the call succeeds. Raises `StateUnconfirmed`, and `LocalProtocolError` outside a call or
        for too much."""
        self._known()
        if not self._in_call:
            raise LocalProtocolError("state: changes only during a call")
        if len(value) > MAX_STATE:
            raise LocalProtocolError(f"state: {len(value)} bytes, at most {MAX_STATE}")
        self._next = bytes(value)

    # -- for the SDK -------------------------------------------------------------------------------------------------

    def restore(self, blob: bytes | None) -> bytes | None:
        """Takes the host's blob, or begins a lineage where it has none. Returns a blob that the host must keep before
        anything else happens: of a new lineage, or sealed anew because an older version of this enclave sealed it.

        Raises `Malformed`, `Rejected(SEAL_AUTHENTICATION)`, `Unavailable`, and `LocalProtocolError` a second time.
        """
        if self._attester is None or self._held is not None:
            raise LocalProtocolError("state: restored already, or not inside an enclave")
        if blob is None:
            return self._seal(os.urandom(LINEAGE_SIZE), 0, None, b"")
        self._held = _opened(sealing.unseal(self._attester, blob, _AAD), _hash(blob))
        if sealing.sealed_at(blob) == self._attester.isv_svn:
            return None
        step = self._held.step
        return self._seal(step.lineage, step.counter + 1, step.hash, self._held.value)

    def claim(self) -> StateStep:
        """What a hello says. Raises `LocalProtocolError` before `restore`."""
        if self._held is None:
            raise LocalProtocolError("state: nothing restored yet")
        return self._held.step

    def confirm(self, claimed: StateStep, attestation: Mapping[cbor.Value, cbor.Value]) -> None:
        """Takes the Attestation Result of the session whose hello claimed `claimed`. Raises
        `Rejected(STATE_UNACKNOWLEDGED)`."""
        found = attestation.get("state")
        if found != claimed.to_value():
            raise Rejected(Reason.STATE_UNACKNOWLEDGED, expected=f"number {claimed.counter}", found=found is not None)
        self._confirmed = True

    def begin(self) -> None:
        """A call begins."""
        self._next, self._in_call = None, True

    def mark(self) -> bytes | None:
        """What was set so far, for `undo`."""
        return self._next

    def undo(self, mark: bytes | None) -> None:
        """What was set since `mark` is forgotten: one part of what runs has failed."""
        self._next = mark

    def abandon(self) -> None:
        """All of it failed: what it set is forgotten."""
        self._next, self._in_call = None, False

    def finish(self) -> tuple[Record, bytes] | None:
        """The call succeeded. Where it changed the state: the record that announces the step, and the blob to keep.
        Raises `Unavailable`, and the state is what it was."""
        value, self._next, self._in_call = self._next, None, False
        if value is None:
            return None
        step = self._known().step
        blob = self._seal(step.lineage, step.counter + 1, step.hash, value)
        return Record(STATE_NAME, STATE_TYPE, self.claim().encode()), blob

    def _known(self) -> _Held:
        if self._held is None or not self._confirmed:
            raise StateUnconfirmed("state: the data centre has not confirmed it yet")
        return self._held

    def _seal(self, lineage: bytes, counter: int, previous: bytes | None, value: bytes) -> bytes:
        if self._attester is None:
            raise LocalProtocolError("state: not inside an enclave")
        plain = cbor.labelled("sealed-state", lineage, counter, previous, value)
        blob = sealing.seal(self._attester, plain, self._policy, _AAD)
        self._held = _Held(StateStep(lineage, counter, _hash(blob), previous), value)
        return blob


def _hash(blob: bytes) -> bytes:
    return cbor.digest("state-blob", blob)


def _opened(data: bytes, digest: bytes) -> _Held:
    label, lineage, counter, previous, value = cbor.array(cbor.decode(data, "sealed_state"), "sealed_state", 5)
    if label != cbor.LABEL_PREFIX + "sealed-state":
        raise Malformed("sealed_state", "not a state")
    return _Held(StateStep.of([lineage, counter, digest, previous]), cbor.bstr(value, "sealed_state.value"))
