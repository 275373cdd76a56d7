"""EPID quotes, which name a group of platforms instead of one, and which only Intel's attestation service could judge.

The service (IAS) ended on 2 April 2025. It answered with a report that repeats the quote without its signature (IAS API
§4.3.2, "Quote structure"), so the first 432 bytes live on in archives: see `intaglio.wire.ias`.
"""

from dataclasses import dataclass
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire.cursor import Cursor
from intaglio.wire.sgx import ReportBody

__all__ = ["EPID_BODY_SIZE", "EpidBody", "EpidQuote"]

EPID_BODY_SIZE = 432

MAX_SIGNATURE = 16 * 1024
"""An encrypted EPID signature has 680 bytes, and 160 more for each entry of its group's revocation list."""


@dataclass(frozen=True, slots=True)
class EpidBody:
    """A quote without its signature. `linkable`: quotes of one platform under one basename can be told to be so."""

    version: int
    linkable: bool
    group_id: int
    qe_svn: int
    pce_svn: int
    extended_group_id: int
    basename: bytes
    report: ReportBody

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` unless `data` is exactly 432 bytes of a quote of version 1 or 2."""
        cur = Cursor(data, "epid")
        body = cls.read(cur)
        cur.end()
        return body

    @classmethod
    def read(cls, cur: Cursor) -> Self:
        """Reads the next 432 bytes of `cur`. Raises `Malformed`."""
        version = cur.u16("version")
        if version not in (1, 2):
            raise Malformed("epid.version", f"need 1 or 2, found {version}")
        kind = cur.u16("sign_type")
        if kind not in (0, 1):
            raise Malformed("epid.sign_type", f"need 0 (unlinkable) or 1 (linkable), found {kind}")
        return cls(
            version=version,
            linkable=kind == 1,
            group_id=cur.u32("group_id"),
            qe_svn=cur.u16("qe_svn"),
            pce_svn=cur.u16("pce_svn"),
            extended_group_id=cur.u32("extended_group_id"),
            basename=cur.take(32, "basename"),
            report=ReportBody.read(cur),
        )

    def encode(self) -> bytes:
        """The 432 bytes that `parse` reads."""
        numbers = (
            (self.version, 2), (int(self.linkable), 2), (self.group_id, 4), (self.qe_svn, 2), (self.pce_svn, 2),
            (self.extended_group_id, 4),
        )  # fmt: skip
        head = b"".join(value.to_bytes(size, "little") for value, size in numbers)
        return head + self.basename + self.report.encode()


@dataclass(frozen=True, slots=True)
class EpidQuote:
    """A quote with the EPID signature, which is encrypted to the service."""

    body: EpidBody
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` for a signature that is not as long as it says, or that something follows."""
        cur = Cursor(data, "epid")
        body = EpidBody.read(cur)
        size = cur.u32("signature.size")
        if size > MAX_SIGNATURE:
            raise Malformed("epid.signature.size", f"at most {MAX_SIGNATURE}, found {size}")
        signature = cur.take(size, "signature")
        cur.end()
        return cls(body, signature)
