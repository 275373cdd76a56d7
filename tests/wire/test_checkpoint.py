"""The encoding of checkpoints and leaves, apart from who signs them."""

import hashlib
from dataclasses import replace

import cbor2
import pytest

from intaglio.errors import Malformed
from intaglio.types import Direction
from intaglio.wire import cbor
from intaglio.wire.checkpoint import CHECKPOINT_EVERY, Checkpoint, content_hash, leaf_of
from tests.feeding import feed

FIRST = Checkpoint(0, 1, (bytes(32), b"\x01" * 32), b"\x02" * 32, None, bytes(64))
LATER = Checkpoint(2**40, 2**40 + 255, (b"\x03" * 32,) * 256, b"\x04" * 32, b"\x05" * 32, b"\x06" * 64)


@pytest.mark.parametrize(
    "numbers",
    [(0, 0), (1, 23), (24, 24), (255, 256), (1, 300), (0, 65535), (255, 65536), (2**32 - 1, 2**32 - 1), (7, 2**64 - 1)],
)
def test_a_leaf_is_the_labelled_hash_of_the_protocol(numbers: tuple[int, int]) -> None:
    salt, content = hashlib.sha256(b"salt").digest(), hashlib.sha256(b"content").digest()
    for direction in Direction:
        expected = cbor.digest("leaf", int(direction), *numbers, salt, content)
        assert leaf_of(direction, *numbers, salt, content) == expected
    assert content_hash(salt) == cbor.digest("content", salt)


@pytest.mark.parametrize("checkpoint", [FIRST, LATER], ids=["first", "later"])
def test_a_checkpoint_is_read_back_and_in_no_other_spelling(checkpoint: Checkpoint) -> None:
    assert checkpoint.encode() == cbor.encode([*cbor2.loads(checkpoint.body), checkpoint.signature])
    assert feed(Checkpoint.parse, checkpoint.encode()) == checkpoint


@pytest.mark.parametrize(
    "wrong",
    [
        replace(FIRST, last=0),
        replace(FIRST, last=2),
        replace(FIRST, first=1),
        replace(FIRST, first=2, last=1, leaves=(), previous=bytes(32)),
        replace(FIRST, previous=bytes(32)),
        replace(LATER, previous=None),
        replace(LATER, previous=bytes(31)),
        replace(LATER, root=bytes(33)),
        replace(LATER, leaves=(bytes(31), *LATER.leaves[1:])),
        replace(LATER, last=LATER.last + 1, leaves=(bytes(32),) * (CHECKPOINT_EVERY + 1)),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_malformed(wrong: Checkpoint) -> None:
    with pytest.raises(Malformed):
        Checkpoint.parse(wrong.encode())


def test_what_is_signed_and_what_the_next_one_names_cover_every_field() -> None:
    th = bytes(32)
    changes = ({"first": 1}, {"last": 0}, {"leaves": ()}, {"root": bytes(32)}, {"previous": bytes(32)})
    signed = {FIRST.to_be_signed(th), FIRST.to_be_signed(b"\x01" * 32)}
    signed |= {replace(FIRST, **change).to_be_signed(th) for change in changes}
    assert len(signed) == 2 + len(changes)
    assert replace(FIRST, signature=b"\x01" * 64).hash != FIRST.hash
