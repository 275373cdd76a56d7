"""What goes wrong between an enclave and the interface that makes its evidence, each with what to do about it.

The texts reach the host that runs the enclave, whose operator has to act; nothing in them is secret.
"""

import errno
from collections.abc import Mapping
from enum import Enum

from intaglio.errors import RemoteProtocolError, Unavailable

__all__ = ["CannotAttest", "Problem", "Remedies", "WrongEvidence", "from_os"]


class Problem(Enum):
    """Why there is no evidence, or no key."""

    MISSING = "the interface is not there"
    FORBIDDEN = "this process may not use it"
    UNCONFIGURED = "it is there, and not set up for this"
    REFUSED = "it, or what stands behind it, said no"
    BUSY = "it is in use, and stayed so"
    TIMEOUT = "what stands behind it did not answer"
    TOO_LARGE = "the answer is longer than evidence can be"
    NO_KEY = "this TEE has no such sealing key"


class CannotAttest(Unavailable):
    """An interface gave no evidence, or no sealing key. `remedy` says what its operator can do."""

    def __init__(self, source: str, problem: Problem, what: str, remedy: str) -> None:
        super().__init__(f"{source}: {what}; {remedy}")
        self.source = source
        self.problem = problem
        self.what = what
        self.remedy = remedy


class WrongEvidence(RemoteProtocolError):
    """What an interface gave is not complete, or is not about the report data that was asked for."""


Remedies = Mapping[int, tuple[Problem, str, str]]
"""By errno: the problem, what happened, and what to do."""

_USUAL: Remedies = {
    errno.ENOENT: (Problem.MISSING, "not there", "load its driver, or pass it into the container"),
    errno.ENODEV: (Problem.MISSING, "no such device", "load its driver, or pass it into the container"),
    errno.ENXIO: (Problem.MISSING, "no driver stands behind it", "load the TEE's guest driver"),
    errno.EACCES: (Problem.FORBIDDEN, "permission denied", "give this user read and write permission"),
    errno.EPERM: (Problem.FORBIDDEN, "not permitted", "give this process the right to use it"),
    errno.EROFS: (Problem.FORBIDDEN, "mounted read-only", "mount it writable in this container"),
    errno.EBUSY: (Problem.BUSY, "busy", "try again; if it stays so, end what else uses it"),
    errno.EINTR: (Problem.BUSY, "interrupted", "try again"),
    errno.EAGAIN: (Problem.BUSY, "busy", "try again"),
    errno.ETIMEDOUT: (Problem.TIMEOUT, "no answer in time", "look after the quoting service on the host"),
    errno.EFBIG: (Problem.TOO_LARGE, "the answer is too large", "this platform's evidence is of a kind unknown here"),
    errno.ENOTTY: (Problem.REFUSED, "the driver does not know this request", "run a current kernel"),
}


def from_os(error: OSError, source: str, remedies: Remedies | None = None) -> CannotAttest:
    """What the operating system said of `source`, with what to do. `remedies` go before the usual ones."""
    number = error.errno or 0
    known = (remedies or {}).get(number) or _USUAL.get(number)
    name = errno.errorcode.get(number, type(error).__name__)
    if known is None:
        said = (error.strerror or name).lower()
        return CannotAttest(source, Problem.REFUSED, f"{said} ({name})", "see the kernel's log (dmesg) for the cause")
    problem, what, remedy = known
    return CannotAttest(source, problem, f"{what} ({name})", remedy)
