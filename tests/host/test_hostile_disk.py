"""A relay whose disk fails now and then, and callers that are interrupted while it writes."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from intaglio import files
from intaglio.host import Receipt, Relay, shelf
from intaglio.host.relay import Fate
from intaglio.host.spool import Spool
from tests.host.enclave import LocalEnclave
from tests.host.gateway import UNDECIDABLE, Gateway, frames_answer

STORED = Receipt(Fate.STORED, 1)


def failing(times: int, true: Callable[..., None], on: Callable[[Path], bool]) -> Callable[..., None]:
    """`true`, whose first calls for a path that `on` is true for find a full disk."""
    left = [times]

    def replace(path: Path, data: bytes) -> None:
        if left[0] and on(path):
            left[0] -= 1
            raise OSError(28, "No space left on device")
        true(path, data)

    return replace


def test_a_disk_that_was_full_for_a_moment_does_not_end_delivery(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The position that is delivered could not be written: it is delivered again, which is harmless."""
    with Relay(enclave, url, spool=tmp_path, pause=lambda *_: None) as relay:
        relay.flush(10)
        full = failing(3, files.replace_private, lambda path: path.name == "acknowledged")
        monkeypatch.setattr("intaglio.host.spool.replace_private", full)
        relay.call("echo", 1)
        assert relay.flush(10) == 0
        assert relay.call("echo", 2) == STORED
    assert gateway.values() == [b"\x01", b"\x02"]


def test_a_full_disk_loses_no_refused_frame(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Relay(enclave, url, spool=tmp_path, pause=lambda *_: None) as relay:
        assert relay.call("echo", 0) == STORED
        gateway.next_answers["/v1/frames"] = [frames_answer(403, refused=[0])] * 4
        full = failing(3, files.replace_private, lambda path: path.suffix == ".frame")
        monkeypatch.setattr(shelf, "replace_private", full)
        message = enclave.call("echo", 1)
        relay.send(message)
        assert relay.flush(10) == 0
        assert [path.read_bytes() for path in relay.refused_files] == [message]


def test_what_the_enclave_made_on_an_accept_survives_a_full_disk(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be asked for again: the rekey that ends epoch 0, and the session's renewal, would be lost with it."""
    append = Spool.append
    left = [3]

    def full(self: Spool, payloads: list[bytes], *, beyond_limit: bool = False) -> int:
        if beyond_limit and left[0]:
            left[0] -= 1
            raise OSError(28, "No space left on device")
        return append(self, payloads, beyond_limit=beyond_limit)

    now = [0.0]
    monkeypatch.setattr(Spool, "append", full)
    gateway.next_answers["/v1/hello"] = [UNDECIDABLE]
    with Relay(enclave, url, spool=tmp_path, pause=lambda *_: None, clock=lambda: now[0]) as relay:
        assert relay.send(enclave.call("echo", 1)).fate is not Fate.REFUSED
        gateway.wait_for(lambda: len(gateway.order) == 2)  # ours, and the frame of the Accept
        now[0] = 3500.0
        assert relay.flush(10) == 0
        gateway.wait_for(lambda: len(gateway.accepts) == 2)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_append_leaves_no_half_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    """Otherwise every later entry would lie elsewhere than the spool believes."""
    with Spool(tmp_path, limit_bytes=1 << 20) as spool:
        spool.append([b"first"])
        with monkeypatch.context() as patch:

            def interrupted(_: int) -> None:
                raise interruption

            patch.setattr(os, "fsync", interrupted)
            with pytest.raises(interruption):
                spool.append([b"interrupted, and not taken"])
        spool.append([b"second"])
        assert [entry.payload for entry in spool.entries()] == [b"first", b"second"]
    with Spool(tmp_path, limit_bytes=1 << 20) as spool:
        assert [entry.payload for entry in spool.entries()] == [b"first", b"second"]
        assert spool.damaged == 0


def test_a_session_that_ends_in_a_thousand_years_is_no_error(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path
) -> None:
    gateway.life = 10**15
    with Relay(enclave, url, spool=tmp_path, pause=lambda *_: None) as relay:
        relay.flush(10)
        for value in range(3):
            assert relay.call("echo", value) == STORED


def test_frames_that_the_spool_did_not_take_go_before_the_next_call(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call's may rest on them: a sealed state whose step was lost would wait for it for ever."""
    true = Spool.append

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with Relay(enclave, url, spool=tmp_path, pause=lambda *_: None) as relay:
        relay.flush(10)
        monkeypatch.setattr(Spool, "append", full)
        for value in (1, 2):
            with pytest.raises(OSError, match="No space left"):
                relay.call("echo", value)
        monkeypatch.setattr(Spool, "append", true)
        assert relay.call("echo", 3) == STORED
    assert gateway.values() == [b"\x01", b"\x03"]


def test_frames_that_the_spool_did_not_take_are_tried_once_more_at_the_end(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Relay(enclave, url, spool=tmp_path, pause=lambda *_: None) as relay:
        relay.flush(10)
        with monkeypatch.context() as patched:
            patched.setattr("intaglio.host.spool.os.fsync", _no_space)
            with pytest.raises(OSError, match="No space left"):
                relay.call("echo", 1)
    assert gateway.values() == [b"\x01"]


def _no_space(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_call_waits_until_the_frames_before_it_are_on_disk(
    gateway: Gateway, url: str, enclave: LocalEnclave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls made and neither on disk: an enclave's state would be two steps ahead after a crash."""
    ahead: list[int] = []
    called, taken = [0], [0]
    call, take = enclave.call, Relay._take

    def counted(name: str, /, *args: object, **kwargs: object) -> bytes:
        called[0] += 1
        ahead.append(called[0] - taken[0])
        return call(name, *args, **kwargs)

    def slow(relay: Relay, frames: list[bytes], *, beyond_limit: bool = False) -> object:
        time.sleep(0.02)
        sent = take(relay, frames, beyond_limit=beyond_limit)
        taken[0] += 1
        return sent

    monkeypatch.setattr(enclave, "call", counted)
    monkeypatch.setattr(Relay, "_take", slow)
    with Relay(enclave, url, spool=tmp_path, pause=lambda *_: None) as relay:
        threads = [threading.Thread(target=relay.call, args=("echo", value)) for value in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ahead == [1] * 5
    assert len(gateway.values()) == 5
