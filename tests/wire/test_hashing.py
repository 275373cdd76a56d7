"""The lock-keeping SHA-256 is SHA-256."""

import hashlib

import pytest

from intaglio.wire.hashing import feed, sha256


@pytest.mark.parametrize("size", [0, 1, 2046, 2047, 2048, 4094, 4095, 8000, 65535, 65536, 65537, 200_000])
def test_it_is_sha256(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    expected = hashlib.sha256(data).digest()
    assert sha256(data) == expected
    hashed = hashlib.sha256(b"before")
    feed(hashed, data)
    assert hashed.digest() == hashlib.sha256(b"before" + data).digest()


def test_pieces_stay_below_what_makes_hashlib_let_go() -> None:
    """Whoever raises the size gives the lock away for a few microseconds of work."""

    class Recorder:
        def __init__(self) -> None:
            self.pieces: list[int] = []

        def update(self, data: bytes) -> None:
            self.pieces.append(len(data))

    recorder = Recorder()
    feed(recorder, bytes(8000))
    assert sum(recorder.pieces) == 8000
    assert max(recorder.pieces) < 2048
