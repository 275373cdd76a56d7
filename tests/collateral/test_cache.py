"""The cache never goes back in time, survives restarts and outages, and writes its files whole."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from intaglio.collateral.cache import RETRY_SECONDS, CachedSource, Rollback
from intaglio.collateral.freshness import freshness
from intaglio.errors import Malformed, Unavailable
from intaglio.sim.pki import DAY
from intaglio.sim.world import DEFAULT_FMSPC, Lab, PlatformPlan
from intaglio.types import UnixTime
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.collateral_bundle import Entry
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest
from intaglio.wire.endorsement import Collateral
from tests.collateral.conftest import NOON, REQUEST


@dataclass
class Service:
    """A fetcher over the lab's PCS at a settable moment, that can fail."""

    lab: Lab
    now: UnixTime = NOON
    fetches: int = 0
    failure: Exception | None = None
    name: str = "http://pcs.example"

    def serves(self, request: CollateralRequest) -> bool:
        return isinstance(request, DcapRequest)

    def fetch(self, request: CollateralRequest, held: object, at: UnixTime) -> Collateral:  # noqa: ARG002
        self.fetches += 1
        if self.failure is not None:
            raise self.failure
        assert isinstance(request, DcapRequest)
        return self.collateral(request.fmspc, request.ca)

    def collateral(self, fmspc: str, ca: str) -> DcapCollateral:
        return DcapCollateral.parse_json(
            self.lab.pcs.collateral(fmspc, "processor" if ca == "processor" else "platform", self.now)
        )


@dataclass
class Kit:
    service: Service
    source: CachedSource
    folder: Path
    rollbacks: list[Rollback]

    def get(self, at: int = NOON) -> Collateral:
        return self.source.get(REQUEST, UnixTime(at))

    def restart(self) -> None:
        self.source = CachedSource((self.service,), self.folder, self.rollbacks.append)


@pytest.fixture
def kit(lab: Lab, tmp_path: Path) -> Kit:
    service, rollbacks = Service(lab), list[Rollback]()
    return Kit(service, CachedSource((service,), tmp_path / "cache", rollbacks.append), tmp_path / "cache", rollbacks)


def test_one_fetch_until_a_tenth_is_left(kit: Kit) -> None:
    first = kit.get()
    midnight = NOON - NOON % DAY
    assert kit.get(midnight + 27 * DAY - 1) is first
    assert kit.service.fetches == 1
    kit.service.now = UnixTime(midnight + 27 * DAY)
    assert kit.get(kit.service.now) is not first
    assert kit.service.fetches == 2


def test_survives_a_restart(kit: Kit) -> None:
    first = kit.get()
    kit.restart()
    assert kit.get() == first
    assert kit.service.fetches == 1
    assert [path.name for path in kit.folder.glob("[!.]*")] == [f"sgx-{DEFAULT_FMSPC}-platform-standard.collateral"]


@pytest.mark.parametrize("failure", [Unavailable("down", retry_after=9), Malformed("tcbInfo", "nonsense")])
def test_an_outage_is_bridged_until_the_held_set_expires(kit: Kit, failure: Exception) -> None:
    first = kit.get()
    end = freshness(first).next_update
    kit.service.failure = failure
    assert kit.get(end) is first
    assert kit.get(end) is first
    assert kit.service.fetches == 2, "a failed refresh is not repeated at once"
    with pytest.raises(type(failure)):
        kit.get(end + 1)


def test_an_outage_without_a_held_set_is_unavailable(kit: Kit) -> None:
    kit.service.failure = Unavailable("down", retry_after=9)
    with pytest.raises(Unavailable) as caught:
        kit.get()
    assert caught.value.retry_after == 9
    assert not kit.folder.exists()


@pytest.mark.parametrize("failure", [Unavailable("down"), Malformed("tcbInfo", "nonsense")])
def test_a_failing_service_is_not_asked_for_every_hello(kit: Kit, failure: Exception) -> None:
    kit.service.failure = failure
    for seconds in (0, 1, RETRY_SECONDS - 1):
        with pytest.raises(type(failure), match=str(failure)):
            kit.get(NOON + seconds)
    assert kit.service.fetches == 1
    kit.service.failure = None
    assert freshness(kit.get(NOON + RETRY_SECONDS)).fmspc == DEFAULT_FMSPC


def test_a_failure_that_is_said_again_says_when_the_service_is_asked(kit: Kit) -> None:
    """Else whoever has just repaired the service reads that it is still down."""
    kit.service.failure = Unavailable("down")
    with pytest.raises(Unavailable, match=r"^down$"):
        kit.get()
    with pytest.raises(Unavailable, match=r"^down \(not asked again for 50 s\)$"):
        kit.get(NOON + 10)


def test_strangers_names_fill_no_memory(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intaglio.collateral.cache.MAX_PAUSES", 10)
    kit.service.failure = Unavailable("no such family")
    for number in range(100):
        with pytest.raises(Unavailable):
            kit.source.get(replace(REQUEST, fmspc=f"{number:012x}"), NOON)
    assert len(kit.source._pauses) <= 10


def test_what_another_process_fetched_is_used(kit: Kit) -> None:
    first = kit.get()
    other = CachedSource((Service(kit.service.lab, UnixTime(NOON + 20 * DAY)),), kit.folder)
    renewed = other.get(REQUEST, UnixTime(refresh_time(first)))
    assert kit.get(refresh_time(first)) == renewed
    assert kit.service.fetches == 1


def refresh_time(collateral: Collateral) -> int:
    return freshness(collateral).next_update - 1


def test_an_older_document_is_reported_and_not_taken(kit: Kit) -> None:
    first = kit.get()
    kit.service.now = UnixTime(NOON - 2 * DAY)
    assert kit.get(refresh_time(first)) is first
    assert [rollback.what for rollback in kit.rollbacks] == ["tcb_info", "qe_identity", "root_ca_crl", "pck_crl"]
    assert kit.rollbacks[0].offered_issued < kit.rollbacks[0].held_issued
    kit.restart()
    assert kit.get() == first


def test_a_lower_evaluation_number_is_reported_and_not_taken(kit: Kit) -> None:
    first = kit.get()
    published = kit.service.lab.published
    lower = tuple(replace(edition, number=3) for edition in published.editions)
    kit.service.lab.publish(replace(published, editions=lower, standard=3))
    kit.service.now = UnixTime(NOON + 20 * DAY)
    assert kit.get(refresh_time(first)) is first
    assert {(r.held_number, r.offered_number) for r in kit.rollbacks} == {(19, 3)}
    higher = tuple(replace(edition, number=21) for edition in published.editions)
    kit.service.lab.publish(replace(published, editions=higher, standard=21))
    assert freshness(kit.get(refresh_time(first) + 100)).evaluation_number == 21


def test_the_log_hears_of_rollbacks_by_default(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    kit.source = CachedSource((kit.service,), kit.folder)
    first = kit.get()
    kit.service.now = UnixTime(NOON - 2 * DAY)
    kit.get(refresh_time(first))
    assert "rollback" in caplog.text


def test_what_was_forged_is_forgotten(kit: Kit) -> None:
    kit.service.now = UnixTime(NOON + 1000 * DAY)
    kit.get()
    kit.service.now = NOON
    kit.source.forget(REQUEST)
    assert not list(kit.folder.glob("*.collateral"))
    with pytest.raises(Unavailable, match="refused by the verifier"):
        kit.get(NOON + RETRY_SECONDS - 1)
    assert kit.service.fetches == 1
    assert freshness(kit.get(NOON + RETRY_SECONDS)).issued < NOON
    assert kit.rollbacks == []


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, b"[" * 100_000])
def test_a_broken_file_is_fetched_again(kit: Kit, content: bytes) -> None:
    first = kit.get()
    path = next(kit.folder.glob("*.collateral"))
    path.write_bytes(content)
    kit.restart()
    assert freshness(kit.get()) == freshness(first)
    assert kit.service.fetches == 2
    assert freshness(Entry.parse(path.read_bytes()).collateral) == freshness(first)


def test_collateral_of_another_family_is_not_kept(kit: Kit) -> None:
    kit.service.lab.add_platform(PlatformPlan("beta", fmspc="00b0dedede00"), NOON)
    other = DcapCollateral.parse_json(kit.service.lab.pcs.collateral("00b0dedede00", "platform", NOON))
    kit.service.collateral = lambda *_: other  # type: ignore[method-assign]
    with pytest.raises(Malformed, match="got something else"):
        kit.get()
    assert not kit.folder.exists()


def test_many_threads_make_one_fetch(kit: Kit) -> None:
    got: list[Collateral] = []
    threads = [threading.Thread(target=lambda: got.append(kit.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kit.service.fetches == 1
    assert all(each is got[0] for each in got)


def test_what_another_process_kept_meanwhile_is_not_overwritten(kit: Kit) -> None:
    """The question to a service takes seconds, in which another process may import or fetch something newer."""
    newer = Service(kit.service.lab, UnixTime(NOON + 2 * DAY))

    class Slow(Service):
        def fetch(self, request: CollateralRequest, held: object, at: UnixTime) -> Collateral:
            CachedSource((newer,), kit.folder).get(REQUEST, NOON)
            return super().fetch(request, held, at)

    source = CachedSource((Slow(kit.service.lab),), kit.folder, kit.rollbacks.append)
    expected = newer.collateral(REQUEST.fmspc, REQUEST.ca)
    assert freshness(source.get(REQUEST, NOON)) == freshness(expected)
    kit.restart()
    assert freshness(kit.get()) == freshness(expected)
    assert {each.what for each in kit.rollbacks} == {"tcb_info", "qe_identity", "root_ca_crl", "pck_crl"}
