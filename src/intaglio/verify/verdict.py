"""The result of judging evidence: what was checked, what was found, and what follows.

A `Verdict` is a value that only `intaglio.verify` makes: its constructor wants a token that this module
keeps, and `dataclasses.replace` can't supply it. The handshake does not open without one. Checks are rendered
when somebody looks: an accepted platform that was seen before should not pay for sentences nobody reads.
"""

import hashlib
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.wire.cbor import bytes_head, labelled
from intaglio.wire.collateral import TcbStatus
from intaglio.wire.hashing import feed

__all__ = [
    "Check", "Checks", "Decision", "Identity", "Outcome", "Platform", "TcbEvaluation", "TcbStatus", "Verdict",
    "evidence_hash", "issue",
]  # fmt: skip


class Identity(Protocol):
    """What the evidence says is running: the report of one format, as its reader in `intaglio.wire` made it."""

    @property
    def report_data(self) -> bytes:
        """What the enclave chose and its evidence signs; 64 bytes, or up to 512 of a Nitro document's user data."""
        ...

    @property
    def debug(self) -> bool:
        """The host can look inside."""
        ...

    def to_json(self) -> dict[str, object]:
        """Every field by its name; byte strings as lower-case hexadecimal."""
        ...


class Outcome(Enum):
    """What became of one check."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be run because another check failed, or was not asked for; `found` says which."""
    UNDECIDABLE = "undecidable"
    """It needs something that was not supplied. Never passes."""


class Decision(Enum):
    """What a policy made of a verdict."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDECIDABLE = "undecidable"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verdict. `number` is that of docs/verification.md, and `group` what it is about; rules of a policy
    that have no number there have the number `policy`."""

    number: str
    name: str
    group: str
    outcome: Outcome
    reason: Reason | None
    expected: str
    found: str

    def to_json(self) -> dict[str, str | None]:
        return {
            "number": self.number,
            "name": self.name,
            "group": self.group,
            "outcome": self.outcome.value,
            "reason": self.reason.name if self.reason else None,
            "expected": self.expected,
            "found": self.found,
        }


class Checks:
    """The checks of one verdict, made by `render` at the first look. Two threads may both render; both get
    the same."""

    __slots__ = ("_render", "_rendered")

    def __init__(self, render: Callable[[], tuple[Check, ...]]) -> None:
        self._render = render
        self._rendered: tuple[Check, ...] | None = None

    def all(self) -> tuple[Check, ...]:
        if self._rendered is None:
            self._rendered = self._render()
        return self._rendered


@dataclass(frozen=True, slots=True)
class Platform:
    """Which machine made the evidence, by what its certificates say; identifiers are lower-case hexadecimal.

    Intel names a machine by PPID and platform instance id, AMD by chip id or, behind a VLEK, only by the cloud's id,
    AWS by the instance (`module_id`, text). None where the certificates are silent: a PCK certificate of the processor
    CA has no instance id and no flags.
    """

    ppid: str | None = None
    platform_instance_id: str | None = None
    fmspc: str | None = None
    pce_id: str | None = None
    dynamic: bool | None = None
    cached_keys: bool | None = None
    smt: bool | None = None
    product: str | None = None
    chip_id: str | None = None
    csp_id: str | None = None
    module_id: str | None = None
    revocation_checked: bool | None = None
    """Whether a revocation list was consulted, where that is a choice (AMD); None where there is none."""

    @property
    def ids(self) -> tuple[str, ...]:
        """By what a policy may list this machine. A cloud chooses its own id, so that one says what it is: no cloud can
        call itself what a chip is called."""
        cloud = f"csp:{self.csp_id}" if self.csp_id else None
        known = (self.ppid, self.platform_instance_id, self.chip_id, cloud, self.module_id)
        return tuple(each for each in known if each)

    def to_json(self) -> dict[str, str | bool | None]:
        return {name: getattr(self, name) for name in self.__slots__}


class TcbEvaluation(NamedTuple):
    """What a TD's platform, quoting enclave and module were found to be, for one of its two TEE_TCB_SVNs (check 28).

    `of` is `launch` or `current`. `module` is None where modules have no levels of their own (TDX 1.0).
    """

    of: str
    status: TcbStatus
    date: UnixTime | None
    advisory_ids: tuple[str, ...]
    platform: TcbStatus
    enclave: TcbStatus
    module: TcbStatus | None

    def to_json(self) -> dict[str, object]:
        return {
            "of": self.of,
            "status": self.status.value,
            "date": self.date,
            "advisory_ids": list(self.advisory_ids),
            "platform": self.platform.value,
            "enclave": self.enclave.value,
            "module": self.module.value if self.module else None,
        }


_SEAL = object()
_EVIDENCE = hashlib.sha256(labelled("evidence", b"")[:-1])
"""SHA-256 after everything that precedes the evidence's own head: an array of two items and the label."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one piece of evidence at the moment `at`.

    `genuine` is True (the signatures hold and the TCB status is known), False, or None: undecidable.
    `decision` is None until a policy was applied. `reasons` are those of failed and undecidable checks, root
    causes first, each once.
    `valid_until` is the earliest next update or not-after of what it was judged by, windows of the policy included.
    """

    tee: Tee
    genuine: bool | None
    tcb_status: TcbStatus | None
    tcb_date: UnixTime | None
    advisory_ids: tuple[str, ...]
    advisories_stated: bool
    """False where they could not be named (TCB info of version 2, IAS reports before version 4): none says nothing."""
    tcb_evaluation_number: int | None
    decision: Decision | None
    workload: str | None
    policy_hash: bytes | None
    reasons: tuple[Reason, ...]
    simulated: bool
    evidence_hash: bytes
    at: UnixTime
    valid_until: UnixTime | None
    platform: Platform | None
    identity: Identity | None
    tcb_evaluations: tuple[TcbEvaluation, ...]
    """For a TD, what `tcb_status`, its date and the advisories were made of: launch and, from TDX 1.5 on, current."""
    rendering: Checks = field(repr=False, compare=False)
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only intaglio.verify makes a Verdict")

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check, in the order of docs/verification.md, whatever its outcome."""
        return self.rendering.all()

    @property
    def retryable(self) -> bool:
        """Something is wrong, and all of it may pass later without anybody changing the evidence."""
        return bool(self.reasons) and all(reason.explanation.retryable for reason in self.reasons)

    def to_json(self) -> dict[str, object]:
        """What `intaglio verify --json` prints and quarantine keeps; byte strings as lower-case
        hexadecimal."""
        return {
            "tee": self.tee.value,
            "genuine": self.genuine,
            "verdict": self.decision.value if self.decision else None,
            "reasons": [reason.name for reason in self.reasons],
            "retryable": self.retryable,
            "tcb_status": self.tcb_status.value if self.tcb_status else None,
            "tcb_date": self.tcb_date,
            "advisory_ids": list(self.advisory_ids),
            "advisories_stated": self.advisories_stated,
            "tcb_evaluation_number": self.tcb_evaluation_number,
            "tcb_evaluations": [each.to_json() for each in self.tcb_evaluations],
            "workload": self.workload,
            "policy_hash": self.policy_hash.hex() if self.policy_hash else None,
            "simulated": self.simulated,
            "evidence_hash": self.evidence_hash.hex(),
            "at": self.at,
            "valid_until": self.valid_until,
            "platform": self.platform.to_json() if self.platform else None,
            "identity": self.identity.to_json() if self.identity else None,
            "checks": [check.to_json() for check in self.checks],
        }


def evidence_hash(evidence: bytes) -> bytes:
    """H("evidence", evidence), 32 bytes: how sessions, verdicts and bundles name a piece of evidence."""
    # digest("evidence", evidence), without copying the evidence: this is done for every quote.
    hashed = _EVIDENCE.copy()
    hashed.update(bytes_head(len(evidence)))
    feed(hashed, evidence)
    return hashed.digest()


def issue(
    *,
    tee: Tee,
    genuine: bool | None,
    reasons: tuple[Reason, ...],
    checks: Checks,
    evidence_hash: bytes,
    at: UnixTime,
    tcb_status: TcbStatus | None = None,
    tcb_date: UnixTime | None = None,
    advisory_ids: tuple[str, ...] = (),
    advisories_stated: bool = False,
    tcb_evaluation_number: int | None = None,
    decision: Decision | None = None,
    workload: str | None = None,
    policy_hash: bytes | None = None,
    simulated: bool = False,
    valid_until: UnixTime | None = None,
    platform: Platform | None = None,
    identity: Identity | None = None,
    tcb_evaluations: tuple[TcbEvaluation, ...] = (),
) -> Verdict:
    """The one maker of verdicts, for the modules of this package; a test holds that nothing else imports
    it."""
    return Verdict(
        tee, genuine, tcb_status, tcb_date, advisory_ids, advisories_stated, tcb_evaluation_number, decision,
        workload, policy_hash, reasons, simulated, evidence_hash, at, valid_until, platform, identity, tcb_evaluations,
        checks, _SEAL,
    )  # fmt: skip
