"""What a service need not send again, and how long it is left alone when it says so."""

from collections.abc import Mapping

import pytest

from intaglio.collateral import service as module
from intaglio.collateral.http import Absent, Busy
from intaglio.collateral.service import Service
from intaglio.errors import Unavailable
from intaglio.sim.pcs import Answer
from intaglio.types import UnixTime
from tests.collateral.conftest import NOON
from tests.collateral.servers import serving

LATER = UnixTime(NOON + 60)


@pytest.mark.parametrize(("name", "asks"), [("ETag", "if-none-match"), ("Last-Modified", "if-modified-since")], ids=str)
def test_what_has_not_changed_is_not_sent_again(name: str, asks: str) -> None:
    asked: list[str | None] = []

    def respond(target: str, headers: Mapping[str, str]) -> Answer:
        asked.append(headers.get(asks))
        if headers.get(asks) == '"1"':
            return Answer(304, {}, b"")
        return Answer(200, {name: '"1"', "X-Chain": "here"}, b"the document")

    with serving(respond) as url:
        service = Service(url, timeout=5)
        first = service.get("/x", NOON)
        assert service.get("/x", LATER) is first
        assert service.get("/y", LATER).body == first.body
    assert asked == [None, '"1"', None]


def test_a_304_that_nobody_asked_for_is_no_answer() -> None:
    with serving(lambda *_: Answer(304, {}, b"")) as url, pytest.raises(Unavailable, match="HTTP 304"):
        Service(url, timeout=5).get("/x", NOON)


def test_kept_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 100)
    with serving(lambda *_: Answer(200, {"ETag": '"1"'}, bytes(40))) as url:
        service = Service(url, timeout=5)
        for number in range(10):
            service.get(f"/{number}", NOON)
        assert len(service._kept) == 2
        monkeypatch.setattr(module, "MAX_KEPT", 1)
        service.get("/last", NOON)
        assert list(service._kept) == ["/last"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_asks_for_it_is_left_alone(status: int) -> None:
    answers = [Answer(status, {"Retry-After": "30"}, b""), Answer(200, {}, b"back")]
    with serving(lambda *_: answers.pop(0)) as url:
        service = Service(url, timeout=5)
        with pytest.raises(Busy) as busy:
            service.get("/x", NOON)
        assert busy.value.retry_after == 30
        with pytest.raises(Busy, match="left alone for another 10 s") as again:
            service.get("/other", UnixTime(NOON + 20))
        assert again.value.retry_after == 10
        assert len(answers) == 1, "it was not asked"
        assert service.get("/x", UnixTime(NOON + 30)).body == b"back"


def test_one_missing_document_does_not_stop_the_others() -> None:
    with serving(lambda target, _: Answer(404 if target == "/x" else 200, {}, b"")) as url:
        service = Service(url, timeout=5)
        with pytest.raises(Absent, match="HTTP 404"):
            service.get("/x", NOON)
        assert service.get("/y", NOON).body == b""


def test_headers_of_ours_go_with_every_request() -> None:
    seen: list[str | None] = []

    def respond(target: str, headers: Mapping[str, str]) -> Answer:
        seen.append(headers.get("metadata"))
        return Answer(200, {}, b"")

    with serving(respond) as url:
        Service(url, timeout=5, headers={"Metadata": "true"}).get("/x", NOON)
    assert seen == ["true"]
