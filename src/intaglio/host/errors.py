"""What can go wrong on the host, beyond the errors that all of Intaglio shares."""

from intaglio.errors import IntaglioError

__all__ = [
    "EnclaveDied",
    "EnclaveRefused",
    "EnclaveTimeout",
    "HelloRejected",
    "SpoolDamaged",
    "SpoolFull",
    "SpoolInUse",
    "StatementRefused",
]


class EnclaveDied(IntaglioError):
    """The enclave's process is gone, or sent what no enclave sends; it is ended then. `status`: its exit status where
    known, negative for a signal."""

    def __init__(self, what: str, status: int | None) -> None:
        super().__init__(what if status is None else f"{what} (exit status {status})")
        self.status = status


class EnclaveTimeout(EnclaveDied):
    """The enclave did not answer in time. Its process was ended: a late answer would be taken for the next one's."""


class EnclaveRefused(IntaglioError):
    """The enclave said no. `code`: no-session, bad-request, unknown-call, rejected:<REASON>, exhausted, unavailable."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class HelloRejected(IntaglioError):
    """The data centre does not accept this enclave. `reasons`: names of `intaglio.reasons.Reason`; `id`: of the entry
    in its quarantine; `report`: the verdict, sealed to the enclave, for its vendor. The host can't open it."""

    def __init__(self, reasons: tuple[str, ...], id: str | None = None, report: bytes | None = None) -> None:  # noqa: A002
        entry = "" if id is None else f" (quarantine entry {id})"
        super().__init__(f"hello rejected: {', '.join(reasons) or 'no reason given'}{entry}")
        self.reasons = reasons
        self.id = id
        self.report = report


class StatementRefused(IntaglioError):
    """The data centre states nothing about this evidence: no root it knows vouches for it. `reasons`: as above."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__(f"statement refused: {', '.join(reasons) or 'no reason given'}")
        self.reasons = reasons


class SpoolFull(IntaglioError):
    """The spool has no room for this message, which was therefore not taken. Nothing in it was dropped."""


class SpoolInUse(IntaglioError):
    """Another process, or another relay in this one, owns the spool folder."""


class SpoolDamaged(IntaglioError):
    """The spool folder holds what no spool writes: it is left as it is, for a person to look at."""
