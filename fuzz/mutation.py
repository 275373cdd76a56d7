"""Mutations without feedback, for runs that must be the same each time: seeds cut, spliced and bent at lengths."""

import random
from collections.abc import Iterator, Sequence

__all__ = ["mutations"]

MAX_SIZE = 1 << 16
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)
_TOKENS = (
    b"", b"\0", b"\xff" * 8, b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x9f", b"\xbf", b"\xff",
    b"\x5b" + b"\xff" * 8,
    b"\xd8\x1c", b"\xd8\x1d\x00", b"\xf9\x7e\x00", b"[[[[", b'{"a":1,"a":1}', b'"', b"\\ud800", b"1e999", b"-1",
    b"null",     b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----", b"\n", b"=",
)  # fmt: skip


def mutations(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """The seeds as they are, and `count` changed ones; the same for the same `seed`."""
    draw = random.Random(seed)
    yield from seeds
    for _ in range(count):
        data = draw.choice(seeds)
        for _ in range(draw.choice((1, 1, 1, 2, 3, 5))):
            change = draw.choice(_CHANGES)
            data = change(data, seeds, draw)
        yield data[:MAX_SIZE]


def _flip(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + bytes(byte ^ 1 << draw.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _overwrite(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    """A number in a place and order in which a length could stand."""
    size = draw.choice((1, 2, 4, 8))
    number = min(draw.choice(_NUMBERS), (1 << 8 * size) - 1)
    big = draw.random() < 0.5
    at = draw.randrange(len(data) + 1)
    return data[:at] + number.to_bytes(size, "big" if big else "little") + data[at + size :]


def _cut(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + data[at + draw.choice((1, 2, 16, len(data))) :]


def _insert(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.choice(_TOKENS) * draw.choice((1, 1, 1, 2, 300)) + data[at:]


def _repeat(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    begin = draw.randrange(len(data) + 1)
    end = min(len(data), begin + draw.choice((1, 8, 64, 1024)))
    return data[:end] + data[begin:end] * draw.choice((1, 2, 50)) + data[end:]


def _splice(data: bytes, seeds: Sequence[bytes], draw: random.Random) -> bytes:
    other = draw.choice(seeds)
    return data[: draw.randrange(len(data) + 1)] + other[draw.randrange(len(other) + 1) :]


_CHANGES = (_flip, _flip, _overwrite, _overwrite, _cut, _insert, _repeat, _splice)
