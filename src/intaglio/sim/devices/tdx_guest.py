"""/dev/tdx_guest as Linux has it (drivers/virt/coco/tdx-guest/tdx-guest.c), and Intel's quote generation service, which
makes a quote of a TDREPORT for whoever connects to its vsock (qgs_msg_lib.h)."""

import ctypes
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from intaglio.sim.devices.kernel import CharacterDevice, fail

__all__ = ["QuoteService", "TdxGuestDevice"]

_GET_REPORT0 = 0xC4405401
_REPORT_DATA_SIZE, _TD_REPORT_SIZE = 64, 1024
_REPORT_DATA = slice(128, 192)
_MR_CONFIG_ID = slice(576, 624)
_REPORT_TYPE_TDX = 0x81
_HEADER = Struct("<HHIII")
_SIZES = Struct("<II")
_INVALID_PARAMETER = 0x12003


@dataclass
class TdxGuestDevice(CharacterDevice):
    """`replace` puts other report data into the TDREPORT: a module gone wrong."""

    replace: bytes | None = None
    mr_config_id: bytes = bytes(48)
    path = "/dev/tdx_guest"

    def ioctl(self, request: int, address: int) -> None:
        if request != _GET_REPORT0:
            raise fail(errno.ENOTTY, self.path)
        report = bytearray(_TD_REPORT_SIZE)
        report[0] = _REPORT_TYPE_TDX
        report[_REPORT_DATA] = self.replace or ctypes.string_at(address, _REPORT_DATA_SIZE)
        report[_MR_CONFIG_ID] = self.mr_config_id
        ctypes.memmove(address + _REPORT_DATA_SIZE, bytes(report), _TD_REPORT_SIZE)


@dataclass
class QuoteService:
    """Answers one request a connection. `make` gets the report data; `edit` changes the finished answer, as a hostile
    host may."""

    make: Callable[[bytes], bytes]
    error: int = 0
    edit: Callable[[bytes], bytes] | None = None

    def __call__(self, stream: socket.socket) -> None:
        with stream.makefile("rb") as file:
            request = file.read(int.from_bytes(file.read(4), "big"))
        answer = self._answer(request)
        framed = len(answer).to_bytes(4, "big") + answer
        stream.sendall(self.edit(framed) if self.edit else framed)

    def _answer(self, request: bytes) -> bytes:
        major, _, kind, size, _ = _HEADER.unpack_from(request)
        report_size, ids_size = _SIZES.unpack_from(request, _HEADER.size)
        report = request[_HEADER.size + _SIZES.size :]
        good = (major, kind, size) == (1, 0, len(request)) and (report_size, ids_size) == (_TD_REPORT_SIZE, 0)
        error = self.error or (0 if good and len(report) == _TD_REPORT_SIZE else _INVALID_PARAMETER)
        quote = b"" if error else self.make(report[_REPORT_DATA])
        return (
            _HEADER.pack(1, 1, 1, _HEADER.size + _SIZES.size + len(quote), error) + _SIZES.pack(0, len(quote)) + quote
        )
