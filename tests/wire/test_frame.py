"""Frames and what they hold: one layout, one encoding, and readers that say so."""

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.types import Direction, SessionId
from intaglio.wire import cbor
from intaglio.wire.content import (
    MAX_RECORDS,
    Body,
    ContentReader,
    Kind,
    Record,
    encode_content,
    encode_control,
    encode_records,
    split_signature,
)
from intaglio.wire.frame import HEAD, MAX_FRAME, TAG, head_prefix, parse_frame, split_frames
from tests.feeding import feed, feed_garbage

SESSION = SessionId(bytes(range(16)))
NAMES = st.sampled_from(["get_size", "a", "é" * 127, "n" * 255]) | st.text(min_size=1, max_size=60)
RECORDS = st.lists(
    st.builds(Record, NAMES, NAMES, st.binary(max_size=40) | st.binary(min_size=250, max_size=300)),
    min_size=1,
    max_size=6,
)
RECORD = Record("get_size", "application/cbor", b"\x18\x64")


def frame(size: int, sequence: int = 7, epoch: int = 1, direction: Direction = Direction.UP) -> bytes:
    """A well-formed frame around a ciphertext of this many bytes."""
    number = sequence.to_bytes(8, "big")
    return head_prefix(SESSION, direction, epoch) + number + b"\xa0" + cbor2.dumps(bytes(size))


@pytest.mark.parametrize("size", [TAG, 23, 24, 25, 255, 256, 257, 65535, 65536, 65537])
def test_a_frame_is_cbor_and_reads_as_it_was_written(size: int) -> None:
    data = frame(size, 2**64 - 1, 2**32 - 1, Direction.DOWN)
    head = parse_frame(data)
    assert head == (SESSION, Direction.DOWN, 2**32 - 1, 2**64 - 1, data)
    tagged = cbor2.loads(data)
    assert (tagged.tag, cbor2.loads(tagged.value[0])) == (
        16,
        {1: 3, 4: SESSION + b"\x01" + b"\xff" * 4, 6: b"\xff" * 8},
    )
    assert list(tagged.value[1:]) == [{}, bytes(size)]


@pytest.mark.parametrize("size", [TAG, 24, 256])
def test_a_frame_is_fed_in_all_four_ways(size: int) -> None:
    feed(parse_frame, frame(size))


def test_a_ciphertext_without_a_tag_is_malformed() -> None:
    for size in range(TAG):
        with pytest.raises(Malformed):
            parse_frame(frame(size))


@pytest.mark.parametrize(
    ("size", "long"), [(20, "5814"), (200, "5900c8"), (200, "5a000000c8"), (70_000, "5b0000000000011170")]
)
def test_a_longer_length_than_needed_is_malformed(size: int, long: str) -> None:
    with pytest.raises(Malformed):
        parse_frame(frame(0)[:HEAD] + bytes.fromhex(long) + bytes(size))


def test_a_frame_above_the_limit_is_malformed() -> None:
    room = MAX_FRAME - HEAD - 5
    assert len(parse_frame(frame(room)).data) == MAX_FRAME
    with pytest.raises(Malformed, match="at most"):
        parse_frame(frame(room + 1))


@given(st.lists(st.sampled_from([TAG, 23, 24, 255, 256, 70_000]), max_size=5))
def test_a_sequence_of_frames_splits_into_them(sizes: list[int]) -> None:
    frames = [frame(size, number) for number, size in enumerate(sizes)]
    assert split_frames(b"".join(frames)) == frames


def test_a_sequence_that_breaks_off_names_the_frame() -> None:
    good = frame(30)
    for cut in range(1, len(good)):
        with pytest.raises(Malformed, match=r"frame\[1\]"):
            split_frames(good + good[:cut])
    for extra in (b"\x00", b"\xd0", b"\n"):
        with pytest.raises(Malformed, match=r"frame\[1\]"):
            split_frames(good + extra)


@pytest.mark.parametrize("head", ["ff", "", "83ff", "8360", "836161"])
def test_a_fresh_reader_remembers_no_head_that_no_record_has(head: str) -> None:
    """82 00 81 FF was a record without a name for a reader that had read nothing yet."""
    with pytest.raises(Malformed):
        read(bytes.fromhex("820081" + head))


@given(st.binary(max_size=120))
def test_garbage_is_no_frame(data: bytes) -> None:
    for prefix in (b"", frame(16)[:HEAD], frame(16)):
        feed_garbage(parse_frame, prefix + data)
        feed_garbage(split_frames, prefix + data)


def read(data: bytes) -> tuple[Kind, Body]:
    return ContentReader().read(data)


@given(RECORDS)
def test_records_are_written_as_cbor_and_read(records: list[Record]) -> None:
    data = encode_records(records)
    assert data == cbor.encode([0, [list(record) for record in records]])
    assert read(data) == (Kind.RECORDS, tuple(records))


CONTENTS = [
    encode_records([RECORD]),
    encode_records([RECORD] * 3),
    encode_records([RECORD, Record("other", "text/plain", b"")]),
    encode_control(Kind.REKEY, 2),
    encode_control(Kind.CHECKPOINT, b"leaf"),
    encode_control(Kind.END, None),
]


@pytest.mark.parametrize("content", CONTENTS, ids=bytes.hex)
def test_a_content_is_fed_in_all_four_ways(content: bytes) -> None:
    feed(read, content)


_PIECES = st.sampled_from(CONTENTS) | st.binary(max_size=40)


@settings(max_examples=300)
@given(st.lists(st.tuples(_PIECES, st.integers(0, 200), st.integers(0, 255), st.integers(0, 3)), max_size=8))
@example([(CONTENTS[0], 0, 0, 0), (CONTENTS[0], 40, 1, 1), (CONTENTS[1], 0, 0, 0), (CONTENTS[0], 0, 0, 0)])
def test_a_reader_reads_the_same_with_and_without_its_memory(pieces: list[tuple[bytes, int, int, int]]) -> None:
    """Mutated contents one after another: whatever a reader remembers, it accepts and refuses as a fresh one does."""
    with_memory = ContentReader()
    for content, at, byte, how in pieces:
        at %= len(content) + 1
        mutated = (content, content[:at], content[:at] + bytes((byte,)) + content[at + 1 :], content + bytes((byte,)))[
            how
        ]
        try:
            fresh: object = read(mutated)
        except Malformed:
            fresh = Malformed
        try:
            remembered: object = with_memory.read(mutated)
        except Malformed:
            remembered = Malformed
        assert fresh == remembered


@settings(max_examples=300)
@given(st.sampled_from(CONTENTS), st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3))
def test_what_a_reader_accepts_has_one_encoding(content: bytes, at: int, new: bytes, size: int) -> None:
    at %= len(content) + 1
    mutated = content[:at] + new + content[at + size :]
    try:
        kind, body = read(mutated)
    except Malformed:
        return
    if kind is Kind.RECORDS:
        assert isinstance(body, tuple)
        assert encode_records(body) == mutated
    else:
        assert not isinstance(body, tuple)
        assert encode_control(kind, body) == mutated


@pytest.mark.parametrize(
    "value",
    [
        [0, []], [0], [0, [], 0], [1], [1, -1], [1, 2**32], [1, True], [1, None], [2, None], [2, "a"], [3, 0],
        [4, None], [5, b""], [-1, None], [True, 2], [0, [["a", "b"]]], [0, [["a", "b", "c"]]],
        [0, [[b"a", "b", b""]]], [0, [["", "b", b""]]],
        [0, [["a", "", b""]]], [0, [["a" * 256, "b", b""]]], [0, {}], {}, 0, [[0, []]],
    ],
    ids=repr,
)  # fmt: skip
def test_a_content_that_is_not_ours_is_malformed(value: object) -> None:
    with pytest.raises(Malformed):
        read(cbor2.dumps(value))


@pytest.mark.parametrize(
    "data",
    [
        "8200" + "9801" + "83616161" + "6240",  # longer count
        "82009f" + "8361616162" + "40ff",  # indefinite
        "82001800", "8218008183616161624" + "0", "8200818378016161624" + "0", "820081836161616258" + "00",
        "82008183" + "61ff" + "6162" + "40",  # not UTF-8
        "82009a00010000",  # more records than a frame takes
        "8200" + "81" + "836161" + "6162" + "5b0000000000000000",
    ],
)  # fmt: skip
def test_another_encoding_of_records_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(data))


def test_as_many_records_as_a_frame_takes() -> None:
    most = [Record("a", "b", b"")] * MAX_RECORDS
    assert len(read(encode_records(most))[1]) == MAX_RECORDS  # type: ignore[arg-type]
    with pytest.raises(Malformed):
        encode_records([*most, most[0]])


@pytest.mark.parametrize("content", CONTENTS, ids=bytes.hex)
def test_a_signature_is_put_beside_a_content_and_split_again(content: bytes) -> None:
    signature = bytes(range(64))
    plaintext = encode_content(content, signature)
    assert cbor2.loads(plaintext) == [*cbor2.loads(content), signature]
    assert split_signature(plaintext) == (content, signature)
    feed(split_signature_and_read, plaintext)


def split_signature_and_read(plaintext: bytes) -> object:
    content, signature = split_signature(plaintext)
    return read(content), signature


@given(st.binary(max_size=120))
def test_garbage_is_no_content(data: bytes) -> None:
    for prefix in (b"", b"\x82\x00", b"\x82\x00\x81\x83", b"\x83\x00"):
        feed_garbage(read, prefix + data)
        feed_garbage(split_signature_and_read, prefix + data + b"\x58\x40" + bytes(64))
