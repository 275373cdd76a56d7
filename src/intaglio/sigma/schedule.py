"""The keys of a Sigma session. Everything up to report data is Intel's; what follows msg3 is ours.

Intel's keys come from the shared x-coordinate alone. Ours are derived from them once more under the transcript, so that
a key fits one msg1, msg2 and msg3 and one direction, and SK and MK themselves protect nothing.
"""

import hashlib

from intaglio.reasons import Reason
from intaglio.session.intel_keys import derive_key as derive
from intaglio.session.intel_keys import secret_of
from intaglio.types import Direction, ReportData, SessionId
from intaglio.verify.mac import aes_cmac as cmac
from intaglio.verify.mac import check_cmac

__all__ = [
    "check_mac",
    "cmac",
    "derive",
    "frame_key",
    "msg4_key",
    "report_data",
    "secret_of",
    "session_of",
    "transcript",
]

_TRANSCRIPT = b"intaglio/1 sigma transcript\0"
_FRAMES = {Direction.UP: b"intaglio up", Direction.DOWN: b"intaglio down"}


def check_mac(key: bytes, message: bytes, mac: bytes, what: str) -> None:
    """In constant time. Raises `Rejected(SIGMA_MAC)`, naming `what`."""
    check_cmac(key, message, mac, Reason.SIGMA_MAC, f"{what} under this handshake's key")


def report_data(kdk: bytes, g_a: bytes, g_b: bytes) -> ReportData:
    """SHA-256(g_a ‖ g_b ‖ VK) ‖ 0^32: evidence of whoever knows the secret, not only the public keys."""
    return ReportData(hashlib.sha256(g_a + g_b + derive(kdk, b"VK")).digest() + bytes(32))


def transcript(msg1: bytes, msg2: bytes, msg3: bytes) -> bytes:
    """SHA-256(label ‖ msg1 ‖ msg2 ‖ msg3), 32 bytes. Unambiguous without lengths: msg1 has a fixed one, msg2 says its
    own."""
    return hashlib.sha256(_TRANSCRIPT + msg1 + msg2 + msg3).digest()


def session_of(th: bytes) -> SessionId:
    """The first 16 bytes of the transcript hash."""
    return SessionId(th[:16])


def msg4_key(kdk: bytes, th: bytes) -> bytes:
    """Seals msg4 and nothing else."""
    return derive(derive(kdk, b"MK"), b"intaglio msg4", th)


def frame_key(kdk: bytes, direction: Direction, th: bytes) -> bytes:
    """AES-128-GCM key of one session's frames in one direction."""
    return derive(derive(kdk, b"SK"), _FRAMES[direction], th)
