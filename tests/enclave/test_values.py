"""Plain values as CBOR: what an untrusted host may hand in, and nothing else."""

import datetime as dt
import math
import os
from collections.abc import Callable

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.enclave import values
from intaglio.enclave.values import MAX_DEPTH, MAX_ITEMS, Plain
from intaglio.errors import Malformed
from tests.feeding import feed

KEYS = st.one_of(st.text(max_size=5), st.integers(-(2**64), 2**64 - 1), st.binary(max_size=5))
PLAIN: st.SearchStrategy[Plain] = st.recursive(
    st.one_of(st.none(), st.booleans(), KEYS, st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


@given(PLAIN)
def test_what_is_encoded_comes_back(value: Plain) -> None:
    assert values.decode(values.encode(value, "value"), "value") == value


@given(PLAIN, st.data())
def test_cut_short_or_with_a_byte_too_many_it_is_malformed(value: Plain, data: st.DataObject) -> None:
    whole = values.encode(value, "value")
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (whole[:cut], whole + b"\x00"):
        with pytest.raises(Malformed, match="value"):
            values.decode(wrong, "value")


def test_every_byte_of_a_request_counts() -> None:
    request = values.encode(["call", "get_size", [1, -2, 1.5, None, b"x"], {"a": {"b": [True, "c"]}}], "request")
    feed(lambda data: values.decode(data, "request"), request)


@given(st.binary(max_size=64))
def test_garbage_is_malformed_or_a_plain_value(data: bytes) -> None:
    try:
        value = values.decode(data, "value")
    except Malformed as error:
        assert error.field.startswith("value")
    else:
        values.encode(value, "value")


def test_a_tuple_travels_as_an_array_and_nan_is_a_float() -> None:
    assert values.decode(values.encode((1, (2,)), "value"), "value") == [1, [2]]
    nan = values.decode(values.encode(math.nan, "value"), "value")
    assert isinstance(nan, float)
    assert math.isnan(nan)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "datetime is not a plain value"),
        (dt.date(2026, 1, 1), "date is not a plain value"),
        ({1, 2}, "set is not"),
        (object(), "object is not"),
        (bytearray(b"a"), "bytearray is not"),
        (os.environ, "_Environ is not"),
        (2**64, "more than 64 bits"),
        (-(2**64) - 1, "more than 64 bits"),
        ("\ud800", "lone surrogate"),
        ({1.5: 1}, "float can't be a key"),
        ({True: 1}, "bool can't be a key"),
        ({None: 1}, "NoneType can't be a key"),
        ({"\ud800": 1}, "lone surrogate"),
        ([{"a": [1, {2}]}], r"value\[0\]\['a'\]\[1\]: set"),
    ],
)
def test_what_is_not_plain_is_named_with_its_place(value: object, problem: str) -> None:
    with pytest.raises(Malformed, match=problem):
        values.encode(value, "value")


@pytest.mark.parametrize(
    "data",
    [
        "c074323031332d30332d32315432303a30343a30305a",  # a date
        "c249010000000000000000",  # a big number
        "d81c81d81d00",  # an array that contains itself
        "d82301",  # a pattern
        "9f01ff",  # indefinite array
        "5f4101ff",  # indefinite bytes
        "bf6101ff",
        "f7",  # undefined
        "f0",  # an unassigned simple value
        "f818",  # a simple value in two bytes
        "ff",  # break
        "1c",  # reserved length
        "a201020103",  # a key twice
        "a2f501f602",  # keys that are none
        "a1810102",  # an array as a key
        "61ff",  # not UTF-8
        "9bffffffffffffffff",  # an array of 2**64 items
        "bbffffffffffffffff",
        "5bffffffffffffffff00",
    ],
)
def test_cbor_that_is_no_plain_value(data: str) -> None:
    with pytest.raises(Malformed, match="value"):
        values.decode(bytes.fromhex(data), "value")


@pytest.mark.parametrize("level", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_depth_is_bounded(level: "Callable[[object], object]") -> None:
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = level(value)
    assert values.decode(values.encode(value, "value"), "value") == value
    with pytest.raises(Malformed, match="nested"):
        values.encode(level(value), "value")
    with pytest.raises(Malformed, match="levels"):
        values.decode(cbor2.dumps(level(value)), "value")
    with pytest.raises(Malformed, match="levels"):
        values.decode(b"\x81" * 1_000_000, "value")


def test_the_number_of_items_is_bounded() -> None:
    assert len(values.encode([0] * (MAX_ITEMS - 1), "value")) < MAX_ITEMS + 9
    with pytest.raises(Malformed, match="items"):
        values.decode(cbor2.dumps([0] * MAX_ITEMS), "value")
