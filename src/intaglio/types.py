"""Names for byte strings and numbers that look alike, so that mypy tells them apart."""

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import NewType

__all__ = ["Direction", "Draw", "Measurement", "ReportData", "Sequence", "SessionId", "Tee", "UnixTime"]

SessionId = NewType("SessionId", bytes)
"""16 bytes, drawn by the enclave."""

Measurement = NewType("Measurement", bytes)
"""MRENCLAVE or MRSIGNER (32 bytes), MRTD or an RTMR (48 bytes), an SNP measurement (48 bytes)."""

ReportData = NewType("ReportData", bytes)
"""The 64 bytes that an enclave chooses and its evidence signs."""

Sequence = NewType("Sequence", int)
"""A frame's number in its session and direction: 0 to 2**64 - 1, never reset."""

UnixTime = NewType("UnixTime", int)
"""Whole seconds since 1970-01-01T00:00:00Z."""

Draw = Callable[[int], bytes]
"""Random bytes on demand: `draw(n)` returns n of them. `os.urandom` in production, a fixed stream in test vectors."""


class Tee(Enum):
    """The kinds of trusted execution environment, by the name that policies and messages use."""

    SGX = "sgx"
    TDX = "tdx"
    SNP = "snp"
    NITRO = "nitro"


class Direction(IntEnum):
    """Which way a frame travels."""

    UP = 0
    """Enclave to data centre."""
    DOWN = 1
    """Data centre to enclave."""
