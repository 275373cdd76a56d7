"""Records as server-sent events: each once and in order, from where a client was, and an end when the gateway stops."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from intaglio.gateway import stream
from tests.gateway.world import HUNDRED, Dc, World, told

Events = http.client.HTTPResponse


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "POLL", 0.01)


@contextmanager
def listening(dc: Dc, query: str = "", last: int | None = None, token: str | None = None) -> Iterator[Events]:
    parts = urlsplit(dc.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    shown = token or dc.world.settings.token_file.read_text().strip()
    headers = {"Authorization": f"Bearer {shown}"} | ({} if last is None else {"Last-Event-ID": str(last)})
    connection.request("GET", f"/api/v1/records/stream{query}", headers=headers)
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def event(events: Events) -> dict[str, str]:
    """The next event or comment, by field."""
    fields: dict[str, str] = {}
    while line := events.readline().decode().rstrip("\n"):
        name, _, value = line.partition(":")
        fields[name] = value.strip()
    return fields


def records(events: Events, count: int) -> list[tuple[int, object]]:
    """(event id, decoded value) of the next records."""
    found = [event(events) for _ in range(count)]
    assert {each["event"] for each in found} == {"record"}
    return [(int(each["id"]), json.loads(each["data"])["value"]) for each in found]


def test_what_arrives_is_told_once_and_a_client_goes_on_where_it_was(dc: Dc) -> None:
    _, channel = dc.session()
    assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
    with listening(dc) as events:
        assert (events.status, events.getheader("content-type", "").partition(";")[0]) == (200, "text/event-stream")
        assert event(events)["id"] == "1"
        assert dc.frames(channel.up.protect([HUNDRED, HUNDRED])).json == told(stored=1)
        assert records(events, 2) == [(2, 100), (3, 100)]
    assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
    with listening(dc, last=2) as events:
        assert event(events)["id"] == "2"
        assert records(events, 2) == [(3, 100), (4, 100)]


def test_it_tells_of_one_session_and_name(dc: Dc) -> None:
    _, first = dc.session()
    _, second = dc.session()
    for channel in (first, second):
        assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
    with listening(dc, f"?after=0&session={second.up.session.hex()}&name={HUNDRED.name}") as events:
        event(events)
        assert records(events, 1) == [(2, 100)]


def test_a_stream_without_news_shows_that_it_lives(dc: Dc) -> None:
    with listening(dc) as events:
        assert event(events) == {"id": "0", "": "from here on"}
        assert event(events) == {"": "nothing new"}


def test_a_stop_ends_streams_at_once_and_turns_readiness_off(world: World) -> None:
    with world.gateway() as dc, listening(dc) as events:
        event(events)
        assert dc.ask("GET", "/v1/health/ready").status == 200
        dc.gateway.draining.set()
        while event(events):
            pass
        assert events.read() == b""
        reply = dc.ask("GET", "/v1/health/ready")
        assert (reply.status, reply.json) == (503, {"status": "not ready: it is stopping"})


def test_streams_are_few_and_guarded(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_STREAMS", 1)
    with listening(dc, token="wrong") as refused:  # not one
        assert refused.status == 401
    with listening(dc) as events:
        event(events)
        with listening(dc) as second:
            assert (second.status, second.getheader("retry-after")) == (503, "10")
    # The first one's place is free again once the gateway has seen that it hung up.
    for _ in range(100):
        with listening(dc) as third:
            if third.status == 200:
                return
    raise AssertionError("a client that hung up keeps its place")


def test_a_stream_ends_in_time_to_look_at_its_token_again(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LIFETIME", 0)
    with listening(dc) as events:
        assert event(events)["id"] == "0"
        assert events.read() == b""
