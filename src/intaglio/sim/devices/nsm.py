"""/dev/nsm as Linux has it (drivers/misc/nsm.c, include/uapi/linux/nsm.h), with a Nitro Security Module behind it.

What matters here: request and response lie at addresses in a structure; a response that does not fit is cut, and its
size says what came; the module itself answers errors by name.
"""

import ctypes
import errno
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any

import cbor2

from intaglio.sim.devices.kernel import CharacterDevice, fail

__all__ = ["NsmDevice"]

_RAW = 0xC0200A00
_EXCHANGE = Struct("<QQQQ")
_RESPONSE_LENGTH_AT = 24
_MAX_REQUEST, _MAX_RESPONSE = 0x1000, 0x3000
_MAX_USER_DATA = 512


@dataclass
class NsmDevice(CharacterDevice):
    """`make` gets the user data and gives a document; `answer` replaces the whole response."""

    make: Callable[[bytes], bytes]
    answer: bytes | None = None
    path = "/dev/nsm"

    def ioctl(self, request: int, address: int) -> None:
        if request != _RAW:
            raise fail(errno.EINVAL, self.path)
        asked, asked_size, answer, room = _EXCHANGE.unpack(ctypes.string_at(address, _EXCHANGE.size))
        if asked_size > _MAX_REQUEST:
            raise fail(errno.EMSGSIZE, self.path)
        response = self._respond(ctypes.string_at(asked, asked_size)) if self.answer is None else self.answer
        size = min(room, len(response), _MAX_RESPONSE)
        ctypes.memmove(answer, response, size)
        ctypes.memmove(address + _RESPONSE_LENGTH_AT, size.to_bytes(8, "little"), 8)

    def _respond(self, request: bytes) -> bytes:
        match _decoded(request):
            case {"Attestation": {"user_data": bytes(data), "nonce": None, "public_key": None}}:
                if len(data) > _MAX_USER_DATA:
                    return cbor2.dumps({"Error": "InputTooLarge"})
                return cbor2.dumps({"Attestation": {"document": self.make(data)}})
        return cbor2.dumps({"Error": "InvalidOperation"})


def _decoded(request: bytes) -> Any:
    try:
        return cbor2.loads(request)
    except cbor2.CBORError:
        return None
