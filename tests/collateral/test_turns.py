"""Who asks a service that answers only every ten seconds waits, keeps its place, and blocks nobody for ever."""

from intaglio.collateral.turns import LATEST, MAX_WAITING, Queued, Turns
from intaglio.types import UnixTime

START = 1_000_000


def wait(turns: Turns, name: str, at: int) -> int:
    """Seconds to wait; 0 if it is the turn."""
    try:
        turns.take(name, UnixTime(START + at))
    except Queued as queued:
        return queued.retry_after
    return 0


def test_in_the_order_in_which_they_came() -> None:
    turns = Turns(10)
    assert [wait(turns, name, 0) for name in "abc"] == [0, 10, 20]
    assert wait(turns, "c", 10) == 10
    assert wait(turns, "b", 10) == 0
    assert wait(turns, "c", 20) == 0


def test_asking_early_costs_no_place() -> None:
    turns = Turns(10)
    assert [wait(turns, name, 0) for name in "ab"] == [0, 10]
    assert [wait(turns, "b", at) for at in (1, 2, 9)] == [9, 8, 1]
    assert wait(turns, "b", 10) == 0


def test_two_late_ones_do_not_go_at_once() -> None:
    turns = Turns(10)
    for name in "abc":
        wait(turns, name, 0)
    assert [wait(turns, name, 25) for name in "bc"] == [0, 10]


def test_a_place_that_nobody_takes_is_given_up() -> None:
    turns = Turns(10)
    for name in "ab":
        wait(turns, name, 0)
    assert wait(turns, "c", 10 + LATEST + 1) == 0
    assert wait(turns, "b", 10 + LATEST + 1) == 10


def test_a_flood_gets_no_endless_queue() -> None:
    turns = Turns(10)
    waits = [wait(turns, str(number), 0) for number in range(MAX_WAITING * 3)]
    assert max(waits) == 10 * (MAX_WAITING + 1)
    assert wait(turns, "1", 10) == 0


def test_the_service_may_ask_for_more() -> None:
    turns = Turns(10)
    wait(turns, "a", 0)
    wait(turns, "b", 0)
    turns.defer(300, UnixTime(START + 1))
    assert wait(turns, "b", 10) == 291
    assert wait(turns, "c", 10) == 291
    assert wait(turns, "c", 301) == 0


def test_without_an_interval_nobody_waits() -> None:
    turns = Turns(0)
    assert [wait(turns, name, 0) for name in "aaab"] == [0, 0, 0, 0]
