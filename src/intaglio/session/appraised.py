"""A verdict opens a session only if it accepts the very evidence that was brought."""

import hmac

from intaglio.errors import LocalProtocolError
from intaglio.types import Tee
from intaglio.verify.verdict import Decision, Identity, Verdict

__all__ = ["accepted_identity"]


def accepted_identity(verdict: Verdict, tee: Tee, evidence: bytes) -> Identity:
    """What runs there, by evidence that is genuine, accepted, of this TEE, and has this hash (32 bytes). Its report
    data are the caller's to compare. Raises `LocalProtocolError`: it was ours to appraise it."""
    if verdict.decision is not Decision.ACCEPTED or verdict.genuine is not True or verdict.identity is None:
        raise LocalProtocolError("accept: the verdict does not accept")
    if verdict.tee is not tee or not hmac.compare_digest(verdict.evidence_hash, evidence):
        raise LocalProtocolError("accept: the verdict is of other evidence")
    return verdict.identity
