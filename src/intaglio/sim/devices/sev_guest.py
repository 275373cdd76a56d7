"""/dev/sev-guest as Linux 6.13 has it (drivers/virt/coco/sev-guest/sev-guest.c, include/uapi/linux/sev-guest.h), with
AMD's firmware behind it.

What matters here: requests and responses lie at addresses in a structure; what the firmware answers has a status of its
own; a host that has more certificates than fit is told apart by a second error number; an error on the way to the
firmware disables the key to it for good.
"""

import ctypes
import errno
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from intaglio.sim.devices.kernel import CharacterDevice, fail
from intaglio.wire.snp import SnpReport

__all__ = ["SevGuestDevice"]

_GET_REPORT, _GET_DERIVED_KEY, _GET_EXT_REPORT = 0xC0205300, 0xC0205301, 0xC0205302
_ENVELOPE = Struct("<B7xQQII")
_REPORT_REQUEST = Struct("<64sI28s")
_CERTIFICATES = Struct("<QI")
_KEY_REQUEST = Struct("<IIQIIQ")
_ERRORS_AT = 24
_RESPONSE_SIZE, _HEADER_SIZE = 4000, 32
_MAX_CERTIFICATES, _PAGE = 0x4000, 4096
_INVALID_PARAMETERS = 0x16
_NO_ERROR_YET = 0xFF
_MAX_VMPL = 3
_POLICY, _IMAGE_ID, _FAMILY_ID, _MEASUREMENT, _GUEST_SVN, _TCB_VERSION = (1 << bit for bit in range(6))


@dataclass
class SevGuestDevice(CharacterDevice):
    """`make` gets 64 bytes and a VMPL and gives the report; `fuses` are the chip's secret, `own` this guest's report.

    `status` is what the firmware answers, `certificates` what the host puts beside a report. `broken`: the next request
    fails on its way, and none after it succeeds.
    """

    make: Callable[[bytes, int], bytes]
    own: SnpReport
    fuses: bytes = b"chip"
    vmpl: int = 0
    status: int = 0
    certificates: bytes = b""
    broken: bool = False
    disabled: bool = False
    path = "/dev/sev-guest"

    def ioctl(self, request: int, address: int) -> None:
        version, asked, answer, _, _ = _ENVELOPE.unpack(ctypes.string_at(address, _ENVELOPE.size))
        self._tell(address, _NO_ERROR_YET, 0)
        if not version or not asked or not answer:
            raise fail(errno.EINVAL, self.path)
        if request not in (_GET_REPORT, _GET_DERIVED_KEY, _GET_EXT_REPORT) or self.disabled:
            raise fail(errno.ENOTTY, self.path)
        if self.broken:
            self.disabled = True
            raise fail(errno.EIO, self.path)
        if request == _GET_EXT_REPORT:
            self._put_certificates(address, asked + _REPORT_REQUEST.size)
        response = self._key(asked) if request == _GET_DERIVED_KEY else self._report(asked)
        ctypes.memmove(answer, response, len(response))
        self._tell(address, 0, 0)

    def _tell(self, address: int, firmware_error: int, host_error: int) -> None:
        errors = firmware_error.to_bytes(4, "little") + host_error.to_bytes(4, "little")
        ctypes.memmove(address + _ERRORS_AT, errors, len(errors))

    def _put_certificates(self, address: int, fields: int) -> None:
        target, size = _CERTIFICATES.unpack(ctypes.string_at(fields, _CERTIFICATES.size))
        if not target or not size:
            return
        if size > _MAX_CERTIFICATES or size % _PAGE:
            raise fail(errno.EINVAL, self.path)
        if len(self.certificates) > size:
            needed = -(-len(self.certificates) // _PAGE) * _PAGE
            ctypes.memmove(fields, _CERTIFICATES.pack(target, needed), _CERTIFICATES.size)
            self._tell(address, 0, 1)
            raise fail(errno.EIO, self.path)
        ctypes.memmove(target, self.certificates.ljust(size, b"\0"), size)

    def _report(self, asked: int) -> bytes:
        """MSG_REPORT_RSP."""
        data, vmpl, reserved = _REPORT_REQUEST.unpack(ctypes.string_at(asked, _REPORT_REQUEST.size))
        status = self.status
        if not self.vmpl <= vmpl <= _MAX_VMPL or any(reserved):
            status = _INVALID_PARAMETERS
        report = b"" if status else self.make(data, vmpl)
        head = status.to_bytes(4, "little") + len(report).to_bytes(4, "little")
        return (head.ljust(_HEADER_SIZE, b"\0") + report).ljust(_RESPONSE_SIZE, b"\0")[:_RESPONSE_SIZE]

    def _key(self, asked: int) -> bytes:
        """MSG_KEY_RSP: a key that depends on the chip, the VMPL and the selected fields."""
        root, reserved, fields, vmpl, svn, tcb = _KEY_REQUEST.unpack(ctypes.string_at(asked, _KEY_REQUEST.size))
        own, status = self.own, self.status
        if not self.vmpl <= vmpl <= _MAX_VMPL or svn > own.guest_svn or reserved:
            status = _INVALID_PARAMETERS
        values = {
            _POLICY: own.policy.bits.to_bytes(8, "little"),
            _IMAGE_ID: own.image_id,
            _FAMILY_ID: own.family_id,
            _MEASUREMENT: own.measurement,
            _GUEST_SVN: svn.to_bytes(4, "little"),
            _TCB_VERSION: tcb.to_bytes(8, "little"),
        }
        mixed = b"".join(value for field, value in values.items() if fields & field)
        context = bytes((root, fields, vmpl)) + mixed
        key = bytes(32) if status else hmac.digest(self.fuses, context, hashlib.sha256)
        return status.to_bytes(4, "little").ljust(_HEADER_SIZE, b"\0") + key
