"""One encoding for each value, and a reader that refuses every other one, at a bounded price."""

import tracemalloc

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.enclave import values
from intaglio.errors import Malformed
from intaglio.gateway.render import json_of_cbor
from intaglio.host.pipe import decode as decode_answer
from intaglio.wire import cbor
from intaglio.wire.cbor_keys import check_keys
from tests.feeding import feed, feed_garbage

_KEYS = st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=8) | st.text(max_size=8)
_LEAVES = _KEYS | st.booleans() | st.none()
VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=12
)


def read(data: bytes) -> cbor.Value:
    return cbor.decode(data, "message")


def _head(major: int, argument: int) -> bytes:
    return bytes((major << 5 | 27,)) + argument.to_bytes(8, "big")


@given(VALUES)
def test_what_is_written_is_read(value: cbor.Value) -> None:
    try:
        data = cbor.encode(value)
    except ValueError:
        return  # nested too deeply
    assert read(data) == value
    assert cbor.encode(read(data)) == data


@given(VALUES)
def test_a_message_is_fed_in_all_four_ways(value: cbor.Value) -> None:
    try:
        data = cbor.encode([value])
    except ValueError:
        return
    feed(read, data)


@given(st.binary(max_size=200))
def test_garbage_is_malformed(data: bytes) -> None:
    feed_garbage(read, data)


@pytest.mark.parametrize(
    "data",
    [
        "1800", "1817", "190000", "1900ff", "1a00000000", "1a0000ffff", "1b0000000000000000", "1b00000000ffffffff",
        "3800", "5800", "5801aa", "7800", "780161", "9800", "980100", "b800", "b8010000", "590001aa",
    ],
)  # fmt: skip
def test_a_longer_head_than_needed_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(data))


@pytest.mark.parametrize(
    "data",
    [
        "a201000000",  # 1 before 0
        "a2616200616100",  # "b" before "a"
        "a2626161006162" + "00",  # "aa" before "b": RFC 7049's order is the other way round
        "a2410000" + "1818" + "00",  # byte string before integer
        "a200000000",  # 0 twice
        "a2616100616100",  # "a" twice
        "a2f50000" + "00",  # a boolean as a key
        "a1f600", "a1800000", "a1a00000", "a1c10000",
    ],
)  # fmt: skip
def test_keys_unsorted_repeated_or_of_other_kinds_are_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["9f00ff", "bf0000ff", "5f4100ff", "7f6161ff", "819f00ff", "ff", "81ff"])
def test_indefinite_lengths_are_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["f93c00", "fa3f800000", "fb3ff0000000000000", "f97e00", "f97c00", "81f90000"])
def test_floats_are_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["f7", "e0", "f0", "f820", "f8ff", "f817", "1c", "3d", "5e", "fc"])
def test_undefined_and_reserved_values_are_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(data))


_INSIDE: list[object] = [
    0, 1, -1, b"", b"\x00" * 16, "", "2013-03-21T20:04:00Z", "(a+)+$", [], [1, 2], [10**9, 1], [2**62, 2**62], [1, 0],
    {}, {1: 2}, None, True, 1.5, [1, [2, 3]],
]  # fmt: skip


@pytest.mark.parametrize("tag", [*range(48), 100, 256, 258, 260, 261, 1004, 43000, 55799, 2**32, 2**64 - 1])
def test_tags_are_malformed_whatever_they_hold(tag: int) -> None:
    """Big integers, decimals, regular expressions, shared references (28, 29), sets, dates: none is ours."""
    head = cbor2.dumps(cbor2.CBORTag(tag, 0))[:-1] if tag < 2**64 else b""
    for inside in _INSIDE:
        item = head + cbor2.dumps(inside)
        for data in (item, b"\x81" + item, b"\xa1\x00" + item, b"\x82\xd8\x1c\x80" + item):
            with pytest.raises(Malformed):
                read(data)


@pytest.mark.parametrize("levels", [2, 4, 7])
def test_a_tag_is_refused_before_it_means_anything(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of references to arrays of references: 200 ** levels items in 400 * levels bytes, if anybody looked."""
    monkeypatch.setattr(cbor, "encode", lambda _: pytest.fail("the decoder built what the tags meant"))
    wide = b"\x98\xc8"
    rows = [b"\xd8\x1c" + wide + b"\x00" * 200]
    rows += [b"\xd8\x1c" + wide + (b"\xd8\x1d" + bytes((level,))) * 200 for level in range(levels - 1)]
    for data in (bytes((0x80 + levels,)) + b"".join(rows), b"\xd8\x1c\x81\xd8\x1d\x00", b"\xd9\xd9\xf7\x00"):
        with pytest.raises(Malformed):
            read(data)


def colliding_pairs(count: int) -> list[tuple[int, int]]:
    """Pairs of numbers that have one hash, as anybody can compute them: CPython hashes tuples by a fixed formula."""
    prime, multiplier, start = 2**61 - 1, 14029467366897019727, 2870177450012600261
    back, pairs, first = pow(multiplier, -1, 2**64), list[tuple[int, int]](), 0
    while len(pairs) < count:
        first += 1
        state = (start + first * multiplier) % 2**64
        state = (state << 31 | state >> 33) * 11400714785074694791 % 2**64
        second = (987654321 - state) * back % 2**64
        if second < prime:
            pairs.append((first, second))
    return pairs


def test_keys_that_hash_alike_are_never_put_into_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map of 100 kB whose keys share one hash took most of a second to build, and four times that for twice the
    size. Array keys are refused before anything is built from them."""
    pairs = colliding_pairs(3000)
    assert len({hash(pair) for pair in pairs}) == 1
    body = b"".join(b"\x82" + cbor2.dumps(first) + cbor2.dumps(second) + b"\0" for first, second in pairs)
    data = b"\xb9" + len(pairs).to_bytes(2, "big") + body
    monkeypatch.setattr(cbor2, "loads", lambda *_, **__: pytest.fail("a general decoder saw it"))
    with pytest.raises(Malformed, match="key"):
        read(data)
    with pytest.raises(ValueError, match="key"):
        check_keys(data, 8)
    assert json_of_cbor(data) is None
    with pytest.raises(Malformed, match="key"):
        decode_answer(b"\x82\x61a" + data)
    with pytest.raises(Malformed, match="key"):
        values.decode(data, "arguments")


@given(VALUES)
def test_scalar_keys_pass_whatever_they_hold(value: cbor.Value) -> None:
    check_keys(cbor2.dumps(value), 64)


@pytest.mark.parametrize("data", ["", "82", "81", "9f00ff", "bf0000ff", "c000", "1c", "5b7fffffffffffffff", "a180"])
def test_what_a_look_at_keys_cannot_follow(data: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_keys(bytes.fromhex(data), 64)


@given(VALUES)
def test_a_byte_too_many_is_malformed(value: cbor.Value) -> None:
    try:
        data = cbor.encode(value)
    except ValueError:
        return
    for extra in (b"\x00", b"\xf6", b"\xff", data):
        with pytest.raises(Malformed):
            read(data + extra)


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x00", b"\x82\x00", b"\xc1\x81"])
@pytest.mark.parametrize("depth", [cbor.MAX_DEPTH + 1, 500, 100_000])
def test_deep_nesting_is_malformed(opening: bytes, depth: int) -> None:
    with pytest.raises(Malformed):
        read(opening * depth + b"\x00")


def test_nesting_to_the_limit_is_read_and_deeper_is_not_written() -> None:
    value: cbor.Value = 0
    for _ in range(cbor.MAX_DEPTH):
        value = [value]
    assert read(cbor.encode(value)) == value
    with pytest.raises(ValueError, match="nested"):
        cbor.encode([value])


@pytest.mark.parametrize("major", [2, 3, 4, 5])
@pytest.mark.parametrize("length", [2**16, 2**24, 2**31 - 1, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_huge_declared_length_costs_nothing(major: int, length: int) -> None:
    data = _head(major, length) + bytes(64)
    tracemalloc.start()
    with pytest.raises(Malformed):
        read(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 256 * 1024


@pytest.mark.parametrize("value", [2**64, -(2**64) - 1, 2**200])
def test_integers_beyond_64_bits_are_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        cbor.encode(value)


@pytest.mark.parametrize("value", [1.0, object(), {1, 2}, {None: 1}, {True: 1}, {(1,): 1}, bytearray(b"x")])
def test_what_has_no_place_in_a_message_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        cbor.encode(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, False, -1, 2**64, "1", b"1", None, [1]])
def test_true_is_no_number(value: object) -> None:
    with pytest.raises(Malformed, match="field"):
        cbor.uint(value, "field")


@pytest.mark.parametrize("value", [1, None, "", "a" * 257, "é" * 129, b"a", "\ud800"])
def test_text_has_a_length(value: object) -> None:
    with pytest.raises(Malformed, match="field"):
        cbor.tstr(value, "field")


def test_keys_sort_by_their_encodings() -> None:
    """RFC 8949 §4.2.1, not the length-first order of RFC 7049."""
    assert cbor.encode({"b": 0, "aa": 1, 24: 2, 10: 3, -1: 4, b"": 5}) == bytes.fromhex(
        "a60a03181802200440056162006261" + "6101"
    )


def test_a_digest_covers_its_label_and_its_structure() -> None:
    digests = {cbor.digest("a", b"bc"), cbor.digest("a", b"b", b"c"), cbor.digest("b", b"bc"), cbor.digest("a", "bc")}
    assert len(digests) == 4


@given(st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_heads_are_the_shortest(major: int, argument: int) -> None:
    if major == 0:
        assert cbor.head(0, argument) == cbor2.dumps(argument)
    if major == 2 and argument < 70_000:
        assert cbor.bytes_head(argument) == cbor2.dumps(bytes(argument))[: -argument or None]


@given(st.lists(VALUES, max_size=6))
def test_a_labelled_message_is_the_encoding_of_its_array(items: list[cbor.Value]) -> None:
    try:
        whole = cbor.encode(["intaglio/1 label", *items])
    except ValueError:
        return
    assert cbor.labelled("label", *items) == whole


def test_a_labelled_message_takes_no_more_than_encode_does() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        cbor.labelled("label", b"", 2**64)
    with pytest.raises(TypeError):
        cbor.labelled("label", 1.0)  # type: ignore[arg-type]
