"""EPID quotes without the report of Intel's attestation service: they parse, and nobody can judge them any more."""

from intaglio.errors import Malformed
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.ledger import Group, Ledger, Step
from intaglio.verify.verdict import Checks, Verdict, evidence_hash, issue
from intaglio.wire.endorsement import Collateral
from intaglio.wire.epid import EpidQuote

__all__ = ["PROCEDURE", "EpidVerifier"]

QUOTE = Step("E1", "EPID quote", "version 1 or 2, with a signature as long as it says", Group.FORMAT)
SIGNATURE = Step("E2", "EPID signature", "the word of Intel's attestation service, which has ended", Group.SIGNATURES)

PROCEDURE = (QUOTE, SIGNATURE)


class EpidVerifier:
    """Says what an EPID quote claims, and that it can't be checked. The signature is encrypted to the service, so no
    key and no collateral would help."""

    def verify(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict:  # noqa: ARG002
        """Undecidable, or not genuine for bytes that are no quote."""
        ledger = Ledger()
        body = None
        try:
            body = EpidQuote.parse(evidence).body
        except Malformed as malformed:
            ledger.fail(QUOTE, Reason.MALFORMED_EVIDENCE, malformed)
        else:
            ledger.ok(QUOTE, f"version {body.version} of EPID group {body.group_id:#x}")
            ledger.undecidable(SIGNATURE, Reason.EPID_QUOTE, "encrypted to the service")
        return issue(
            tee=Tee.SGX,
            genuine=ledger.genuine(frozenset(PROCEDURE)),
            reasons=ledger.reasons(PROCEDURE),
            checks=Checks(lambda: ledger.render(PROCEDURE)),
            evidence_hash=evidence_hash(evidence),
            at=at,
            identity=body.report if body else None,
        )
