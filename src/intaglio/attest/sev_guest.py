"""The older interface to AMD's firmware from inside an SEV-SNP guest: /dev/sev-guest, Linux from 5.19 on (kernel
documentation, virt/coco/sev-guest; structures of include/uapi/linux/sev-guest.h and of AMD publication 56860,
MSG_REPORT_RSP and MSG_KEY_RSP). It is still the only one that gives out keys.

Once a request fails on the way to the firmware, the driver gives up its key to it for good, so nothing is sent twice
here; the driver itself repeats what the host throttles.
"""

import ctypes
import errno
import os
from enum import IntFlag
from typing import Final

from intaglio.attest.errors import CannotAttest, Problem, Remedies, WrongEvidence, from_os
from intaglio.attest.system import KERNEL, System, opened
from intaglio.types import ReportData

__all__ = [
    "DEVICE", "GET_DERIVED_KEY", "GET_EXT_REPORT", "GET_REPORT", "DerivedKeyRequest", "ExtendedReportRequest",
    "GuestField", "GuestRequest", "ReportRequest", "SevGuest",
]  # fmt: skip

DEVICE: Final = "/dev/sev-guest"
GET_REPORT = 0xC0205300
GET_DERIVED_KEY = 0xC0205301
GET_EXT_REPORT = 0xC0205302
RESPONSE_SIZE = 4000
KEY_RESPONSE_SIZE = 64
CERTIFICATES_SIZE = 16384
"""SEV_FW_BLOB_MAX_SIZE: what the driver passes on at most, in whole pages."""
_MESSAGE_VERSION = 1
_HEADER_SIZE = 32
_KEY_SIZE = 32
_TOO_SHORT = 1
"""SNP_GUEST_VMM_ERR_INVALID_LEN: the host has more certificates than that."""
_STATUS = {0x16: "invalid parameters", 0x27: "no key of this kind is installed"}

_LOAD = "modprobe sev-guest; in a container: --device /dev/sev-guest"
_REMEDIES: Remedies = {
    errno.ENOENT: (Problem.MISSING, "no such device", _LOAD),
    errno.ENODEV: (Problem.MISSING, "no such device", _LOAD),
    errno.EACCES: (Problem.FORBIDDEN, "permission denied", "add this user to the device's group by a udev rule"),
    errno.ENOTTY: (
        Problem.REFUSED, "the driver has given up its key to the firmware after an earlier failure",
        "restart the guest; the kernel's log (dmesg) says what failed first",
    ),
    errno.EIO: (Problem.REFUSED, "the firmware or the host refused", "see the kernel's log (dmesg)"),
    errno.EINVAL: (Problem.REFUSED, "the driver refused the request", "ask for a VMPL that this guest may name"),
}  # fmt: skip


class GuestField(IntFlag):
    """GUEST_FIELD_SELECT: what is mixed into a derived key beside the root key."""

    POLICY = 1 << 0
    IMAGE_ID = 1 << 1
    FAMILY_ID = 1 << 2
    MEASUREMENT = 1 << 3
    GUEST_SVN = 1 << 4
    TCB_VERSION = 1 << 5


class GuestRequest(ctypes.Structure):
    """snp_guest_request_ioctl, 32 bytes. `firmware_error` and `host_error` are the driver's to fill."""

    _fields_ = (
        ("message_version", ctypes.c_uint8),
        ("request", ctypes.c_uint64),
        ("response", ctypes.c_uint64),
        ("firmware_error", ctypes.c_uint32),
        ("host_error", ctypes.c_uint32),
    )


class ReportRequest(ctypes.Structure):
    """snp_report_req, 96 bytes."""

    _fields_ = (
        ("user_data", ctypes.c_uint8 * 64),
        ("vmpl", ctypes.c_uint32),
        ("reserved", ctypes.c_uint8 * 28),
    )


class ExtendedReportRequest(ctypes.Structure):
    """snp_ext_report_req, 112 bytes."""

    _fields_ = (
        ("data", ReportRequest),
        ("certificates", ctypes.c_uint64),
        ("certificates_size", ctypes.c_uint32),
    )


class DerivedKeyRequest(ctypes.Structure):
    """snp_derived_key_req, 32 bytes."""

    _fields_ = (
        ("root_key_select", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("guest_field_select", ctypes.c_uint64),
        ("vmpl", ctypes.c_uint32),
        ("guest_svn", ctypes.c_uint32),
        ("tcb_version", ctypes.c_uint64),
    )


class SevGuest:
    """The device. `vmpl`: what reports shall state; it can't be below the guest's own."""

    def __init__(self, system: System = KERNEL, vmpl: int = 0) -> None:
        self._system = system
        self._vmpl = vmpl

    def report(self, report_data: ReportData) -> bytes:
        """An attestation report over these 64 bytes. Raises `CannotAttest`, `WrongEvidence`."""
        request = ReportRequest((ctypes.c_uint8 * 64)(*report_data), self._vmpl)
        return _message(self._send(GET_REPORT, request, RESPONSE_SIZE))

    def extended_report(self, report_data: ReportData) -> tuple[bytes, bytes]:
        """The same, and the certificate table that the host has put beside it, or b"". Nobody vouches for the table."""
        plain = ReportRequest((ctypes.c_uint8 * 64)(*report_data), self._vmpl)
        table = ctypes.create_string_buffer(CERTIFICATES_SIZE)
        request = ExtendedReportRequest(plain, ctypes.addressof(table), CERTIFICATES_SIZE)
        try:
            report = _message(self._send(GET_EXT_REPORT, request, RESPONSE_SIZE))
        except CannotAttest as error:
            if error.problem is not Problem.TOO_LARGE:
                raise
            return self.report(report_data), b""
        return report, table.raw if any(table.raw) else b""

    def derived_key(self, fields: GuestField, vmpl: int, guest_svn: int) -> bytes:
        """32 bytes from the chip's endorsement key (VCEK), with `fields` of the guest mixed in.

        `guest_svn`: at most the guest's own. Raises `CannotAttest`.
        """
        request = DerivedKeyRequest(0, 0, int(fields), vmpl, guest_svn, 0)
        response = self._send(GET_DERIVED_KEY, request, KEY_RESPONSE_SIZE)
        _check_status(response)
        return response[_HEADER_SIZE : _HEADER_SIZE + _KEY_SIZE]

    def _send(self, number: int, request: ctypes.Structure, size: int) -> bytes:
        response = ctypes.create_string_buffer(size)
        envelope = GuestRequest(_MESSAGE_VERSION, ctypes.addressof(request), ctypes.addressof(response))
        try:
            with opened(self._system, DEVICE, os.O_RDWR) as fd:
                self._system.ioctl(fd, number, envelope)
        except OSError as error:
            if error.errno == errno.EIO and envelope.host_error == _TOO_SHORT:
                raise CannotAttest(
                    DEVICE, Problem.TOO_LARGE, "the host has more certificates than the driver passes on",
                    "give the guest fewer of them",
                ) from error  # fmt: skip
            raise from_os(error, DEVICE, _REMEDIES) from error
        return response.raw


def _message(response: bytes) -> bytes:
    """The report in a MSG_REPORT_RSP: status, size, 24 reserved bytes, report."""
    _check_status(response)
    size = int.from_bytes(response[4:8], "little")
    if not 0 < size <= len(response) - _HEADER_SIZE:
        raise WrongEvidence(f"{DEVICE}: a report of {size} bytes, which no response holds; update the host's firmware")
    return response[_HEADER_SIZE : _HEADER_SIZE + size]


def _check_status(response: bytes) -> None:
    status = int.from_bytes(response[:4], "little")
    if status:
        what = _STATUS.get(status, "an error")
        raise CannotAttest(
            DEVICE, Problem.REFUSED, f"the firmware answers {what} ({status:#x})",
            "ask for a VMPL that this guest may name, and for no security version above its own",
        )  # fmt: skip
