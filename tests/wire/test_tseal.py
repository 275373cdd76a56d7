"""Intel's sealed blobs, laid out by hand from the published structure."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from intaglio.errors import Malformed
from intaglio.wire.sgx import Attributes
from intaglio.wire.tseal import SealedBlob
from tests.feeding import feed

KEY = bytes(range(16))
SEALED = AESGCM(KEY).encrypt(bytes(12), b"secret", b"label")


def blob() -> bytes:
    data = bytearray(512)
    data[0:2], data[2:4], data[4:6] = b"\x04\0", b"\x02\0", b"\x03\0"
    data[8:24] = bytes([7] * 16)
    data[24:32] = (0xFF0000000000000B).to_bytes(8, "little")
    data[40:72] = bytes(range(32))
    data[72:76], data[76:78] = b"\xff\xff\xff\xf0", b"\x05\0"
    sizes = b"\x06\0\0\0" + bytes(12) + b"\x0b\0\0\0" + bytes(12)
    return bytes(data) + sizes + SEALED[6:] + SEALED[:6] + b"label"


def test_a_blob_is_taken_apart_and_opens() -> None:
    read = feed(SealedBlob.parse, blob())
    assert isinstance(read, SealedBlob)
    request = read.request
    assert (request.policy, request.isv_svn, request.config_svn, request.misc_mask) == (2, 3, 5, 0xF0FFFFFF)
    assert request.attributes_mask == Attributes(0xFF0000000000000B, 0)
    assert (request.cpu_svn, request.key_id) == (bytes([7] * 16), bytes(range(32)))
    assert AESGCM(KEY).decrypt(bytes(12), read.ciphertext + read.tag, read.additional) == b"secret"
    assert read.encode() == blob()


SPOILED = [
    (0, "key_name"), (6, "reserved1"), (78, "reserved2"), (515, "plain_text_offset"), (516, "reserved1"),
    (531, "additional"), (532, "reserved2"),
]  # fmt: skip


@pytest.mark.parametrize(("at", "field"), SPOILED)
def test_what_it_is_not(at: int, field: str) -> None:
    spoiled = bytearray(blob())
    spoiled[at] = 1
    with pytest.raises(Malformed, match=field):
        SealedBlob.parse(bytes(spoiled))
