"""Statements of time and collateral for enclaves that judge other enclaves (docs/protocol.md §14).

The data centre signs what it holds and judges nothing: whether the evidence is genuine and wanted is for the enclave
that asked. It looks at evidence only so far that nobody makes it ask a service about a platform of his invention.
Nothing is kept and nothing written.
"""

import logging
from typing import Protocol

from intaglio.collateral.http import Absent
from intaglio.errors import Malformed, Rejected, Unavailable
from intaglio.gateway.hellos import Answer
from intaglio.gateway.keystore import Keystore
from intaglio.reasons import Reason
from intaglio.session.statements import make_statement
from intaglio.types import UnixTime
from intaglio.wire.endorsement import Collateral
from intaglio.wire.statement import MAX_STATEMENT, Question

__all__ = ["CollateralFinder", "StatementDesk"]

_log = logging.getLogger("intaglio.gateway.statements")


class CollateralFinder(Protocol):
    """`EvidenceAppraiser`, as far as statements need it."""

    def collateral_for(self, evidence: bytes, at: UnixTime) -> Collateral | None: ...


class StatementDesk:
    """Answers questions for statements. Safe for several threads."""

    def __init__(self, keystore: Keystore, finder: CollateralFinder) -> None:
        self._keystore = keystore
        self._finder = finder

    def answer(self, body: bytes, at: UnixTime) -> Answer:
        """Raises nothing that a peer can cause."""
        try:
            question = Question.parse(body)
            return Answer(200, self._statement(question, at))
        except Malformed as error:
            name = Reason.MALFORMED_MESSAGE.name
            return Answer(400, json={"error": "malformed", "reason": name, "field": error.field})
        except Rejected as error:
            _log.info("no statement: the evidence is not genuine reason=%s", error.reason.name)
            return Answer(403, json={"error": "rejected", "reasons": [error.reason.name]})
        except Unavailable as error:
            _log.warning("no statement: %s", error)
            said = {"error": "undecidable", "reasons": [Reason.COLLATERAL_MISSING.name]}
            status = 404 if isinstance(error, Absent) else 503
            return Answer(status, json=said, retry_after=max(1, error.retry_after))

    def _statement(self, question: Question, at: UnixTime) -> bytes:
        found = None if question.evidence is None else self._finder.collateral_for(question.evidence, at)
        keystore = self._keystore
        made = make_statement(
            keystore.signer,
            audience=keystore.pin.audience,
            nonce=question.nonce,
            epoch=keystore.highest_epoch,
            at=at,
            collateral=None if found is None else found.encode_json(),
        )
        if len(made) > MAX_STATEMENT:
            raise Unavailable(f"the collateral is too long for a statement: {len(made)} bytes")
        return made
