"""Is the enclave beside ours the one we want? What an enclave pins of a peer that proved itself by a local report.

*Genuine* is the report's MAC (`intaglio.verify.local_report`); this is *acceptable*. There is no TCB to judge: the
peer runs on our own CPU.
"""

from dataclasses import dataclass
from typing import Self

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import Measurement
from intaglio.verify.ledger import Group, Ledger, Step
from intaglio.verify.verdict import Checks, Decision, Verdict, issue
from intaglio.wire.sgx import AttributeFlag, ReportBody

__all__ = ["PeerPolicy"]

PEER = Step("policy", "peer", "an enclave that the peer policy names", Group.POLICY)
_PRIVILEGES = (AttributeFlag.PROVISION_KEY, AttributeFlag.EINITTOKEN_KEY)


@dataclass(frozen=True, slots=True)
class PeerPolicy:
    """Made by `enclaves` or `signer`: one of the two says who the peer is. It belongs into the measured script."""

    mr_enclaves: frozenset[Measurement] = frozenset()
    mr_signer: Measurement | None = None
    isv_prod_id: int = 0
    min_isv_svn: int = 0
    dangerous_allow_debug: bool = False

    def __post_init__(self) -> None:
        if bool(self.mr_enclaves) is (self.mr_signer is not None):
            raise ValueError("peer policy: need either MRENCLAVEs or one MRSIGNER")
        named = [*self.mr_enclaves, *([] if self.mr_signer is None else [self.mr_signer])]
        if any(len(measurement) != 32 for measurement in named):
            raise ValueError("peer policy: a measurement is 32 bytes")

    @classmethod
    def enclaves(cls, *mr_enclaves: Measurement, dangerous_allow_debug: bool = False) -> Self:
        """Exactly these images."""
        return cls(frozenset(mr_enclaves), dangerous_allow_debug=dangerous_allow_debug)

    @classmethod
    def signer(
        cls, mr_signer: Measurement, *, isv_prod_id: int, min_isv_svn: int, dangerous_allow_debug: bool = False
    ) -> Self:
        """Any image of this product that its vendor signed at this security version or a higher one."""
        return cls(frozenset(), mr_signer, isv_prod_id, min_isv_svn, dangerous_allow_debug)

    def appraise(self, verdict: Verdict) -> Verdict:
        """`verdict`, of a local report, with a decision. Nothing but a genuine report is looked at."""
        ledger, peer = Ledger(), verdict.identity
        if verdict.genuine is not True or not isinstance(peer, ReportBody):
            decision = Decision.UNDECIDABLE if verdict.genuine is None else Decision.REJECTED
            ledger.skip(PEER, "not run: the evidence is not known to be genuine")
        else:
            ledger.run(PEER, lambda: self.check(peer))
            decision = Decision.ACCEPTED if ledger.passed(PEER) else Decision.REJECTED
        return issue(
            tee=verdict.tee,
            genuine=verdict.genuine,
            reasons=(*verdict.reasons, *ledger.reasons((PEER,))),
            checks=Checks(lambda: verdict.checks + ledger.render((PEER,))),
            evidence_hash=verdict.evidence_hash,
            at=verdict.at,
            decision=decision,
            identity=peer,
        )

    def check(self, peer: ReportBody) -> None:
        """Raises `Rejected` (ENCLAVE_NOT_INITIALISED, DEBUG_ENCLAVE, PRIVILEGED_ENCLAVE, WRONG_MEASUREMENT,
        WRONG_SIGNER, WRONG_PRODUCT, SVN_TOO_LOW)."""
        if not peer.attributes.has(AttributeFlag.INIT):
            raise Rejected(Reason.ENCLAVE_NOT_INITIALISED, found=peer.attributes.encode().hex())
        if peer.debug and not self.dangerous_allow_debug:
            raise Rejected(Reason.DEBUG_ENCLAVE, expected="production", found="debug")
        held = [flag.name for flag in _PRIVILEGES if peer.attributes.has(flag)]
        if held:
            raise Rejected(Reason.PRIVILEGED_ENCLAVE, found=held)
        if self.mr_signer is None:
            if peer.mr_enclave not in self.mr_enclaves:
                expected = sorted(measurement.hex() for measurement in self.mr_enclaves)
                raise Rejected(Reason.WRONG_MEASUREMENT, expected=expected, found=peer.mr_enclave.hex())
            return
        if peer.mr_signer != self.mr_signer:
            raise Rejected(Reason.WRONG_SIGNER, expected=self.mr_signer.hex(), found=peer.mr_signer.hex())
        if peer.isv_prod_id != self.isv_prod_id:
            raise Rejected(Reason.WRONG_PRODUCT, expected=self.isv_prod_id, found=peer.isv_prod_id)
        if peer.isv_svn < self.min_isv_svn:
            raise Rejected(Reason.SVN_TOO_LOW, expected=f"at least {self.min_isv_svn}", found=peer.isv_svn)
