"""AWS Nitro Enclaves: the Nitro Security Module, /dev/nsm (AWS, aws-nitro-enclaves-nsm-api; Linux from 6.8 on,
include/uapi/linux/nsm.h).

One ioctl carries a CBOR request and brings a CBOR response. Report data travel as `user_data`.
"""

import ctypes
import errno
import os
from typing import Final

import cbor2

from intaglio.attest.base import SealPolicy
from intaglio.attest.binding import OWN, bound
from intaglio.attest.errors import CannotAttest, Problem, Remedies, WrongEvidence, from_os
from intaglio.attest.image import ImageFolder
from intaglio.attest.system import KERNEL, System, opened
from intaglio.errors import Malformed
from intaglio.types import ReportData, Tee
from intaglio.wire.cbor_items import ItemReader
from intaglio.wire.nitro import NitroDocument

__all__ = ["DEVICE", "RAW", "REQUEST_SIZE", "RESPONSE_SIZE", "Exchange", "Nsm", "NsmAttester"]

DEVICE: Final = "/dev/nsm"
RAW = 0xC0200A00
"""NSM_IOCTL_RAW."""
REQUEST_SIZE = 0x1000
RESPONSE_SIZE = 0x3000
_MAX_NAME = 64

_REMEDIES: Remedies = {
    errno.ENOENT: (
        Problem.MISSING,
        "no such device",
        "run this inside a Nitro enclave whose kernel has the nsm driver",
    ),
    errno.EACCES: (
        Problem.FORBIDDEN,
        "permission denied",
        "run as root inside the enclave, or chmod the device at boot",
    ),
    errno.EMSGSIZE: (Problem.TOO_LARGE, "the request is too long", "report this: requests of ours are short"),
    errno.ETIMEDOUT: (
        Problem.TIMEOUT,
        "the hypervisor did not answer",
        "try again; restart the enclave if it stays so",
    ),
}


class _Buffer(ctypes.Structure):
    """nsm_iovec, 16 bytes."""

    _fields_ = (("address", ctypes.c_uint64), ("size", ctypes.c_uint64))


class Exchange(ctypes.Structure):
    """nsm_raw, 32 bytes: where the request is, and where the response goes; its size is changed to what came."""

    _fields_ = (("request", _Buffer), ("response", _Buffer))


class Nsm:
    """The device."""

    def __init__(self, system: System = KERNEL) -> None:
        self._system = system

    def document(self, report_data: ReportData) -> bytes:
        """An attestation document with these 64 bytes as `user_data`. Raises `CannotAttest`, `WrongEvidence`."""
        wanted = {"user_data": report_data, "nonce": None, "public_key": None}
        response = self._send(cbor2.dumps({"Attestation": wanted}))
        try:
            return _document_in(response)
        except Malformed as error:
            raise WrongEvidence(
                f"{DEVICE}: not a response of the Nitro Security Module ({error}); try again"
            ) from error

    def _send(self, request: bytes) -> bytes:
        sent = ctypes.create_string_buffer(request, len(request))
        got = ctypes.create_string_buffer(RESPONSE_SIZE)
        exchange = Exchange(
            _Buffer(ctypes.addressof(sent), len(request)), _Buffer(ctypes.addressof(got), RESPONSE_SIZE)
        )
        try:
            with opened(self._system, DEVICE, os.O_RDWR) as fd:
                self._system.ioctl(fd, RAW, exchange)
        except OSError as error:
            raise from_os(error, DEVICE, _REMEDIES) from error
        return got.raw[: min(exchange.response.size, RESPONSE_SIZE)]


class NsmAttester:
    """Implements `intaglio.attest.base.Attester`."""

    def __init__(self, folder: str, system: System = KERNEL) -> None:
        """`folder`: the script's, part of the enclave's image. Raises `CannotAttest`, `WrongEvidence`."""
        self._nsm = Nsm(system)
        self._image = ImageFolder(system, folder)
        self.evidence(OWN)

    @property
    def tee(self) -> Tee:
        return Tee.NITRO

    def evidence(self, report_data: ReportData) -> bytes:
        document = self._nsm.document(report_data)
        bound(NitroDocument.parse, document, report_data, DEVICE)
        return document

    @property
    def isv_svn(self) -> int:
        return 0

    @property
    def config_id(self) -> bytes:
        """Zeros: the host chooses nothing that a document states."""
        return bytes(64)

    def seal_key(self, policy: SealPolicy, key_id: bytes, isv_svn: int) -> bytes:  # noqa: ARG002
        """Raises `CannotAttest`, always."""
        raise CannotAttest(
            DEVICE, Problem.NO_KEY, "a Nitro enclave has no sealing key",
            "keep state at the data centre, or use AWS KMS with a condition on the enclave's registers",
        )  # fmt: skip

    def trusted_file(self, name: str) -> bytes:
        """From the enclave's file system, which PCR0 measures as a whole."""
        return self._image.read(name)


def _document_in(response: bytes) -> bytes:
    """{"Attestation": {"document": bytes}}, or {"Error": name}. Raises `Malformed`, `CannotAttest`."""
    items = ItemReader(response, "response")
    document = b""
    for _ in items.map("response", 1, 1):
        kind = items.tstr("kind", 1, _MAX_NAME)
        if kind == "Error":
            raise CannotAttest(
                DEVICE, Problem.REFUSED, f"the module answers {items.tstr('error', 1, _MAX_NAME)}",
                "try again; restart the enclave if it stays so",
            )  # fmt: skip
        if kind != "Attestation":
            raise Malformed("response.kind", f"need Attestation, found {kind!r}")
        for _ in items.map("attestation", 1, 1):
            items.exactly(cbor2.dumps("document"), "document", "the document")
            document = items.bstr("document", 1, RESPONSE_SIZE)
    items.end()
    return document
