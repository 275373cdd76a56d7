"""Judging stored evidence by a policy that no gateway has started with yet."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intaglio.cli.collateral_files import choose, read_collateral_files
from intaglio.cli.reading import dearmoured, read_bytes
from intaglio.cli.store import reader
from intaglio.errors import Malformed
from intaglio.gateway.query import StoredEvidence
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.evidence import Verifier
from intaglio.verify.policy import Policy
from intaglio.verify.verdict import Decision, Verdict
from intaglio.wire.endorsement import Collateral, parse_collateral

__all__ = ["Judge", "Outcome", "Tried", "try_files", "try_store"]


@dataclass(frozen=True, slots=True)
class Judge:
    """The policy, and all that its judgement depends on."""

    policy: Policy
    verifier: Verifier
    pin_hash: bytes | None

    def judge(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict:
        """Raises `Malformed` for bytes that are no evidence."""
        verdict = self.verifier.verify(evidence, collateral, at)
        return self.policy.appraise(verdict, report_data=None, pin_hash=self.pin_hash)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one session: `kept`, `shortened` or `ended`; `reasons` are names."""

    session: StoredEvidence
    outcome: str
    workload: str | None
    expires_at: int
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "session": self.session.session.hex(),
            "tee": self.session.tee,
            "live": self.session.live,
            "workload": self.session.workload,
            "new_workload": self.workload,
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "accepted_at": self.session.accepted_at,
            "expires_at": self.session.expires_at,
            "new_expires_at": self.expires_at,
        }


@dataclass(frozen=True, slots=True)
class Tried:
    """What becomes of one piece of evidence that was given as a file."""

    path: Path
    accepted: bool
    workload: str | None
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "file": str(self.path),
            "accepted": self.accepted,
            "workload": self.workload,
            "reasons": list(self.reasons),
        }


def try_store(judge: Judge, store: Path | None, now: UnixTime, *, ended: bool) -> Iterator[Outcome]:
    after = 0
    with reader(store) as opened:
        while page := opened.evidence(now, after=after, ended=ended):
            for session in page:
                yield _try_session(judge, session, now)
            after = page[-1].number


def _try_session(judge: Judge, session: StoredEvidence, now: UnixTime) -> Outcome:
    try:
        collateral = None if session.collateral is None else parse_collateral(session.collateral)
        verdict = judge.judge(session.evidence, collateral, session.accepted_at)
    except Malformed:
        return Outcome(session, "ended", None, now, (Reason.MALFORMED_EVIDENCE.name,))
    if verdict.decision is not Decision.ACCEPTED or verdict.workload is None:
        return Outcome(session, "ended", None, now, tuple(reason.name for reason in verdict.reasons))
    terms = judge.policy.workload(verdict.workload)
    ends = (session.accepted_at + terms.max_session_age, verdict.valid_until, session.expires_at)
    expires_at = min(end for end in ends if end is not None)
    if session.live and expires_at <= now:
        return Outcome(session, "ended", verdict.workload, expires_at, (Reason.SESSION_ENDED.name,))
    outcome = "shortened" if expires_at < session.expires_at else "kept"
    return Outcome(session, outcome, verdict.workload, expires_at, ())


def try_files(judge: Judge, paths: list[Path], collateral: list[Path], now: UnixTime) -> Iterator[Tried]:
    files = read_collateral_files(collateral)
    for path in paths:
        evidence, _ = dearmoured(read_bytes(path))
        chosen = choose(files, evidence, now)
        try:
            verdict = judge.judge(evidence, chosen.collateral if chosen else None, now)
        except Malformed:
            yield Tried(path, False, None, (Reason.MALFORMED_EVIDENCE.name,))
            continue
        reasons = tuple(reason.name for reason in verdict.reasons)
        yield Tried(path, verdict.decision is Decision.ACCEPTED, verdict.workload, reasons)
