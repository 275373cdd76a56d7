"""The older interface of a TDX guest: /dev/tdx_guest makes a TDREPORT, Intel's quoting service makes a quote of it.

A TDREPORT alone proves nothing outside its machine. Linux's /dev/tdx_guest (from 6.2 on) makes those and no more;
quotes come through configfs-tsm (from 6.7 on) or, as Intel's libtdx_attest does it, from the quote generation service
of the host over a vsock whose port /etc/tdx-attest.conf names (Intel, SGXDataCenterAttestationPrimitives: tdx_attest.c,
qgs_msg_lib.h). The ioctl for quotes (TDX_CMD_GET_QUOTE) existed in kernels of Intel's own only; it is not spoken here.
"""

import ctypes
import errno
import os
import re
import socket
from struct import Struct
from typing import Final

from intaglio.attest.errors import CannotAttest, Problem, Remedies, WrongEvidence, from_os
from intaglio.attest.system import KERNEL, System, opened, read_all
from intaglio.errors import Malformed
from intaglio.types import ReportData
from intaglio.wire.cursor import Cursor
from intaglio.wire.dcap import MAX_QUOTE_SIZE

__all__ = ["CONFIGURATION", "DEVICE", "GET_REPORT0", "HOST_CID", "TdReportRequest", "TdxGuest"]

DEVICE: Final = "/dev/tdx_guest"
CONFIGURATION: Final = "/etc/tdx-attest.conf"
GET_REPORT0 = 0xC4405401
HOST_CID = 2
"""VMADDR_CID_HOST."""
TIMEOUT = 30.0
"""Seconds for one step of the exchange with the host's service; it usually takes milliseconds."""
TD_REPORT_SIZE = 1024
_REPORT_DATA_AT = 128
_MR_CONFIG_ID = slice(576, 624)
"""In TDINFO_STRUCT, which begins at 512 (Intel, TDX module ABI: TDREPORT_STRUCT)."""
_MAX_CONFIGURATION = 1 << 16
_PORT = re.compile(rb"^\s*port\s*=\s*([0-9]{1,10})\s*$", re.MULTILINE)
_HEADER = Struct("<HHIII")
_SIZES = Struct("<II")
_GET_QUOTE, _QUOTE = 0, 1

_LOAD = "modprobe tdx_guest; in a container: --device /dev/tdx_guest"
_DEVICE_REMEDIES: Remedies = {
    errno.ENOENT: (Problem.MISSING, "no such device", _LOAD),
    errno.ENODEV: (Problem.MISSING, "no such device", _LOAD),
    errno.EACCES: (Problem.FORBIDDEN, "permission denied", "add this user to the device's group by a udev rule"),
    errno.EIO: (Problem.REFUSED, "the TDX module made no report", "see the kernel's log (dmesg)"),
}
_HOST = "on the host: run Intel's quote generation service (qgsd) on that vsock port, and give the VM a vsock device"
_QUOTES = f"use configfs-tsm (Linux from 6.7 on), or write port=4050 into {CONFIGURATION} where the host runs qgsd"


class TdReportRequest(ctypes.Structure):
    """tdx_report_req, 1,088 bytes."""

    _fields_ = (("report_data", ctypes.c_uint8 * 64), ("td_report", ctypes.c_uint8 * TD_REPORT_SIZE))


class TdxGuest:
    """Device and quoting service together."""

    def __init__(self, system: System = KERNEL) -> None:
        self._system = system

    def quote(self, report_data: ReportData) -> bytes:
        """Raises `CannotAttest`, `WrongEvidence`."""
        return self._quote_of(self.td_report(report_data), self._port())

    def td_report(self, report_data: ReportData) -> bytes:
        """TDREPORT_STRUCT, 1,024 bytes that only this machine can check. Raises `CannotAttest`, `WrongEvidence`."""
        request = TdReportRequest((ctypes.c_uint8 * 64)(*report_data))
        try:
            with opened(self._system, DEVICE, os.O_RDWR) as fd:
                self._system.ioctl(fd, GET_REPORT0, request)
        except OSError as error:
            raise from_os(error, DEVICE, _DEVICE_REMEDIES) from error
        report = bytes(request.td_report)
        if report[_REPORT_DATA_AT : _REPORT_DATA_AT + len(report_data)] != report_data:
            raise WrongEvidence(f"{DEVICE}: a TDREPORT over other report data came back; see the kernel's log (dmesg)")
        return report

    def mr_config_id(self, report_data: ReportData) -> bytes:
        """This TD's own, 48 bytes, by word of the TDX module. Raises as `td_report`."""
        return self.td_report(report_data)[_MR_CONFIG_ID]

    def _port(self) -> int:
        """Raises `CannotAttest` where no port is configured."""
        try:
            found = _PORT.search(read_all(self._system, CONFIGURATION, _MAX_CONFIGURATION))
        except FileNotFoundError:
            found = None
        except OSError as error:
            raise from_os(error, CONFIGURATION) from error
        port = int(found[1]) if found else 0
        if not 0 < port < 1 << 32:
            what = "a TDREPORT is no quote, and no vsock port of a quoting service is configured"
            raise CannotAttest(CONFIGURATION, Problem.UNCONFIGURED, what, _QUOTES)
        return port

    def _quote_of(self, report: bytes, port: int) -> bytes:
        where = f"vsock {HOST_CID}:{port}"
        size = _HEADER.size + _SIZES.size + len(report)
        request = _HEADER.pack(1, 0, _GET_QUOTE, size, 0) + _SIZES.pack(len(report), 0) + report
        try:
            with self._system.vsock(HOST_CID, port, TIMEOUT) as stream:
                stream.sendall(len(request).to_bytes(4, "big") + request)
                answer = _take(stream, where, int.from_bytes(_take(stream, where, 4), "big"))
        except TimeoutError as error:
            raise CannotAttest(where, Problem.TIMEOUT, "no answer in time", _HOST) from error
        except OSError as error:
            said = (error.strerror or type(error).__name__).lower()
            raise CannotAttest(where, Problem.MISSING, f"no quoting service answers ({said})", _HOST) from error
        return _quote_in(answer, where)


def _take(stream: socket.socket, where: str, count: int) -> bytes:
    """The next `count` bytes. The service runs on the host, which nobody trusts."""
    if not 0 < count <= MAX_QUOTE_SIZE:
        raise WrongEvidence(f"{where}: an answer of {count} bytes; is it Intel's quoting service that listens there?")
    data = bytearray()
    while len(data) < count:
        part = stream.recv(count - len(data))
        if not part:
            raise WrongEvidence(f"{where}: need {count} bytes, the service closed after {len(data)}; see its log")
        data += part
    return bytes(data)


def _quote_in(answer: bytes, where: str) -> bytes:
    """Raises `CannotAttest` where the service says no, `WrongEvidence` where this is no answer of such a service."""
    try:
        quote, error_code = _read_answer(answer)
    except Malformed as error:
        raise WrongEvidence(
            f"{where}: no answer of Intel's quoting service ({error}); see what listens there"
        ) from error
    if error_code:
        raise CannotAttest(
            where, Problem.REFUSED, f"the quoting service made no quote (error {error_code:#x})",
            "see the log of qgsd on the host; intaglio doctor explains the code",
        )  # fmt: skip
    return quote


def _read_answer(answer: bytes) -> tuple[bytes, int]:
    """Quote and error code of a GET_QUOTE_RESP: header, size of the key's id, size of the quote, id, quote. Raises
    `Malformed`."""
    cursor = Cursor(answer, "answer")
    major, _, kind, size, error_code = _HEADER.unpack(cursor.take(_HEADER.size, "header"))
    if (major, kind, size) != (1, _QUOTE, len(answer)):
        raise Malformed("answer.header", f"version {major}, type {kind}, {size} bytes")
    id_size, quote_size = _SIZES.unpack(cursor.take(_SIZES.size, "sizes"))
    cursor.take(id_size, "selected_id")
    quote = cursor.take(quote_size, "quote")
    cursor.end()
    return quote, error_code
