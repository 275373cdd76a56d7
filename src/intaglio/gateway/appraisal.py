"""Judging the evidence of a hello: collateral from its sources, `verify` for whether it is genuine, the policy for
whether it is wanted, and the terms under which its session may run.
"""

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from intaglio.collateral.cache import CachedSource
from intaglio.collateral.evidence import requests_for
from intaglio.collateral.http import Absent
from intaglio.collateral.source import CollateralSource
from intaglio.errors import Malformed, Rejected, Unavailable
from intaglio.gateway.config import Misconfigured, Settings
from intaglio.reasons import Reason
from intaglio.types import ReportData, UnixTime
from intaglio.verify.cache import Recent
from intaglio.verify.evidence import Verifier
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision, Verdict
from intaglio.wire.collateral_request import CollateralRequest, SnpRequest, TcbUpdate
from intaglio.wire.dcap import Quote
from intaglio.wire.endorsement import Collateral, parse_collateral

__all__ = ["Appraisal", "Appraiser", "EvidenceAppraiser", "Terms", "session_end"]

_COLLATERAL_AT_FAULT = frozenset((
    Reason.COLLATERAL_MALFORMED, Reason.COLLATERAL_SIGNER, Reason.COLLATERAL_MISMATCH, Reason.CRL_MISSING,
    Reason.CRL_SIGNATURE, Reason.TCB_INFO_SIGNATURE, Reason.QE_IDENTITY_SIGNATURE,
))  # fmt: skip
"""What our own sources got wrong: no reason to send an honest enclave away for good."""
_CERTIFICATES_AT_FAULT = _COLLATERAL_AT_FAULT | {
    Reason.CERTIFICATE_CHAIN, Reason.CERTIFICATE_CONSTRAINTS, Reason.CERTIFICATE_ROLE, Reason.ROOT_UNTRUSTED,
    Reason.VEK_EXTENSIONS, Reason.TCB_MISMATCH,
}  # fmt: skip
"""The same for AMD's certificates, which no report carries."""
_RETRY = 60
_PLATFORMS = 4096

_log = logging.getLogger("intaglio.gateway.appraisal")


@dataclass(frozen=True, slots=True)
class Terms:
    """What the policy grants a session of this workload. Ages are in seconds."""

    workload: str
    max_session_age: int
    max_offer_age: int


def session_end(made: UnixTime, verdict: Verdict, terms: Terms, at: UnixTime) -> UnixTime:
    """docs/protocol.md §7: the earliest of policy age, evidence age (counted from `made`, the earliest moment at which
    it can have been made) and the collateral's next update. Raises `Rejected(EVIDENCE_TOO_OLD)`."""
    if at - made > terms.max_offer_age:
        raise Rejected(Reason.EVIDENCE_TOO_OLD, expected=f"at most {terms.max_offer_age} s", found=f"{at - made} s")
    ends = [at + terms.max_session_age, made + terms.max_session_age]
    if verdict.valid_until is not None:
        ends.append(verdict.valid_until)
    if min(ends) <= at:
        raise Rejected(Reason.EVIDENCE_TOO_OLD, expected=f"before {min(ends)}", found=at)
    return UnixTime(min(ends))


@dataclass(frozen=True, slots=True)
class Appraisal:
    """A decided verdict; `terms` if it accepts; `collateral` as it was used, for later audits."""

    verdict: Verdict
    terms: Terms | None
    collateral: Collateral | None


class Appraiser(Protocol):
    """What the gateway asks of whoever judges. Called from several threads."""

    @property
    def policy_hash(self) -> bytes:
        """32 bytes: in offers and with every session."""

    @property
    def policy_text(self) -> bytes:
        """The policy as it was read, kept for audits."""

    @property
    def longest_offer_age(self) -> int:
        """Of all workloads: a hello to an older offer can't be accepted, whatever it holds."""

    def appraise(self, evidence: bytes, report_data: ReportData, at: UnixTime) -> Appraisal:
        """Raises `Unavailable` where collateral can't be had, `Malformed` for bytes that are no evidence."""

    def collateral_for(self, evidence: bytes, at: UnixTime) -> Collateral | None:
        """What it takes to judge this evidence, None if nothing. It is not judged here, but what no known root vouches
        for is `Rejected`. Raises `Unavailable` (`Absent` where nobody has it), `Malformed`."""

    def pinned(self, pin_hash: bytes) -> "Appraiser":
        """The same, for enclaves that pin something else than this data centre's identity."""

    def review(self, evidence: bytes, collateral: bytes | None, at: UnixTime) -> Appraisal:
        """What today's policy says of stored evidence, as of `at` and with the collateral (nine-field JSON) of that
        time. The binding to the session was proven when it was accepted. Raises `Malformed`."""


_STRANGERS = frozenset((Reason.ROOT_UNTRUSTED, Reason.CERTIFICATE_CHAIN))
"""Open without collateral, and none will help: whoever sent this shows nothing that a known root vouches for."""


class EvidenceAppraiser:
    """The real one: `verify.evidence` under `roots`, and a policy file."""

    def __init__(
        self,
        roots: Roots,
        policy: Policy,
        policy_text: bytes,
        sources: Sequence[CollateralSource],
        pin_hash: bytes,
        update: TcbUpdate = TcbUpdate.STANDARD,
    ) -> None:
        self._verifier = Verifier(roots)
        self._policy = policy
        self._sources = tuple(sources)
        self._pin_hash = pin_hash
        self._update = update
        self._requests: Recent[CollateralRequest] = Recent(_PLATFORMS)
        self.policy_text = policy_text
        self.policy_hash = policy.hash
        self.longest_offer_age = max(workload.max_offer_age for workload in policy.workloads)

    @classmethod
    def from_settings(cls, settings: Settings, pin_hash: bytes) -> "EvidenceAppraiser":
        """Reads policy and lab roots. Raises `Misconfigured`, `PolicyError`."""
        text = _read(settings.policy, "policy")
        roots = Roots.production()
        for path in settings.lab_roots:
            roots |= Roots.lab(_read(path, "lab root"))
        return cls(roots, Policy.parse(text), text, settings.collateral, pin_hash, settings.tcb_update)

    def appraise(self, evidence: bytes, report_data: ReportData, at: UnixTime) -> Appraisal:
        key = _platform_key(evidence)
        verdict, wanted = self._first_look(evidence, key, at)
        collateral = None
        if wanted:
            request, collateral = self._first_of(wanted, at)
            verdict = self._verifier.verify(evidence, collateral, at)
            self._check_collateral(verdict, request)
            if key and verdict.genuine:
                self._requests.put(key, request)
        if verdict is None:
            raise Malformed("evidence", "no verdict")
        verdict = self._policy.appraise(verdict, report_data=report_data, pin_hash=self._pin_hash)
        return Appraisal(verdict, self._terms(verdict), collateral)

    def collateral_for(self, evidence: bytes, at: UnixTime) -> Collateral | None:
        verdict, wanted = self._first_look(evidence, _platform_key(evidence), at)
        if wanted:
            return self._first_of(wanted, at)[1]
        if verdict is None or (verdict.genuine is None and not _STRANGERS & set(verdict.reasons)):
            raise Absent("the evidence does not say which collateral it needs")
        if not verdict.genuine:
            raise Rejected(verdict.reasons[0])
        return None

    def pinned(self, pin_hash: bytes) -> "EvidenceAppraiser":
        other = copy(self)  # what was learnt of platforms is shared
        other._pin_hash = pin_hash  # noqa: SLF001  # of our own class
        return other

    def review(self, evidence: bytes, collateral: bytes | None, at: UnixTime) -> Appraisal:
        parsed = parse_collateral(collateral) if collateral is not None else None
        genuine = self._verifier.verify(evidence, parsed, at)
        verdict = self._policy.appraise(genuine, report_data=None, pin_hash=self._pin_hash)
        return Appraisal(verdict, self._terms(verdict), parsed)

    def _first_look(
        self, evidence: bytes, key: bytes | None, at: UnixTime
    ) -> tuple[Verdict | None, tuple[CollateralRequest, ...]]:
        """Which collateral to ask for, and the verdict without any; none is made of a platform that was genuine before.
        What is not genuine anyway must not make us ask a service about platforms that a stranger invented."""
        known = self._requests.get(key) if key else None
        if known:
            return None, (known,)
        verdict = self._verifier.verify(evidence, None, at)
        open_to_us = verdict.genuine is None and not _STRANGERS & set(verdict.reasons)
        return verdict, requests_for(evidence, self._update) if open_to_us else ()

    def _terms(self, verdict: Verdict) -> Terms | None:
        if verdict.decision is not Decision.ACCEPTED or verdict.workload is None:
            return None
        workload = self._policy.workload(verdict.workload)
        return Terms(workload.name, workload.max_session_age, workload.max_offer_age)

    def _first_of(self, requests: tuple[CollateralRequest, ...], at: UnixTime) -> tuple[CollateralRequest, Collateral]:
        """The first request that a source has something for. Raises `Unavailable`. Whoever has to wait for one answer
        does, before the next is asked for."""
        *others, last = requests
        for request in others:
            with suppress(Absent):
                return request, self._collateral(request, at)
        return last, self._collateral(last, at)

    def _collateral(self, request: CollateralRequest, at: UnixTime) -> Collateral:
        """From the first source that has it. Raises `Unavailable`."""
        problems: list[Unavailable | Malformed] = []
        for source in self._sources:
            try:
                return source.get(request, at)
            except (Unavailable, Malformed) as error:
                problems.append(error)
        what = "; ".join(map(str, problems)) or "no source of collateral is configured"
        _log.warning("no collateral request=%s: %s", request.key, what)
        retry = min((error.retry_after for error in problems if isinstance(error, Unavailable)), default=_RETRY)
        absent = problems and all(isinstance(error, Absent) for error in problems)
        kind = Absent if absent else Unavailable
        raise kind(f"collateral for {request}: {what}", retry_after=max(1, min(retry, _RETRY)))

    def _check_collateral(self, verdict: Verdict, request: CollateralRequest) -> None:
        """Raises `Unavailable` where the collateral is bad and not the evidence; a cache is told to drop it."""
        at_fault = _CERTIFICATES_AT_FAULT if isinstance(request, SnpRequest) else _COLLATERAL_AT_FAULT
        bad = [reason.name for reason in verdict.reasons if reason in at_fault]
        if not bad:
            return
        _log.error("collateral is bad request=%s reasons=%s", request.key, ",".join(bad))
        for source in self._sources:
            if isinstance(source, CachedSource):
                source.forget(request)
        raise Unavailable(f"collateral for {request} is bad: {', '.join(bad)}", retry_after=_RETRY)


def _platform_key(evidence: bytes) -> bytes | None:
    """The digest of a quote's TEE and certification data, by which a platform is known again: SGX and TDX have
    collateral of their own, even on one machine."""
    try:
        quote = Quote.parse(evidence)
        return hashlib.sha256(quote.header.tee.value.encode() + quote.certification.data).digest()
    except Malformed:
        return None


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{what} {path}: {error.strerror}") from error
