"""The set of seen numbers against a plain set, and what happens at its limit."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.reasons import Reason
from intaglio.session.replay import MAX_INTERVALS, SeenSet
from intaglio.wire import cbor
from tests.feeding import feed, feed_garbage
from tests.session.world import refused

_NEAR = st.integers(0, 30)
_ANY = st.integers(0, 2**64 - 1) | st.integers(2**64 - 20, 2**64 - 1)


@given(st.lists(_NEAR | _ANY, max_size=60))
def test_it_is_a_set(numbers: list[int]) -> None:
    seen, model = SeenSet(), set[int]()
    for number in numbers:
        if number in model:
            with refused(Reason.REPLAY):
                seen.add(number)
        else:
            seen.check(number)
            seen.add(number)
            model.add(number)
        assert number in seen
        assert len(seen) == len(model)
    assert seen.highest == max(model, default=-1)
    for number in {*numbers, *(n + 1 for n in numbers), *(n - 1 for n in numbers)}:
        assert (number in seen) == (number in model)
    covered = [n for first, last in seen.intervals for n in (first, last)]
    assert covered == sorted(covered)
    assert set(covered) <= model
    gaps = [low - 1 for low, _ in seen.gaps if low] + [high + 1 for _, high in seen.gaps]
    assert set(gaps) <= model
    assert len(seen) + sum(high - low + 1 for low, high in seen.gaps) == seen.highest + 1
    again = SeenSet.parse(seen.encode())
    assert (again.intervals, again.next) == (seen.intervals, seen.next)


@given(st.lists(st.integers(0, 12), unique=True, max_size=12), st.integers(0, 14), st.integers(0, 14))
def test_covers_is_what_it_says(numbers: list[int], first: int, last: int) -> None:
    seen = SeenSet()
    for number in numbers:
        seen.add(number)
    assert seen.covers(first, last) == all(n in numbers for n in range(first, last + 1))


@given(st.lists(_NEAR, max_size=40), st.integers(1, 4))
def test_a_small_limit_holds_and_what_was_refused_changed_nothing(numbers: list[int], limit: int) -> None:
    seen, model = SeenSet(limit), set[int]()
    for number in numbers:
        runs = sum(1 for n in model | {number} if n - 1 not in model | {number})
        if number in model:
            with refused(Reason.REPLAY):
                seen.add(number)
        elif runs > limit:
            with refused(Reason.REPLAY_STATE_FULL):
                seen.add(number)
        else:
            seen.add(number)
            model.add(number)
        assert len(seen.intervals) <= limit
        assert {n for first, last in seen.intervals for n in range(first, last + 1)} == model


def test_closing_a_gap_makes_room() -> None:
    seen = SeenSet()
    for number in range(0, 2 * MAX_INTERVALS, 2):
        seen.add(number)
    assert len(seen.intervals) == MAX_INTERVALS
    beyond = 2 * MAX_INTERVALS + 10
    with refused(Reason.REPLAY_STATE_FULL):
        seen.add(beyond)
    with refused(Reason.REPLAY):
        seen.add(0)
    seen.add(2 * MAX_INTERVALS - 1)  # in order: joins the last interval
    seen.add(1)  # closes a gap
    seen.add(beyond)
    assert len(seen.intervals) == MAX_INTERVALS
    assert len(seen.encode()) < 16 * 1024


def test_its_bytes_are_read_strictly() -> None:
    seen = SeenSet()
    for number in (0, 1, 5, 9):
        seen.add(number)
    feed(SeenSet.parse, seen.encode())


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 0]],
        [[0, 1], [2, 3]],
        [[0, 1], [1, 3]],
        [[5, 6], [0, 1]],
        [[0]],
        [[-1, 0]],
        [[0, 2**64]],
        {},
        1,
        [1],
        [[0, True]],
    ],
    ids=str,
)
def test_intervals_out_of_order_are_malformed(rows: cbor.Value) -> None:
    with pytest.raises(Malformed):
        SeenSet.parse(cbor2.dumps(rows))


def test_more_intervals_than_the_limit_are_malformed() -> None:
    rows: list[cbor.Value] = [[n, n] for n in range(0, 2 * MAX_INTERVALS + 2, 2)]
    assert SeenSet.parse(cbor.encode(rows[:-1]))
    with pytest.raises(Malformed):
        SeenSet.parse(cbor.encode(rows))


@given(st.binary(max_size=64))
def test_garbage_is_malformed(data: bytes) -> None:
    feed_garbage(SeenSet.parse, data)
