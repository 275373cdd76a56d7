"""Checkpoints over HTTP: compared with what is stored, in whatever order they come."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import Any

import pytest

from intaglio.gateway.query import Reader
from intaglio.session.enclave import EnclaveChannel
from intaglio.session.ledger import Ledger
from intaglio.types import UnixTime
from intaglio.wire.checkpoint import Checkpoint
from intaglio.wire.content import Kind, encode_control
from tests.gateway.world import HUNDRED, NOON, Dc, told

PROVEN, WAITING, WRONG = 1, 0, 2


class Lying:
    """An enclave that signs whatever the test wants to have said."""

    def __init__(self, dc: Dc) -> None:
        _, self.channel = dc.session()
        ledger = self.channel.up._ledger
        assert isinstance(ledger, Ledger)
        self.ledger: Ledger = ledger

    def record(self) -> bytes:
        return self.channel.up.protect([HUNDRED])

    def checkpoint(self, **changes: Any) -> bytes:
        """The next checkpoint with these changes; what follows continues the changed one."""
        bare = replace(Checkpoint.parse(self.ledger.close()), signature=b"", **changes)
        made = bare.signed(self.ledger._sign(bare.to_be_signed(self.ledger._th)))
        self.ledger._previous = made.hash
        return self.channel.up._seal(encode_control(Kind.CHECKPOINT, made.encode()), checkpoint=True)


def states(dc: Dc) -> list[tuple[int, int, int]]:
    """(first, last, state) of every checkpoint."""
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        return connection.execute("SELECT first, last, state FROM checkpoints ORDER BY first").fetchall()


def events(dc: Dc) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        rows = connection.execute("SELECT detail FROM events WHERE kind = 'checkpoint wrong'").fetchall()
    return [(detail["reason"], detail["sequence"]) for detail in (json.loads(row) for (row,) in rows)]


def reasons(dc: Dc) -> dict[str, int]:
    with Reader(dc.world.settings.database) as reader:
        return dict(reader.status(UnixTime(NOON)).quarantined)


def true_frames(channel: EnclaveChannel) -> list[bytes]:
    """Two checkpoints of two frames and one of three, the later ones with the checkpoint before among them."""
    up = channel.up
    frames = [channel.farewell, up.protect([HUNDRED]), up.checkpoint(), up.protect([HUNDRED]), up.checkpoint()]
    return [*frames, up.rekey(), up.protect([HUNDRED]), up.checkpoint()]


def test_true_frames_are_taken_in_any_order_and_every_checkpoint_is_proven(dc: Dc) -> None:
    orders = [*permutations((2, 4, 7))]
    for seed, order in enumerate(orders):
        _, channel = dc.session()
        frames = true_frames(channel)
        rest = [at for at in range(8) if at not in order]
        places = [*order, *rest] if seed % 2 else Random(seed).sample([*order, *rest], 8)  # noqa: S311  # an order
        for at in places:
            assert dc.frames(frames[at]).json == told(stored=1)
    assert sorted(states(dc)) == sorted([(0, 1, PROVEN), (2, 3, PROVEN), (4, 6, PROVEN)] * len(orders))
    assert (reasons(dc), events(dc)) == ({}, [])


def test_a_frame_that_is_missing_voids_no_checkpoint(dc: Dc) -> None:
    _, channel = dc.session()
    frames = true_frames(channel)
    assert dc.frames(*frames[:1], *frames[2:]).json == told(stored=7)
    assert [state for _, _, state in states(dc)] == [PROVEN] * 3
    assert dc.frames(frames[1]).json == told(stored=1)


@pytest.mark.parametrize("change", ["leaf", "root", "previous"])
def test_a_checkpoint_that_contradicts_what_is_stored_is_refused(dc: Dc, change: str) -> None:
    enclave = Lying(dc)
    frames = [enclave.channel.farewell, enclave.record(), enclave.checkpoint(), enclave.record()]
    assert dc.frames(*frames).json == told(stored=4)
    lies: dict[str, dict[str, Any]] = {
        "leaf": {"leaves": (bytes(32),) * 2},
        "root": {"root": bytes(32)},
        "previous": {"previous": bytes(32)},
    }
    assert dc.frames(enclave.checkpoint(**lies[change])).json == told(refused=[0])
    assert reasons(dc) == {"CHECKPOINT_MISMATCH": 1}
    assert states(dc) == [(0, 1, PROVEN)]
    assert dc.frames(enclave.record()).json == told(stored=1), "the session goes on"


def test_a_frame_that_contradicts_an_earlier_checkpoint_is_refused(dc: Dc) -> None:
    enclave = Lying(dc)
    frames = [enclave.channel.farewell, enclave.record()]
    leaves = tuple(enclave.ledger._leaves)
    lie = enclave.checkpoint(leaves=(leaves[0], bytes(32)), root=bytes(32))
    assert dc.frames(frames[0], lie).json == told(stored=1, refused=[1])
    assert reasons(dc) == {"CHECKPOINT_MISMATCH": 1}


def test_a_frame_later_than_its_checkpoint_is_compared_too(dc: Dc) -> None:
    """The second checkpoint waits for the first, so that its root is not looked at yet."""
    enclave = Lying(dc)
    first = [enclave.channel.farewell, enclave.checkpoint()]
    record = enclave.record()
    leaves = tuple(enclave.ledger._leaves)
    lie = enclave.checkpoint(leaves=(leaves[0], bytes(32)))
    assert dc.frames(lie).json == told(stored=1)
    assert dc.frames(record).json == told(refused=[0])
    assert reasons(dc) == {"CHECKPOINT_MISMATCH": 1}
    assert dc.frames(*first).json == told(stored=2)
    assert states(dc) == [(0, 0, PROVEN), (1, 2, WRONG)]
    assert events(dc) == [("CHECKPOINT_MISMATCH", 3)]


def test_no_frame_has_two_checkpoints(dc: Dc) -> None:
    enclave = Lying(dc)
    frames = [enclave.channel.farewell, enclave.record(), enclave.checkpoint()]
    assert dc.frames(*frames).json == told(stored=3)
    again = enclave.checkpoint(first=1, last=2, leaves=(bytes(32),) * 2)
    assert dc.frames(again).json == told(refused=[0])
    assert (reasons(dc), states(dc)) == ({"CHECKPOINT_MISMATCH": 1}, [(0, 1, PROVEN)])
