"""The PCK extension has one meaning, whether it is laid out as usual (and read by one pattern) or in another order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.wire import der, pck
from intaglio.wire.pck import PckExtension

USUAL = PckExtension(
    ppid=bytes(range(16)), components=bytes([14, 14, 3, 3, 255, 255, 1, *[0] * 8, 128]), pce_svn=13,
    cpu_svn=bytes(range(16, 32)), pce_id=b"\0\0", fmspc=bytes.fromhex("00606a000000"), sgx_type=1,
    platform_instance_id=bytes(range(32, 48)), dynamic=True, cached_keys=False, smt=True,
)  # fmt: skip


def both(data: bytes) -> PckExtension | None:
    """What `parse` reads, which must be what reading part by part gives; None where both refuse."""
    try:
        slow = PckExtension.parse_any(data)
    except Malformed:
        with pytest.raises(Malformed):
            PckExtension.parse(data)
        return None
    assert PckExtension.parse(data) == slow
    return slow


@pytest.mark.parametrize(
    "extension",
    [
        USUAL,
        replace(USUAL, platform_instance_id=None, dynamic=None, cached_keys=None, smt=None),
        replace(USUAL, components=bytes(16), pce_svn=0),
        replace(USUAL, components=b"\x80" * 16, pce_svn=255, sgx_type=2),
        replace(USUAL, pce_svn=256),
        replace(USUAL, pce_svn=0xFFFF),
        replace(USUAL, dynamic=None),
    ],
    ids=["scalable", "processor CA", "zeros", "long numbers", "a long PCE SVN", "the longest", "two flags"],
)
def test_round_trip(extension: PckExtension) -> None:
    assert both(extension.encode()) == extension


def test_the_usual_layout_takes_the_short_way() -> None:
    assert pck._USUAL.fullmatch(USUAL.encode()) is not None


def test_every_single_edit_is_read_alike() -> None:
    """One byte changed, removed or added anywhere, lengths included: never two meanings."""
    data = USUAL.encode()
    for at in range(len(data)):
        for value in (0, 1, 0x7F, 0x80, 0xFF, data[at] ^ 1):
            both(data[:at] + bytes((value,)) + data[at + 1 :])
        both(data[:at] + data[at + 1 :])
        both(data[:at] + b"\0" + data[at:])


@given(order=st.permutations(range(7)))
def test_parts_may_come_in_any_order(order: list[int]) -> None:
    content = der.sole(USUAL.encode(), der.SEQUENCE, "test")
    parts = [der.encode(tag, part) for tag, part in der.elements(content, "test")]
    assert both(der.encode(der.SEQUENCE, b"".join(parts[n] for n in order))) == USUAL


def test_a_part_that_occurs_twice_is_refused() -> None:
    content = der.sole(USUAL.encode(), der.SEQUENCE, "test")
    first = der.encode(*next(der.elements(content, "test")))
    with pytest.raises(Malformed, match="occurs twice"):
        PckExtension.parse(der.encode(der.SEQUENCE, content + first))
