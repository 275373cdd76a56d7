"""What surrounds delivery: the wait between tries, the folder of refused frames, and the asyncio face."""

import asyncio
import logging
from pathlib import Path

import cbor2
import pytest

from intaglio.host import AsyncRelay, EnclaveRefused, SpoolFull
from intaglio.host.backoff import FIRST, LONGEST, Backoff
from intaglio.host.relay import Fate
from intaglio.host.shelf import RefusedFrames, Shelf
from tests.host.enclave import local_enclave
from tests.host.gateway import Gateway, serving


def test_the_wait_doubles_up_to_its_limit_and_starts_again() -> None:
    backoff = Backoff()
    ceilings = [min(LONGEST, FIRST * 2**number) for number in range(40)]
    assert all(0 <= backoff.next() <= ceiling for ceiling in ceilings)
    assert max(backoff.next() for _ in range(200)) > FIRST
    backoff.succeeded()
    assert backoff.next() <= FIRST


def test_the_data_centres_wish_is_a_least_wait() -> None:
    backoff = Backoff()
    waits = [backoff.next(60) for _ in range(50)]
    assert all(60 <= wait <= 60 + LONGEST for wait in waits)
    assert len(set(waits)) > 40, "hosts that were sent away together must not come back together"


def test_refused_frames_make_room_for_newer_ones_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refused = RefusedFrames(tmp_path / "refused", 3 * 4096 - 1)
    for number in range(4):
        refused.keep(bytes([number]) * 100)
        refused.keep(bytes([number]) * 100)
    assert sorted(path.read_bytes()[0] for path in refused.files()) == [2, 3]
    assert refused.dropped == 2
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == 2
    refused.keep(b"x" * 9000)
    assert [path.read_bytes() for path in refused.files()] == [b"x" * 9000]


def test_the_shelf_keeps_hellos_by_session(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for number in range(3):
        shelf.put_hello(bytes([number]) * 16, b"hello %d" % number)
    shelf.keep_hellos([bytes([1]) * 16, bytes([2]) * 16])
    assert [shelf.hello(bytes([number]) * 16) for number in range(3)] == [None, b"hello 1", b"hello 2"]
    shelf.discard_hello(bytes([1]) * 16)
    shelf.discard_hello(bytes([1]) * 16)
    assert shelf.hello(bytes([1]) * 16) is None
    assert shelf.offer() is None
    shelf.put_offer(b"one")
    shelf.put_offer(b"two")
    assert Shelf(tmp_path).offer() == b"two"


def test_the_asyncio_face(tmp_path: Path) -> None:
    gateway = Gateway()

    async def use(url: str) -> None:
        with local_enclave(gateway.dc) as enclave:
            async with AsyncRelay(enclave, url, spool=tmp_path) as relay:
                assert (await relay.call("echo", 1)).fate is Fate.STORED
                assert (await relay.send(enclave.call("echo", 2))).fate is Fate.STORED
                receipts = await asyncio.gather(*(relay.call("echo", number) for number in range(3, 8)))
                assert {receipt.fate for receipt in receipts} == {Fate.STORED}
                with pytest.raises(EnclaveRefused, match="unknown-call"):
                    await relay.call("password")
                await relay.renew()
                assert await relay.flush(20.0) == 0
                # What the new session's Accept makes may still be on its way; leaving the block waits for it.
                assert (relay.sessions, relay.refused_files) == (2, [])
            async with AsyncRelay(enclave, url, spool=tmp_path, spool_limit_bytes=1) as small:
                with pytest.raises(SpoolFull):
                    await small.send(enclave.call("echo", 9))

    with serving(gateway) as url:
        asyncio.run(use(url))
    assert sorted(gateway.values()) == [cbor2.dumps(number) for number in range(1, 8)]
