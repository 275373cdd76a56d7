"""Whether evidence is complete and about the report data that was asked for.

Interfaces that make evidence are shared: another thread, process or library can ask for something else at the same
time, and a file can be cut short. So what came back is read to its end before it is used. This says nothing about
signatures; the data centre judges those.
"""

import hashlib
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from intaglio.attest.errors import WrongEvidence
from intaglio.errors import Malformed
from intaglio.types import ReportData, Tee
from intaglio.wire import cbor
from intaglio.wire.dcap import Quote
from intaglio.wire.sgx import ReportBody
from intaglio.wire.tdx import TdReport

__all__ = ["OWN", "bound", "sgx_body", "td_report"]

OWN: Final = ReportData(hashlib.sha512(cbor.labelled("own report")).digest())
"""Report data of the evidence from which an enclave learns its own identity: a label of its own, so that no session can
ever have it."""


class _Identity(Protocol):
    @property
    def report_data(self) -> bytes: ...


I = TypeVar("I", bound=_Identity)  # noqa: E741


def bound(read: Callable[[bytes], I], evidence: bytes, report_data: ReportData, source: str) -> I:
    """The identity in `evidence`. Raises `WrongEvidence` unless it is complete and about these 64 bytes."""
    try:
        identity = read(evidence)
    except Malformed as error:
        raise WrongEvidence(
            f"{source}: {len(evidence)} bytes came back that are no complete evidence of a known kind ({error}); "
            "try again, and if it stays so, update the platform's quoting software"
        ) from error
    if identity.report_data != report_data:
        raise WrongEvidence(
            f"{source}: evidence for other report data came back (expected {report_data.hex()}, "
            f"found {identity.report_data.hex()}); something else uses this interface at the same time: end it, "
            "or make it take turns"
        )
    return identity


def sgx_body(evidence: bytes) -> ReportBody:
    """The body of an SGX quote. Raises `Malformed`."""
    body = Quote.parse(evidence).body
    if not isinstance(body, ReportBody):
        raise Malformed("quote", f"need one of {Tee.SGX.name}, found one of {Tee.TDX.name}")
    return body


def td_report(evidence: bytes) -> TdReport:
    """The body of a TDX quote. Raises `Malformed`."""
    body = Quote.parse(evidence).body
    if not isinstance(body, TdReport):
        raise Malformed("quote", f"need one of {Tee.TDX.name}, found one of {Tee.SGX.name}")
    return body
