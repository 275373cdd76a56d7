"""Several services: the first good answer counts, and one that goes back is passed over and named."""

from dataclasses import replace
from pathlib import Path

import pytest

from intaglio.collateral.cache import UNCHANGED_SECONDS, CachedSource, Rollback
from intaglio.collateral.folder import EntryFolder
from intaglio.collateral.freshness import forecast, freshness
from intaglio.collateral.http import Absent
from intaglio.collateral.turns import Queued
from intaglio.errors import Malformed, Unavailable
from intaglio.sim.pki import DAY
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from intaglio.wire.collateral_bundle import Entry
from intaglio.wire.collateral_request import TcbUpdate
from tests.collateral.conftest import NOON, REQUEST
from tests.collateral.test_cache import Service, refresh_time


def two(lab: Lab) -> tuple[Service, Service]:
    return Service(lab, name="http://first"), Service(lab, name="http://second")


@pytest.mark.parametrize("failure", [Unavailable("down"), Malformed("tcbInfo", "nonsense"), Absent("404")])
def test_the_second_is_asked_where_the_first_fails(lab: Lab, tmp_path: Path, failure: Exception) -> None:
    first, second = two(lab)
    first.failure = failure
    source = CachedSource((first, second), tmp_path)
    source.get(REQUEST, NOON)
    assert (first.fetches, second.fetches) == (1, 1)
    (forecast,) = source.forecasts()
    assert forecast.entry.source == "http://second"
    assert forecast.entry.fetched_at == NOON


def test_the_second_is_not_asked_where_the_first_has_it(lab: Lab, tmp_path: Path) -> None:
    first, second = two(lab)
    CachedSource((first, second), tmp_path).get(REQUEST, NOON)
    assert (first.fetches, second.fetches) == (1, 0)


@pytest.mark.parametrize(
    ("failures", "kind", "retry"),
    [
        ((Unavailable("down", retry_after=40), Malformed("tcbInfo", "nonsense")), Unavailable, 40),
        ((Unavailable("down", retry_after=40), Queued("wait", retry_after=9)), Queued, 9),
        ((Absent("none", retry_after=40), Absent("none here", retry_after=30)), Absent, 30),
        ((Absent("none", retry_after=40), Unavailable("down", retry_after=20)), Unavailable, 20),
    ],
)
def test_where_all_fail_every_one_is_named(
    lab: Lab, tmp_path: Path, failures: tuple[Exception, Exception], kind: type[Unavailable], retry: int
) -> None:
    services = two(lab)
    for service, failure in zip(services, failures, strict=True):
        service.failure = failure
    with pytest.raises(Unavailable) as caught:
        CachedSource(services, tmp_path).get(REQUEST, NOON)
    assert type(caught.value) is kind
    assert caught.value.retry_after == retry
    assert all(str(failure) in str(caught.value) for failure in failures)


def test_a_stale_mirror_is_passed_over_and_named(lab: Lab, tmp_path: Path) -> None:
    first, second = two(lab)
    found: list[Rollback] = []
    source = CachedSource((first, second), tmp_path, found.append)
    held = source.get(REQUEST, NOON)
    first.now = UnixTime(NOON - 5 * DAY)
    second.now = UnixTime(refresh_time(held))
    renewed = source.get(REQUEST, second.now)
    assert freshness(renewed).issued > freshness(held).issued
    assert {rollback.source for rollback in found} == {"http://first"}
    assert "http://first offers tcb_info" in str(found[0])


def test_each_channel_is_held_apart(lab: Lab, tmp_path: Path) -> None:

    service = Service(lab)
    source = CachedSource((service,), tmp_path)
    for update in (TcbUpdate.STANDARD, TcbUpdate.EARLY, TcbUpdate("19")):
        source.get(replace(REQUEST, update=update), NOON)
    assert service.fetches == 3
    assert [f.entry.request.key.rpartition("-")[2] for f in source.forecasts()] == ["19", "early", "standard"]


def test_without_a_service_what_was_put_there_counts(lab: Lab, tmp_path: Path) -> None:
    offline = CachedSource((), tmp_path)
    with pytest.raises(Unavailable, match="no service is asked"):
        offline.get(REQUEST, NOON)
    CachedSource((Service(lab),), tmp_path).get(REQUEST, NOON)
    assert freshness(offline.get(REQUEST, UnixTime(NOON + 60))).fmspc == REQUEST.fmspc


def test_a_service_with_nothing_newer_is_asked_once_an_hour(lab: Lab, tmp_path: Path) -> None:
    """In its last three days a set is asked for anew, but not for every hello."""
    service = Service(lab)
    source = CachedSource((service,), tmp_path)
    held = source.get(REQUEST, NOON)
    due = UnixTime(freshness(held).next_update - DAY)
    for seconds in (0, 60, UNCHANGED_SECONDS - 1):
        assert source.get(REQUEST, UnixTime(due + seconds)) is not None
    assert service.fetches == 2
    source.get(REQUEST, UnixTime(due + UNCHANGED_SECONDS))
    assert service.fetches == 3


def test_an_unchanged_set_is_not_written_again(lab: Lab, tmp_path: Path) -> None:
    service = Service(lab)
    fixed = service.collateral(REQUEST.fmspc, REQUEST.ca)
    service.collateral = lambda *_: fixed  # type: ignore[method-assign]
    source = CachedSource((service,), tmp_path)
    first = source.get(REQUEST, NOON)
    path = next(tmp_path.glob("*.collateral"))
    written = path.stat().st_mtime_ns
    assert source.get(REQUEST, UnixTime(refresh_time(first))) is first
    assert service.fetches == 2
    assert path.stat().st_mtime_ns == written


def test_the_folder_is_bounded(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intaglio.collateral.folder.MAX_FILES", 2)
    source = CachedSource((Service(lab),), tmp_path)

    for number in (1, 2, 3):
        source.get(replace(REQUEST, update=TcbUpdate("19" if number == 1 else ("early", "standard")[number - 2])), NOON)
    assert [entry.request.update.text for entry in EntryFolder(tmp_path).entries()] == ["early", "standard"]  # type: ignore[union-attr]


def test_an_entry_under_another_name_is_not_used(lab: Lab, tmp_path: Path) -> None:

    service = Service(lab)
    CachedSource((service,), tmp_path).get(REQUEST, NOON)
    early = replace(REQUEST, update=TcbUpdate.EARLY)
    path = next(tmp_path.glob("*.collateral"))
    path.rename(tmp_path / f"{early.key}.collateral")
    CachedSource((service,), tmp_path).get(early, NOON)
    assert service.fetches == 2


def test_a_large_folder_is_not_looked_through_at_each_write(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr("intaglio.collateral.folder.remove_leftovers", looked.append)
    monkeypatch.setattr("intaglio.collateral.folder.MAX_FILES", 256 * 8)
    folder, collateral = EntryFolder(tmp_path), Service(lab).collateral(REQUEST.fmspc, REQUEST.ca)
    for number in range(17):
        request = replace(REQUEST, update=TcbUpdate(f"{number}"))
        folder.keep(forecast(Entry(request, NOON, "http://pcs.example", collateral)))
    assert len(list(folder.entries())) == 17
    assert len(looked) == 3, "at the first write, and then at each eighth"
