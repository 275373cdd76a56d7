"""The verifier inside an enclave: judging another enclave's evidence with no files, no network and no clock.

What is trusted is measured with us: roots, policy and the data centre's pin. What changes comes in a statement that
the pinned data centre signed in answer to our nonce (docs/protocol.md §14); the host carries both and is believed
nothing. One `PeerJudge` serves one handshake of `intaglio.session.peer` at a time, as its judge.
"""

from intaglio.errors import LocalProtocolError, Rejected
from intaglio.reasons import Reason
from intaglio.session.statements import CheckedStatement, check_statement
from intaglio.types import Draw, Tee, UnixTime
from intaglio.verify.evidence import Verifier
from intaglio.verify.policy import Policy, PolicyError
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision, Verdict
from intaglio.wire.endorsement import parse_collateral
from intaglio.wire.identity import Pin
from intaglio.wire.statement import NONCE

__all__ = ["PeerJudge"]


class PeerJudge:
    """judge = PeerJudge(pin, roots, policy, os.urandom)
    nonce = judge.nonce()              # the host takes it, with the peer's evidence, to the data centre
    judge.statement(data)              # what the data centre answered
    PeerInitiator(pin, tee, judge, ...).hello(offer)
    """

    def __init__(
        self, pin: Pin, roots: Roots, policy: str | bytes, draw: Draw, *, highest_epoch: int = 0, minimum_epoch: int = 0
    ) -> None:
        """`policy`: TOML, which must be part of the measurement. Its ages and heartbeat need a clock: `ends` applies
        max_session_age, and the others mean nothing here. The epochs are what an earlier judge or handshake of this
        enclave has learnt.

        Raises `PolicyError`, also where a workload is not pinned to our data centre: such a peer's own policy may be
        its host's.
        """
        self._pin = pin
        self._verifier = Verifier(roots)
        self._policy = Policy.parse(policy)
        unpinned = [workload.name for workload in self._policy.workloads if workload.dangerous_unpinned]
        if unpinned:
            raise PolicyError([f"accept {name!r}: dangerous_unpinned is not for peers" for name in unpinned])
        self._draw = draw
        self._nonce: bytes | None = None
        self._stated: CheckedStatement | None = None
        self.highest_epoch = highest_epoch
        self.minimum_epoch = minimum_epoch

    def nonce(self) -> bytes:
        """A fresh nonce (32 bytes). Earlier ones, and statements that were not used, count no more."""
        self._stated = None
        self._nonce = self._draw(NONCE)
        return self._nonce

    def statement(self, data: bytes) -> UnixTime:
        """Takes the statement that answers the last nonce, and returns its time, which is no later than now. One that
        is refused changes nothing. Raises `LocalProtocolError` (no nonce is open), and as `check_statement`."""
        if self._nonce is None:
            raise LocalProtocolError("statement: no nonce is open")
        epochs = {"highest_epoch": self.highest_epoch, "minimum_epoch": self.minimum_epoch}
        stated = check_statement(self._pin, data, self._nonce, **epochs)
        self._nonce, self._stated = None, stated
        self.highest_epoch = max(self.highest_epoch, stated.epoch)
        self.minimum_epoch = max(self.minimum_epoch, stated.minimum_epoch)
        return stated.at

    def __call__(self, tee: Tee, evidence: bytes) -> Verdict:
        """What our policy says of this evidence, as of the statement, which is used up by it. Report data are compared
        by whoever asks. Raises `LocalProtocolError` (no statement), `Malformed`, or `Rejected(NO_WORKLOAD)` for
        evidence of another kind than the peer says."""
        stated, self._stated = self._stated, None
        if stated is None:
            raise LocalProtocolError("judge: no statement of time and collateral")
        collateral = None if stated.collateral is None else parse_collateral(stated.collateral)
        verdict = self._verifier.verify(evidence, collateral, stated.at)
        if verdict.tee is not tee:
            raise Rejected(Reason.NO_WORKLOAD, expected=tee.value, found=verdict.tee.value)
        return self._policy.appraise(verdict, report_data=None, pin_hash=self._pin.hash)

    def ends(self, verdict: Verdict) -> UnixTime:
        """When a session with a peer that this judge accepted is over: its max_session_age after the statement's time,
        or when what judged it expires. Only a later statement (without evidence) tells that this moment has come."""
        if verdict.decision is not Decision.ACCEPTED or verdict.workload is None:
            raise LocalProtocolError("ends: the peer was not accepted")
        end = verdict.at + self._policy.workload(verdict.workload).max_session_age
        return UnixTime(end if verdict.valid_until is None else min(end, verdict.valid_until))
