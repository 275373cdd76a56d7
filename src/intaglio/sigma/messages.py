"""msg0 to msg3 as `sgx_key_exchange.h` lays them out, and our msg4: bytes <-> values, without a key or an opinion.

Integers and coordinates are little-endian. What only EPID had (group id, SPID, signature revocation list, platform
services) still has its place and is carried as it came; whether it is allowed is for the handshake to say.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from intaglio.errors import Malformed
from intaglio.sigma.curve import POINT, SIGNATURE
from intaglio.types import SessionId, UnixTime
from intaglio.wire.cursor import Cursor

__all__ = ["KDF_CMAC", "MAC", "MAX_MSG3", "Msg1", "Msg2", "Msg3", "Msg4", "SigmaResult", "parse_msg0"]

MAC = 16
KDF_CMAC = 1
"""kdf_id of AES-CMAC entropy extraction and key expansion, the SDK's own."""
MAX_MSG3 = 128 * 1024
"""A quote has 5 kB; this is the bound that hellos have."""
MAX_WORKLOAD = 255

_MSG4 = b"ISM4"


def parse_msg0(data: bytes) -> int:
    """The extended EPID group id, which has no MAC. Raises `Malformed`."""
    cur = Cursor(data, "msg0")
    group = cur.u32("extended_epid_group_id")
    cur.end()
    return group


@dataclass(frozen=True, slots=True)
class Msg1:
    """Enclave to provider, 68 bytes. `gid` is the EPID group, zero with ECDSA quotes."""

    SIZE: ClassVar[int] = 68

    g_a: bytes
    gid: bytes = bytes(4)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`."""
        cur = Cursor(data, "msg1")
        message = cls(cur.take(POINT, "g_a"), cur.take(4, "gid"))
        cur.end()
        return message

    def encode(self) -> bytes:
        return self.g_a + self.gid


@dataclass(frozen=True, slots=True)
class Msg2:
    """Provider to enclave, 168 bytes and the signature revocation list. `mac` is over `signed`, the first 148."""

    g_b: bytes
    spid: bytes
    quote_type: int
    kdf_id: int
    signature: bytes
    mac: bytes
    sig_rl: bytes = b""

    @property
    def signed(self) -> bytes:
        """What the MAC covers: everything before it."""
        numbers = self.quote_type.to_bytes(2, "little") + self.kdf_id.to_bytes(2, "little")
        return self.g_b + self.spid + numbers + self.signature

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`."""
        cur = Cursor(data, "msg2")
        message = cls(
            g_b=cur.take(POINT, "g_b"),
            spid=cur.take(16, "spid"),
            quote_type=cur.u16("quote_type"),
            kdf_id=cur.u16("kdf_id"),
            signature=cur.take(SIGNATURE, "sign_gb_ga"),
            mac=cur.take(MAC, "mac"),
            sig_rl=cur.take(cur.u32("sig_rl_size"), "sig_rl"),
        )
        cur.end()
        return message

    def encode(self) -> bytes:
        return self.signed + self.mac + len(self.sig_rl).to_bytes(4, "little") + self.sig_rl


@dataclass(frozen=True, slots=True)
class Msg3:
    """Enclave to provider, 336 bytes and the quote. `mac` is over all that follows it."""

    mac: bytes
    g_a: bytes
    ps_sec_prop: bytes
    quote: bytes

    @property
    def signed(self) -> bytes:
        """What the MAC covers."""
        return self.g_a + self.ps_sec_prop + self.quote

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`; the quote is whatever remains, at least one byte, as Intel's structure gives it no
        length."""
        if len(data) > MAX_MSG3:
            raise Malformed("msg3", f"at most {MAX_MSG3} bytes, got {len(data)}")
        cur = Cursor(data, "msg3")
        message = cls(cur.take(MAC, "mac"), cur.take(POINT, "g_a"), cur.take(256, "ps_sec_prop"), cur.rest())
        if not message.quote:
            raise Malformed("msg3.quote", "is empty")
        return message

    def encode(self) -> bytes:
        return self.mac + self.signed


@dataclass(frozen=True, slots=True)
class SigmaResult:
    """What msg4 tells an enclave that was accepted: until when, at what time, as which workload."""

    expires: UnixTime
    time: UnixTime
    workload: str

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`."""
        cur = Cursor(data, "msg4.result")
        expires, time = UnixTime(cur.u64("expires")), UnixTime(cur.u64("time"))
        raw = cur.take(cur.u32("workload_size"), "workload")
        cur.end()
        try:
            return cls(expires, time, raw.decode())
        except UnicodeDecodeError as error:
            raise Malformed("msg4.result.workload", "not UTF-8") from error

    def encode(self) -> bytes:
        workload = self.workload.encode()
        numbers = self.expires.to_bytes(8, "little") + self.time.to_bytes(8, "little")
        return numbers + len(workload).to_bytes(4, "little") + workload


@dataclass(frozen=True, slots=True)
class Msg4:
    """Provider to enclave, ours: 44 bytes and the sealed `SigmaResult`. `head` is what the tag covers besides."""

    session: SessionId
    tag: bytes
    sealed: bytes

    @property
    def head(self) -> bytes:
        return head_of_msg4(self.session, len(self.sealed))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`."""
        cur = Cursor(data, "msg4")
        if cur.take(4, "magic") != _MSG4:
            raise Malformed("msg4.magic", "not a msg4 of this profile")
        cur.zeros(4, "reserved")
        session = SessionId(cur.take(16, "session"))
        size = cur.u32("size")
        message = cls(session, cur.take(MAC, "tag"), cur.take(size, "sealed"))
        cur.end()
        return message

    def encode(self) -> bytes:
        return self.head + self.tag + self.sealed


def head_of_msg4(session: SessionId, size: int) -> bytes:
    return _MSG4 + bytes(4) + session + size.to_bytes(4, "little")
