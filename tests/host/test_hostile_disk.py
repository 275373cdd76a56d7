"""A relay whose disk fails now and then, and callers that are interrupted while it writes."""

import os
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
