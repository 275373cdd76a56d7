"""One error code of a library, and the family that it belongs to."""

from enum import Enum
from typing import NamedTuple

__all__ = ["Code", "Family"]


class Family(Enum):
    """Which library's enumeration a code belongs to: the name of its type in the public header."""

    QUOTE = "quote3_error_t"
    """The quote library and the quote verification library, 0xe0xx."""
    QCNL = "sgx_qcnl_error_t"
    """The network library below the default quote provider, 0xb0xx."""
    PCE = "sgx_pce_error_t"
    """The provisioning certification enclave's wrapper, 0xf0xx."""
    QGS = "qgs_msg_error_t"
    """The quote generation service of TDX hosts, 0x1200x."""
    TDX_ATTEST = "tdx_attest_error_t"
    """The library inside a TD, 0x1 to 0xc."""


class Code(NamedTuple):
    """`remedy` says what to do; the other two what happened and why it usually does."""

    value: int
    name: str
    meaning: str
    cause: str
    remedy: str
