"""Sigma at the gateway: msg1 to msg2, msg3 to msg4, for applications that speak `sgx_ra_*` (docs/sigma.md).

A handshake lives in memory between msg1 and msg3, by its g_a, and takes one msg3; whoever loses an answer, or meets a
restart, begins again. A session that is accepted is stored like any other before its msg4 is sent.
"""

import json
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

from intaglio.errors import Malformed, Rejected, Unavailable
from intaglio.gateway.appraisal import Appraisal, Appraiser, Terms, session_end
from intaglio.gateway.hellos import RETRY, Answer
from intaglio.gateway.live import SIGMA
from intaglio.gateway.store.quarantine import Quarantine, Refusal
from intaglio.gateway.store.sessions import NewSession, store_session
from intaglio.gateway.store.writer import Writer
from intaglio.gateway.vault import Vault
from intaglio.reasons import Reason
from intaglio.sigma.curve import ProviderKey
from intaglio.sigma.messages import Msg1, Msg3, SigmaResult, parse_msg0
from intaglio.sigma.provider import ProviderSigma, SigmaAccepted, check_msg0
from intaglio.types import Direction, Draw, Tee, UnixTime
from intaglio.verify.verdict import Decision, evidence_hash

__all__ = ["SigmaDesk"]

HANDSHAKE_SECONDS = 600
"""From msg1 to msg3: a quote takes a second, collateral that has to be waited for some minutes. No quote is older."""
MAX_HANDSHAKES = 16_384
"""Begun and not finished: 32 MB. The oldest is dropped; its enclave begins again."""

_MSG0 = 4
_log = logging.getLogger("intaglio.gateway.sigma")


class SigmaDesk:
    """Answers Sigma's messages. Safe for several threads."""

    def __init__(
        self,
        key: ProviderKey,
        appraiser: Appraiser,
        writer: Writer,
        quarantine: Quarantine,
        vault: Vault,
        draw: Draw,
    ) -> None:
        """`appraiser`: for enclaves that pin this key."""
        self._key = key
        self._appraiser = appraiser
        self._writer = writer
        self._quarantine = quarantine
        self._vault = vault
        self._draw = draw
        self._lock = Lock()
        self._begun: OrderedDict[bytes, _Begun] = OrderedDict()

    def msg0(self, body: bytes, at: UnixTime, remote: str | None) -> Answer:
        """Nothing to say, or a refusal of an EPID group."""
        return self._answered(self._msg0, _Delivery("msg0", body, at, remote))

    def msg1(self, body: bytes, at: UnixTime, remote: str | None) -> Answer:
        """msg2; `body` may be msg0 and msg1 together, as samples send them."""
        return self._answered(self._msg1, _Delivery("msg1", body, at, remote))

    def msg3(self, body: bytes, at: UnixTime, remote: str | None) -> Answer:
        """msg4, once the session is on disk."""
        return self._answered(self._msg3, _Delivery("msg3", body, at, remote))

    def _msg0(self, delivery: "_Delivery") -> Answer:
        check_msg0(parse_msg0(delivery.body))
        return Answer(200)

    def _msg1(self, delivery: "_Delivery") -> Answer:
        body = delivery.body
        if len(body) == _MSG0 + Msg1.SIZE:
            check_msg0(parse_msg0(body[:_MSG0]))
            body = body[_MSG0:]
        msg1 = Msg1.parse(body)
        handshake = ProviderSigma(self._key, self._draw)
        msg2 = handshake.answer(msg1)
        self._begin(msg1.g_a, _Begun(handshake, delivery.at))
        return Answer(200, msg2)

    def _msg3(self, delivery: "_Delivery") -> Answer:
        msg3, at = Msg3.parse(delivery.body), delivery.at
        begun = self._take(msg3.g_a, at)
        handshake = begun.handshake
        handshake.open(msg3)
        try:
            appraisal = self._appraiser.appraise(handshake.evidence, handshake.report_data, at)
        except Unavailable as error:
            return self._put_off(msg3.g_a, begun, (Reason.COLLATERAL_MISSING,), error.retry_after)
        verdict = appraisal.verdict
        if verdict.retryable:
            return self._put_off(msg3.g_a, begun, verdict.reasons, RETRY)
        if verdict.decision is not Decision.ACCEPTED or appraisal.terms is None:
            handshake.refuse()
            return self._refuse(delivery, verdict.reasons, {"verdict": verdict.to_json()})
        expires = session_end(begun.at, verdict, appraisal.terms, at)
        return Answer(200, self._accept(handshake, msg3, appraisal, appraisal.terms, expires, at))

    def _accept(
        self,
        handshake: ProviderSigma,
        msg3: Msg3,
        appraisal: Appraisal,
        terms: Terms,
        expires: UnixTime,
        at: UnixTime,
    ) -> bytes:
        accepted = handshake.accept(appraisal.verdict, SigmaResult(expires, at, terms.workload))

        def work(connection: sqlite3.Connection) -> object:
            return store_session(connection, self._row(handshake, msg3, appraisal, accepted))

        self._writer.submit(work).result()
        _log.info("session accepted session=%s workload=%s protocol=sigma expires=%d simulated=%s",
                  handshake.session.hex(), terms.workload, expires, appraisal.verdict.simulated)  # fmt: skip
        return accepted.msg4

    def _row(self, handshake: ProviderSigma, msg3: Msg3, appraisal: Appraisal, accepted: SigmaAccepted) -> NewSession:
        verdict = appraisal.verdict
        return NewSession(
            session=handshake.session,
            th=handshake.th,
            offer=None,
            policy=self._appraiser.policy_hash,
            policy_text=self._appraiser.policy_text,
            evidence_hash=evidence_hash(handshake.evidence),
            evidence=handshake.evidence,
            collateral=appraisal.collateral,
            tee=Tee.SGX.value,
            workload=accepted.result.workload,
            verdict=json.dumps(verdict.to_json()),
            simulated=verdict.simulated,
            # With the evidence beside it, all that the transcript hash is made of.
            hello=Msg1(msg3.g_a).encode() + handshake.msg2 + msg3.encode()[: -len(msg3.quote)],
            accept=accepted.msg4,
            accepted_at=accepted.result.time,
            expires_at=accepted.result.expires,
            wrap_key=self._vault.newest,
            up_epoch=0,
            up_state=self._vault.wrap(handshake.session, Direction.UP, 0, accepted.receiver.encode()),
            # The gateway sends nothing after msg4, so it keeps no key to send with.
            down_state=None,
            protocol=SIGMA,
        )

    def _begin(self, g_a: bytes, begun: "_Begun") -> None:
        with self._lock:
            self._begun[g_a] = begun
            self._begun.move_to_end(g_a)
            while len(self._begun) > MAX_HANDSHAKES:
                self._begun.popitem(last=False)

    def _take(self, g_a: bytes, at: UnixTime) -> "_Begun":
        """The handshake of this g_a, which nobody else finds from now on. Raises `Rejected(SIGMA_HANDSHAKE)`."""
        with self._lock:
            begun = self._begun.pop(g_a, None)
        # Negative where our clock went back: then nothing says how old it is.
        if begun is None or not 0 <= at - begun.at <= HANDSHAKE_SECONDS:
            raise Rejected(Reason.SIGMA_HANDSHAKE, found=g_a.hex())
        return begun

    def _put_off(self, g_a: bytes, begun: "_Begun", reasons: tuple[Reason, ...], retry_after: int) -> Answer:
        begun.handshake.postpone()
        self._begin(g_a, begun)
        names = [reason.name for reason in reasons]
        _log.warning("msg3 undecidable reasons=%s", ",".join(names))
        return Answer(503, json={"error": "undecidable", "reasons": names}, retry_after=max(1, retry_after))

    def _answered(self, work: "Callable[[_Delivery], Answer]", delivery: "_Delivery") -> Answer:
        """`work`, with the answers to what a peer does wrong."""
        try:
            return work(delivery)
        except Malformed as error:
            reason = Reason.MALFORMED_MESSAGE
            self._refuse(delivery, (reason,), {"field": error.field, "problem": error.problem})
            return Answer(400, json={"error": "malformed", "reason": reason.name, "field": error.field})
        except Rejected as error:
            return self._refuse(delivery, (error.reason,), {"problem": str(error)})
        except Unavailable as error:
            _log.error("%s not answered: %s", delivery.what, error)
            return Answer(503, json={"error": "unavailable", "reasons": []}, retry_after=error.retry_after)

    def _refuse(self, delivery: "_Delivery", reasons: tuple[Reason, ...], detail: Mapping[str, object]) -> Answer:
        known = {"message": delivery.what, **detail}
        refusal = Refusal("hello", reasons, known, delivery.body, None, delivery.remote)
        name = None
        with suppress(Unavailable):  # a store that fails must not turn a refusal into an invitation to come again
            name = self._writer.submit(lambda store: self._quarantine.add(store, refusal, delivery.at)).result()
        names = [reason.name for reason in reasons]
        _log.warning("%s rejected reasons=%s quarantine=%s", delivery.what, ",".join(names), name)
        return Answer(403, json={"error": "rejected", "reasons": names, "id": name})


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One message as it came. `what`: its name."""

    what: str
    body: bytes
    at: UnixTime
    remote: str | None


@dataclass(frozen=True, slots=True)
class _Begun:
    """A handshake between msg1 and msg3, and when it began."""

    handshake: ProviderSigma
    at: UnixTime
