"""A hello, from its bytes to its answer: known already, opened, appraised, and accepted or refused.

Runs in threads. An Accept is committed before any copy of it is sent, keyed by the transcript: of two copies decided at
once the loser sends the winner's bytes. Rejections are not remembered; the same hello is judged again.
"""

import base64
import json
import logging
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from intaglio.errors import Malformed, Rejected, Unavailable
from intaglio.gateway.appraisal import Appraisal, Appraiser, Terms, session_end
from intaglio.gateway.down_state import DownState, measured
from intaglio.gateway.keystore import Keystore
from intaglio.gateway.live import INTAGLIO
from intaglio.gateway.offers import OfferBook
from intaglio.gateway.pending import PendingSessions
from intaglio.gateway.store.quarantine import Quarantine, Refusal
from intaglio.gateway.store.sessions import NewSession, StoredHello, known_hello, store_session
from intaglio.gateway.store.states import Claim, admit, enter
from intaglio.gateway.store.writer import Writer
from intaglio.gateway.vault import Vault
from intaglio.reasons import Reason
from intaglio.session import schedule
from intaglio.session.data_centre import Accepted, HelloOpener, OpenHello
from intaglio.types import Direction, Draw, SessionId, UnixTime
from intaglio.verify.verdict import Decision, Verdict
from intaglio.wire import cbor
from intaglio.wire.hello import Hello, Result
from intaglio.wire.state import StateStep

__all__ = ["RETRY", "Answer", "HelloDesk"]

RETRY = 60
"""Seconds after which an undecidable hello may come again."""

_log = logging.getLogger("intaglio.gateway.hellos")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: an Accept (200, `accept`), or a status with JSON."""

    status: int
    accept: bytes = b""
    json: Mapping[str, object] | None = None
    retry_after: int | None = None


class HelloDesk:
    """Answers hellos. Safe for several threads."""

    def __init__(
        self,
        keystore: Keystore,
        offers: OfferBook,
        appraiser: Appraiser,
        writer: Writer,
        quarantine: Quarantine,
        pending: PendingSessions,
        vault: Vault,
        draw: Draw,
    ) -> None:
        self._keystore = keystore
        self._offers = offers
        self._appraiser = appraiser
        self._writer = writer
        self._quarantine = quarantine
        self._pending = pending
        self._vault = vault
        self._draw = draw

    def answer(self, body: bytes, at: UnixTime, remote: str | None) -> Answer:
        """Blocks until everything the answer promises is on disk. Raises nothing that a peer can cause."""
        try:
            hello = Hello.parse(body)
        except Malformed as error:
            return self._malformed(error, body, None, at, remote)
        visit = _Visit(hello, _transcript(hello), body, at, remote)
        with self._pending.deciding(hello.session):
            try:
                return self._decide(visit)
            except Malformed as error:
                self._pending.decided(hello.session)
                return self._malformed(error, body, hello, at, remote)
            except Rejected as error:
                if error.reason.explanation.retryable:
                    return self._put_off(visit, (error.reason,), RETRY)
                self._pending.decided(hello.session)
                return self._refuse(visit, (error.reason,), {"problem": str(error)})
            except Unavailable as error:
                self._pending.undecidable(hello.session)
                _log.error("hello not answered session=%s: %s", hello.session.hex(), error)
                return Answer(503, json={"error": "unavailable", "reasons": []}, retry_after=error.retry_after)

    def _decide(self, visit: "_Visit") -> Answer:
        stored = self._writer.submit(lambda connection: known_hello(connection, visit.hello.session)).result()
        if stored is not None:
            return Answer(200, self._known(stored, visit))
        opener = self._offers.opener(visit.hello.offer_hash, visit.at)
        self._check_offer(opener, visit.at)
        opened = opener.open(visit.hello)
        try:
            appraisal = self._appraiser.appraise(opened.evidence, opened.report_data, visit.at)
        except Unavailable as error:
            return self._put_off(visit, (Reason.COLLATERAL_MISSING,), error.retry_after)
        verdict = appraisal.verdict
        # A verdict that may change without anybody touching the evidence (collateral or our clock is off) sends nobody
        # away for good.
        if verdict.retryable:
            return self._put_off(visit, verdict.reasons, RETRY)
        self._pending.decided(visit.hello.session)
        if verdict.decision is not Decision.ACCEPTED or appraisal.terms is None:
            return self._refuse_opened(visit, opened, verdict.reasons, verdict)
        try:
            expires = session_end(opened.offer.not_before, verdict, appraisal.terms, visit.at)
        except Rejected as error:
            return self._refuse_opened(visit, opened, (error.reason,), verdict)
        return Answer(200, self._accept(visit, opened, appraisal, appraisal.terms, expires))

    def _known(self, stored: StoredHello, visit: "_Visit") -> bytes:
        """The stored Accept. Raises `Rejected` (SESSION_CONFLICT, SESSION_ENDED). Whether the offer's key is gone makes
        no difference: late frames of the session may still be taken, and their host asks before it brings them."""
        th, accept, expires_at, ended_at = stored
        if th != visit.th:
            raise Rejected(Reason.SESSION_CONFLICT, expected=th.hex(), found=visit.th.hex())
        if visit.at >= expires_at or ended_at is not None:
            raise Rejected(Reason.SESSION_ENDED, expected=f"before {expires_at}", found=visit.at)
        return accept

    def _check_offer(self, opener: HelloOpener, at: UnixTime) -> None:
        """What needs no opening. Raises `Rejected` (OFFER_EXPIRED, and OFFER_NOT_YET_VALID if our clock went back)."""
        body = opener.body
        if at < body.not_before:
            raise Rejected(Reason.OFFER_NOT_YET_VALID, expected=f"from {body.not_before}", found=at)
        if at > body.not_after and at - body.not_before > self._appraiser.longest_offer_age:
            raise Rejected(Reason.OFFER_EXPIRED, expected=f"until {body.not_after}", found=at)

    def _accept(
        self, visit: "_Visit", opened: OpenHello, appraisal: Appraisal, terms: Terms, expires: UnixTime
    ) -> bytes:
        claim = _claim(opened, appraisal.verdict, terms.workload)
        attestation = dict(_attestation(appraisal.verdict))
        if claim is not None:
            attestation["state"] = claim.step.to_value()
        result = Result(expires, visit.at, terms.workload, attestation)
        accepted = opened.accept(appraisal.verdict, result, self._keystore.signer, self._draw)
        lineage = None if claim is None else claim.step.lineage

        def work(connection: sqlite3.Connection) -> tuple[StoredHello, bool]:
            """What the state says no to leaves nothing behind: the look comes before the first write."""
            if claim is not None and known_hello(connection, opened.session) is None:
                admit(connection, claim)
            row = self._row(visit, opened, appraisal, accepted, lineage)
            stored, ours = store_session(connection, row)
            if claim is not None and ours:
                enter(connection, claim, opened.session, visit.at)
            return stored, ours

        stored, ours = self._writer.submit(work).result()
        if ours:
            _log.info("session accepted session=%s workload=%s tee=%s expires=%d simulated=%s", opened.session.hex(),
                      terms.workload, opened.tee.value, expires, appraisal.verdict.simulated)  # fmt: skip
        return self._known(stored, visit)

    def _row(
        self, visit: "_Visit", opened: OpenHello, appraisal: Appraisal, accepted: Accepted, lineage: bytes | None
    ) -> NewSession:
        verdict, up_epoch, workload = appraisal.verdict, accepted.receiver.epochs[-1], accepted.result.workload
        measurements = measured(verdict.identity.to_json() if verdict.identity else {})
        down = DownState(accepted.down_secret, workload, measurements, lineage)
        return NewSession(
            session=opened.session,
            th=opened.th,
            offer=visit.hello.offer_hash,
            policy=self._appraiser.policy_hash,
            policy_text=self._appraiser.policy_text,
            evidence_hash=opened.evidence_hash,
            evidence=opened.evidence,
            collateral=appraisal.collateral,
            tee=opened.tee.value,
            workload=workload,
            verdict=json.dumps(verdict.to_json()),
            simulated=verdict.simulated,
            hello=replace(visit.hello, sealed_evidence=b"").encode(),
            accept=accepted.accept,
            accepted_at=visit.at,
            expires_at=accepted.result.expires,
            wrap_key=self._vault.newest,
            up_epoch=up_epoch,
            up_state=self._vault.wrap(opened.session, Direction.UP, up_epoch, accepted.receiver.encode()),
            down_state=self._vault.wrap(opened.session, Direction.DOWN, 1, down.encode()),
            protocol=INTAGLIO,
            confirm_hash=opened.confirm_hash,
        )

    def _put_off(self, visit: "_Visit", reasons: tuple[Reason, ...], retry_after: int) -> Answer:
        """Undecidable: nothing is known against it, and nothing is accepted. It will be sent again."""
        self._pending.undecidable(visit.hello.session)
        names = [reason.name for reason in reasons]
        _log.warning("hello undecidable session=%s reasons=%s", visit.hello.session.hex(), ",".join(names))
        return Answer(503, json={"error": "undecidable", "reasons": names}, retry_after=max(1, retry_after))

    def _refuse_opened(
        self, visit: "_Visit", opened: OpenHello, reasons: tuple[Reason, ...], verdict: Verdict
    ) -> Answer:
        """With the verdict: whole in quarantine, and sealed to the enclave's reply key for its vendor."""
        names = [reason.name for reason in reasons]
        report = {**verdict.to_json(), "verdict": Decision.REJECTED.value, "reasons": names}
        answer = self._refuse(visit, reasons, {"verdict": report})
        with suppress(Malformed):  # a reply key that is none: then nobody can be told
            sealed = opened.refuse(json.dumps(report).encode())
            return replace(answer, json={**(answer.json or {}), "report": base64.b64encode(sealed).decode()})
        return answer

    def _refuse(self, visit: "_Visit", reasons: tuple[Reason, ...], detail: Mapping[str, object]) -> Answer:
        session = visit.hello.session
        name = self._quarantined(Refusal("hello", reasons, detail, visit.body, session, visit.remote), visit.at)
        names = [reason.name for reason in reasons]
        _log.warning("hello rejected session=%s reasons=%s quarantine=%s", session.hex(), ",".join(names), name)
        return Answer(403, json={"error": "rejected", "reasons": names, "id": name})

    def _malformed(
        self, error: Malformed, body: bytes, hello: Hello | None, at: UnixTime, remote: str | None
    ) -> Answer:
        session = hello.session if hello else None
        detail = {"field": error.field, "problem": error.problem}
        refusal = Refusal("hello", (Reason.MALFORMED_MESSAGE,), detail, body, session, remote)
        name = self._quarantined(refusal, at)
        _log.warning("hello malformed field=%s problem=%s quarantine=%s", error.field, error.problem, name)
        reason = Reason.MALFORMED_MESSAGE.name
        return Answer(400, json={"error": "malformed", "reason": reason, "field": error.field})

    def _quarantined(self, refusal: Refusal, at: UnixTime) -> str | None:
        with suppress(Unavailable):  # a store that fails must not turn a refusal into an invitation to come again
            return self._writer.submit(lambda connection: self._quarantine.add(connection, refusal, at)).result()
        return None


@dataclass(frozen=True, slots=True)
class _Visit:
    """One delivery of a hello. `th` is its transcript hash, which needs no key."""

    hello: Hello
    th: bytes
    body: bytes
    at: UnixTime
    remote: str | None


def _transcript(hello: Hello) -> bytes:
    return schedule.th_of(schedule.th0_of(hello), schedule.sealed_claims_hash(hello.sealed_claims))


def _claim(opened: OpenHello, verdict: Verdict, workload: str) -> Claim | None:
    """What the hello says of its enclave's state, if that keeps one. Raises `Malformed`."""
    if "state" not in opened.claims:
        return None
    continues = opened.claims.get("continues")
    earlier = None if continues is None else SessionId(cbor.bstr(continues, "claims.continues", 16))
    platform = verdict.platform.ids if verdict.platform is not None else ()
    return Claim(StateStep.of(opened.claims["state"]), earlier, workload, platform[0] if platform else "")


def _attestation(verdict: Verdict) -> Mapping[cbor.Value, cbor.Value]:
    """What the enclave is told of its own verdict."""
    return {
        "decision": "accepted",
        "tee": verdict.tee.value,
        "tcb_status": verdict.tcb_status.value if verdict.tcb_status else None,
        "advisory_ids": list(verdict.advisory_ids),
        "policy_hash": verdict.policy_hash,
        "simulated": verdict.simulated,
    }
