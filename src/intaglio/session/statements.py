"""Making and checking statements of time and collateral: the data centre's word on "now" for an enclave that judges
another one and must believe neither its host's clock nor its host's idea of what is revoked.
"""

from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.session.signing import Signer, trusted_keys, verify_by
from intaglio.types import UnixTime
from intaglio.wire import cose
from intaglio.wire.identity import KeyUse, Pin
from intaglio.wire.statement import Statement, StatementBody

__all__ = ["CheckedStatement", "check_statement", "make_statement"]

_LABEL = "statement"


@dataclass(frozen=True, slots=True)
class CheckedStatement:
    """What the pinned data centre stated in answer to our nonce. `at`: no later than now, and not before the nonce
    left; `minimum_epoch`: 0 unless an identity signed it, because a thief of an operational key must not revoke."""

    at: UnixTime
    collateral: bytes | None
    epoch: int
    minimum_epoch: int


def make_statement(
    signer: Signer, *, audience: str, nonce: bytes, epoch: int, at: UnixTime, collateral: bytes | None
) -> bytes:
    """A signed statement in answer to `nonce`. `epoch`: that of the newest offer."""
    body = StatementBody(signer.suite, audience, nonce, epoch, 0, at, collateral)
    return Statement(signer.sign(_LABEL, body.encode()), signer.certificate).encode()


def check_statement(
    pin: Pin, data: bytes, nonce: bytes, *, highest_epoch: int = 0, minimum_epoch: int = 0
) -> CheckedStatement:
    """What an enclave believes: signed by what it pins (an operational key must be certified for Accepts), for its
    audience, at least its minimum suite, no older than the highest epoch it has seen, and in answer to `nonce`.

    Raises `Malformed` or `Rejected` (STATEMENT_SIGNATURE, AUDIENCE_MISMATCH, SUITE_TOO_WEAK, OFFER_TOO_OLD,
    STATEMENT_REPLAYED).
    """
    statement = Statement.parse(data)
    # Unverified until `verify_by` below has passed: only keys are looked up by it.
    body = StatementBody.parse(cose.Signed.parse(statement.signed, _LABEL).payload or b"")
    if body.suite < pin.minimum_suite:
        raise Rejected(Reason.SUITE_TOO_WEAK, expected=int(pin.minimum_suite), found=int(body.suite))
    certificate, reason = statement.certificate, Reason.STATEMENT_SIGNATURE
    keys = trusted_keys(pin, body.suite, certificate, KeyUse.ACCEPT, body.epoch, minimum_epoch, reason)
    verify_by(keys, body.suite, _LABEL, statement.signed, None, reason)
    if body.audience != pin.audience:
        raise Rejected(Reason.AUDIENCE_MISMATCH, expected=pin.audience, found=body.audience)
    if body.epoch < max(highest_epoch, minimum_epoch):
        raise Rejected(Reason.OFFER_TOO_OLD, expected=max(highest_epoch, minimum_epoch), found=body.epoch)
    if body.nonce != nonce:
        raise Rejected(Reason.STATEMENT_REPLAYED, expected=nonce.hex(), found=body.nonce.hex())
    revoked_below = body.minimum_epoch if certificate is None else 0
    return CheckedStatement(body.at, body.collateral, body.epoch, revoked_below)
