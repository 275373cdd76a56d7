"""Local reports in place of quotes, for the handshake between two enclaves (docs/protocol.md §15) on one CPU.

A report is addressed to one enclave, so the responder must know its caller before it makes an offer: the caller's host
brings the caller's TARGETINFO. Nothing vouches for that, and nothing needs to: a report for somebody else is one that
the caller can't check.
"""

from intaglio.errors import LocalProtocolError, Malformed
from intaglio.session.local import LocalPlatform
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.verify.local_peer import PeerPolicy
from intaglio.verify.local_report import LocalReportVerifier
from intaglio.verify.verdict import Decision, Verdict
from intaglio.wire.report_key import ReportKey
from intaglio.wire.sgx import LOCAL_REPORT_SIZE, LocalReport
from intaglio.wire.target_info import TargetInfo

__all__ = ["LocalProof"]


class LocalProof:
    """Judge and attester of one handshake: `judge` and `quote` are what its two ends take (`intaglio.session.peer`)."""

    def __init__(
        self, platform: LocalPlatform, policy: PeerPolicy, at: UnixTime, *, caller: TargetInfo | None = None
    ) -> None:
        """`at`: a data centre's time, for the record; a local report has no use for one. `caller`: whom a responder's
        offer is for. An initiator has none: it answers the enclave whose offer it accepted."""
        self._platform = platform
        self._policy = policy
        self._at = at
        self._target = caller

    def judge(self, tee: Tee, evidence: bytes) -> Verdict:
        """Whether this is a report for us of an enclave that the policy names. Raises what the platform raises where
        it gives no report key."""
        key = self._key_for(evidence) if tee is Tee.SGX else None
        verdict = self._policy.appraise(LocalReportVerifier().verify(evidence, key, self._at))
        if verdict.decision is Decision.ACCEPTED and self._target is None:
            self._target = TargetInfo.of(LocalReport.parse(evidence).body)
        return verdict

    def quote(self, report_data: ReportData) -> bytes:
        """EREPORT for the other end. Raises `LocalProtocolError` while there is none."""
        if self._target is None:
            raise LocalProtocolError("local proof: there is nobody to address a report to")
        return self._platform.report(self._target, report_data)

    def _key_for(self, evidence: bytes) -> ReportKey | None:
        """None for bytes that are no report; the verdict says so."""
        if len(evidence) != LOCAL_REPORT_SIZE:
            return None
        try:
            report = LocalReport.parse(evidence)
        except Malformed:
            return None
        return ReportKey(report.key_id, self._platform.report_key(report.key_id))
