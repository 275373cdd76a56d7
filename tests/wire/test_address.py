"""Where enclave and host meet: three forms, and nothing that only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.wire.address import ANY_CID, Stdio, Unix, Vsock, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/meter.sock", Unix("/run/meter.sock")),
        ("unix:a:b", Unix("a:b")),
        ("unix:" + "p" * 107, Unix("p" * 107)),
        ("vsock:16:5005", Vsock(16, 5005)),
        ("vsock:any:1", Vsock(ANY_CID, 1)),
        ("vsock:4294967294:4294967294", Vsock(ANY_CID - 1, 0xFFFFFFFE)),
        ("stdio", Stdio()),
    ],
)
def test_an_address_is_read_and_written_back(text: str, address: object) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "unix", "unix:", "unix:" + "p" * 108, "unix:" + "ü" * 54, "unix:a\0b", "unix:\udcff", "stdio:", "stdio:x",
        "vsock", "vsock:", "vsock:3", "vsock:3:", "vsock::5", "vsock:3:0", "vsock:0:3", "vsock:-1:3", "vsock:3:-1",
        "vsock:3:4294967295", "vsock:4294967295:3", "vsock:3:5:7", "vsock: 3:5", "vsock:3:٣", "vsock:0x3:5",
        "vsock:3:" + "1" * 5000, "tcp:127.0.0.1:80", "/run/meter.sock", "UNIX:/run/meter.sock",
    ],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(Malformed, match=r"^address"):
        parse_address(text)


@given(st.one_of(st.text(), st.text("unixvsockany:0123456789/-").map("vsock:".__add__)))
def test_any_text_is_an_address_or_malformed(text: str) -> None:
    try:
        address = parse_address(text)
    except Malformed:
        return
    assert parse_address(str(address)) == address
