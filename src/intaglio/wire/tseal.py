"""The sealed blob of Intel's SDK (sgx_tseal.h), taken apart: KEYREQUEST (512 bytes), sizes, tag, ciphertext and the
additional text that is authenticated and not encrypted. Little-endian. Opening one takes the key that EGETKEY gives for
the request, in the enclave that sealed it, and AES-128-GCM with a nonce of twelve zero bytes.
"""

from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire.cursor import Cursor
from intaglio.wire.sgx import Attributes

__all__ = ["KEY_REQUEST_SIZE", "KeyRequest", "SealedBlob"]

KEY_REQUEST_SIZE = 512
_SEAL = 4


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """KEYREQUEST of a sealing key. `policy`: KEYPOLICY bits. `isv_svn`, `config_svn` and `cpu_svn` are those of the
    enclave and CPU that sealed; the masks say which attributes the key depends on."""

    policy: int
    isv_svn: int
    cpu_svn: bytes
    attributes_mask: Attributes
    key_id: bytes
    misc_mask: int
    config_svn: int

    @classmethod
    def read(cls, cur: Cursor) -> Self:
        name = cur.u16("key_request.key_name")
        if name != _SEAL:
            raise Malformed("tseal.key_request.key_name", f"need {_SEAL} (a sealing key), found {name}")
        policy, isv_svn = cur.u16("key_request.key_policy"), cur.u16("key_request.isv_svn")
        cur.zeros(2, "key_request.reserved1")
        request = cls(
            policy,
            isv_svn,
            cur.take(16, "key_request.cpu_svn"),
            Attributes(cur.u64("key_request.attribute_mask.flags"), cur.u64("key_request.attribute_mask.xfrm")),
            cur.take(32, "key_request.key_id"),
            cur.u32("key_request.misc_mask"),
            cur.u16("key_request.config_svn"),
        )
        cur.zeros(434, "key_request.reserved2")
        return request

    def encode(self) -> bytes:
        numbers = (_SEAL, self.policy, self.isv_svn, 0)
        return b"".join(
            (
                *(number.to_bytes(2, "little") for number in numbers),
                self.cpu_svn,
                self.attributes_mask.encode(),
                self.key_id,
                self.misc_mask.to_bytes(4, "little"),
                self.config_svn.to_bytes(2, "little"),
            )
        ).ljust(KEY_REQUEST_SIZE, b"\0")


@dataclass(frozen=True, slots=True)
class SealedBlob:
    """`additional`: the text that is authenticated beside the ciphertext."""

    request: KeyRequest
    tag: bytes
    ciphertext: bytes
    additional: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` unless `data` is exactly one blob."""
        cur = Cursor(data, "tseal")
        request = KeyRequest.read(cur)
        offset = cur.u32("plain_text_offset")
        cur.zeros(12, "reserved1")
        size = cur.u32("payload_size")
        cur.zeros(12, "reserved2")
        tag = cur.take(16, "payload_tag")
        if offset > size:
            raise Malformed("tseal.plain_text_offset", f"{offset} bytes into a payload of {size}")
        blob = cls(request, tag, cur.take(offset, "ciphertext"), cur.take(size - offset, "additional"))
        cur.end()
        return blob

    def encode(self) -> bytes:
        sizes = (len(self.ciphertext), len(self.ciphertext) + len(self.additional))
        offset, size = (number.to_bytes(4, "little") + bytes(12) for number in sizes)
        return self.request.encode() + offset + size + self.tag + self.ciphertext + self.additional
