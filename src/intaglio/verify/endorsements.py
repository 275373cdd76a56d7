"""Collateral, judged once for many quotes: who signed it, what it says, how long it holds (checks 12, 14, 16 to 20).

A signature is checked before the bytes under it are parsed, and the signer's role before its signature: only a TCB
signing certificate that the root issued directly may sign TCB info and QE identities, never a PCK certificate.
"""

from dataclasses import dataclass, field

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.cache import Recent
from intaglio.verify.chain import Authorities, Authority, PckChain
from intaglio.verify.ledger import Group, Ledger, Step, Window, common_span, moment
from intaglio.verify.roots import Vendor, window
from intaglio.verify.signature import P256Key
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo
from intaglio.wire.x509 import Certificate, RevocationList, read_pem_chain

__all__ = ["COLLATERAL", "Endorsements", "judge_collateral"]

COLLATERAL = Step("14", "collateral", "the collateral of this platform", Group.COLLATERAL)
ROOT_CRL = Step("14", "root CA revocation list", "a list signed by the root", Group.COLLATERAL)
PCK_CRL = Step("14", "PCK revocation list", "a list signed by the CA that issued the PCK certificate", Group.COLLATERAL)
CRL_WINDOWS = Step("14", "revocation lists' validity", "this update <= time <= next update", Group.COLLATERAL)
REVOCATION = Step("14", "revocation", "a PCK certificate and CA that are on no list", Group.COLLATERAL)
TCB_SIGNER = Step("12", "TCB info signer", "a TCB signing certificate that the pinned root issued", Group.COLLATERAL)
QE_SIGNER = Step("12", "QE identity signer", "a TCB signing certificate that the pinned root issued", Group.COLLATERAL)
TCB_SIGNATURE = Step("16", "TCB info signature", "the signer's signature over the exact bytes", Group.COLLATERAL)
QE_SIGNATURE = Step("16", "QE identity signature", "the signer's signature over the exact bytes", Group.COLLATERAL)
TCB_CONTENT = Step(
    "17",
    "TCB info content",
    "version 2 or 3 (TDX: 3, with its modules), known statuses, levels that differ",
    Group.COLLATERAL,
)
TCB_PLATFORM = Step("17", "TCB info's platform", "the TEE, FMSPC and PCE id of the PCK certificate", Group.COLLATERAL)
WINDOWS = Step("18", "collateral validity", "issue date <= time <= next update, and valid signers", Group.COLLATERAL)
EVALUATION = Step("19", "TCB evaluation number", "reported; a policy may demand a minimum", Group.COLLATERAL)
QE_CONTENT = Step("20", "QE identity content", "id QE of version 2; for TDX, TD_QE of version 2 or 3", Group.COLLATERAL)


@dataclass(frozen=True, slots=True)
class Endorsements:
    """Collateral whose findings do not depend on the time or the platform. Parts that failed are None."""

    root: Certificate | None
    root_crl: RevocationList | None
    pck_crl: RevocationList | None
    tcb_info: TcbInfo | None
    qe_identity: EnclaveIdentity | None
    crl_windows: tuple[Window, ...]
    windows: tuple[Window, ...]
    span: Window
    crl_span: Window
    findings: Ledger
    crl_signers: Recent[bool] = field(default_factory=lambda: Recent(16), compare=False)
    """CA keys for which the signature on `pck_crl` has been checked and holds."""

    @property
    def evaluation_number(self) -> int | None:
        """The lower of the two documents' numbers (check 19: real pairs differ)."""
        if self.tcb_info is None or self.qe_identity is None:
            return None
        return min(self.tcb_info.evaluation_number, self.qe_identity.evaluation_number)

    @property
    def advisories_stated(self) -> bool:
        """Whether the TCB info can name advisories at all: version 2 can't (check 17)."""
        return self.tcb_info is not None and self.tcb_info.version > 2

    def check_platform(self, chain: PckChain, ledger: Ledger) -> None:
        """What depends on the platform: checks 13 (one root), 14 (PCK CRL, revocation) and 17 (FMSPC and PCE id)."""
        if self.pck_crl is not None:
            ledger.run(PCK_CRL, lambda: self._check_pck_crl(chain))
        if ledger.passed(PCK_CRL) and self.root_crl is not None:
            ledger.run(REVOCATION, lambda: self._check_revocation(chain))
        if self.tcb_info is not None:
            ledger.run(TCB_PLATFORM, lambda: self._check_tcb_platform(chain))

    def _check_pck_crl(self, chain: PckChain) -> str:
        crl, ca = self.pck_crl, chain.authority.certificate
        if crl is None or crl.issuer != chain.leaf.issuer:
            found = crl.issuer_name if crl else "none"
            raise Rejected(Reason.CRL_MISSING, expected=f"a list of {ca.common_name!r}", found=f"a list of {found}")
        if self.crl_signers.get(ca.public_key) is None:
            _check_crl(crl, chain.authority.key)
            self.crl_signers.put(ca.public_key, True)
        return f"{len(crl.revoked)} revoked"

    def _check_revocation(self, chain: PckChain) -> None:
        for certificate, crl in ((chain.leaf, self.pck_crl), (chain.authority.certificate, self.root_crl)):
            if crl is not None and certificate.serial in crl.revoked:
                raise Rejected(Reason.CERTIFICATE_REVOKED, found=f"{certificate.common_name}, {certificate.serial:x}")

    def _check_tcb_platform(self, chain: PckChain) -> str:
        extension, info = chain.extension, self.tcb_info
        if info is None or self.root is None or self.root.public_key != chain.authority.root.public_key:
            raise Rejected(Reason.COLLATERAL_SIGNER, expected="one root for quote and collateral", found="two")
        found, expected = (info.fmspc, info.pce_id), (extension.fmspc, extension.pce_id)
        if found != expected:
            raise Rejected(Reason.COLLATERAL_MISMATCH, expected=expected, found=found)
        return f"FMSPC {info.fmspc.hex()}, PCE id {info.pce_id.hex()}"


def judge_collateral(collateral: DcapCollateral, tee: Tee, authorities: Authorities) -> Endorsements:
    """Everything about `collateral` that neither a platform nor the time decides."""
    own = Ledger()
    own.ok(COLLATERAL, collateral.digest)
    tcb_signer = _signer(collateral.tcb_info_issuer_chain, TCB_SIGNER, authorities, own)
    qe_signer = _signer(collateral.qe_identity_issuer_chain, QE_SIGNER, authorities, own)
    if tcb_signer and qe_signer and tcb_signer.root.public_key != qe_signer.root.public_key:
        own.overturn(QE_SIGNER, Reason.COLLATERAL_SIGNER, "two roots", expected="one root for both documents")
        qe_signer = None
    root_crl = _root_crl(collateral.root_ca_crl, tcb_signer or qe_signer, own)
    for step, signer in ((TCB_SIGNER, tcb_signer), (QE_SIGNER, qe_signer)):
        if signer and root_crl and signer.certificate.serial in root_crl.revoked:
            own.overturn(step, Reason.COLLATERAL_SIGNER, f"{signer.certificate.common_name}, on the root's list")
    pck_crl = _read_crl(collateral.pck_crl, PCK_CRL, own)
    tcb_info = _tcb_info(collateral, tee, tcb_signer, own)
    qe_identity = _qe_identity(collateral, tee, qe_signer, own)
    crl_windows = tuple(
        Window(f"list of {crl.issuer_name}", crl.this_update, crl.next_update or UnixTime(0))
        for crl in (root_crl, pck_crl)
        if crl is not None
    )
    signer_windows = [window(part) for signer in (tcb_signer, qe_signer) if signer for part in _parts(signer)]
    documents = [
        Window(name, document.issue_date, document.next_update)
        for name, document in (("TCB info", tcb_info), ("QE identity", qe_identity))
        if document is not None
    ]
    windows = (*documents, *dict.fromkeys(signer_windows))
    if tcb_info and qe_identity:
        own.ok(EVALUATION, (tcb_info.evaluation_number, qe_identity.evaluation_number))
    return Endorsements(
        root=tcb_signer.root if tcb_signer else None,
        root_crl=root_crl,
        pck_crl=pck_crl,
        tcb_info=tcb_info,
        qe_identity=qe_identity,
        crl_windows=crl_windows,
        windows=windows,
        span=common_span(windows),
        crl_span=common_span(crl_windows),
        findings=own,
    )


def check_windows(span: Window, windows: tuple[Window, ...], at: UnixTime, early: Reason, late: Reason) -> None:
    """`span` is the common span of `windows`. Raises `Rejected` naming the first window that does not contain `at`."""
    if span.begin <= at <= span.end:
        return
    for each in windows:
        if at < each.begin:
            raise Rejected(early, expected=each, found=moment(at))
        if at > each.end:
            raise Rejected(late, expected=each, found=moment(at))


def _parts(signer: Authority) -> tuple[Certificate, Certificate]:
    return signer.certificate, signer.root


def _signer(pem: bytes, step: Step, authorities: Authorities, own: Ledger) -> Authority | None:
    """Check 12: a TCB signing certificate issued directly by the pinned root. Its signature is checked last."""
    try:
        found = [authorities.read(der) for der in read_pem_chain(pem)]
    except Malformed as malformed:
        own.fail(step, Reason.COLLATERAL_SIGNER, malformed)
        return None
    return own.learn(step, lambda: _check_signer(found, authorities))


def _check_signer(found: list[Certificate], authorities: Authorities) -> Authority:
    root = [each for each in found if each.subject == each.issuer]
    signers = [each for each in found if each.subject != each.issuer]
    names = [each.common_name for each in found]
    if len(found) != 2 or len(root) != 1 or signers[0].issuer != root[0].subject:
        raise Rejected(
            Reason.COLLATERAL_SIGNER, expected="a signing certificate and the root that issued it", found=names
        )
    signer = signers[0]
    is_signer = "SGX TCB Signing" in signer.common_name and signer.sgx_extension is None
    if not is_signer or signer.is_ca or not signer.signs_data or signer.unknown_critical or not root[0].is_ca:
        raise Rejected(Reason.COLLATERAL_SIGNER, expected="a TCB signing certificate that is no CA", found=names)
    try:
        authorities.roots.check(root[0], Vendor.INTEL_SGX)
        return authorities.authority(signer, root[0])
    except Rejected as rejected:
        # Whoever supplied the collateral has to mend it. What a root or a signature is to a platform's own certificates
        # would send its owner looking for a fault in the machine.
        raise Rejected(Reason.COLLATERAL_SIGNER, expected=rejected.expected, found=rejected.found) from rejected


def _root_crl(data: bytes, signer: Authority | None, own: Ledger) -> RevocationList | None:
    crl = _read_crl(data, ROOT_CRL, own)
    if crl is None:
        return None
    if signer is None:
        own.skip(ROOT_CRL, "not run: there is no collateral signer under a pinned root")
        return None
    root = signer.root

    def check() -> str:
        if crl.issuer != root.subject:
            raise Rejected(
                Reason.CRL_MISSING, expected=f"a list of {root.common_name!r}", found=f"a list of {crl.issuer_name}"
            )
        _check_crl(crl, P256Key(root.public_key, Reason.CRL_SIGNATURE))
        return f"{len(crl.revoked)} revoked"

    return crl if own.run(ROOT_CRL, check) else None


def _read_crl(data: bytes, step: Step, own: Ledger) -> RevocationList | None:
    if not data:
        own.fail(step, Reason.CRL_MISSING, "none")
        return None
    try:
        crl = RevocationList.parse(data)
    except Malformed as malformed:
        own.fail(step, Reason.COLLATERAL_MALFORMED, malformed)
        return None
    if crl.unknown_critical or crl.next_update is None:
        own.fail(step, Reason.COLLATERAL_MALFORMED, "an unknown critical extension, or no next update")
        return None
    return crl


def _check_crl(crl: RevocationList, key: P256Key) -> None:
    if crl.algorithm is not key.algorithm:
        raise Rejected(Reason.CRL_SIGNATURE, expected=key.algorithm.value, found=crl.algorithm.value)
    key.check(crl.signature, crl.signed, Reason.CRL_SIGNATURE)


def _tcb_info(collateral: DcapCollateral, tee: Tee, signer: Authority | None, own: Ledger) -> TcbInfo | None:
    body, signature = collateral.tcb_info, collateral.tcb_info_signature
    reason = Reason.TCB_INFO_SIGNATURE
    if signer is None or not own.run(TCB_SIGNATURE, lambda: signer.key.check_raw(signature, body, reason)):
        return None
    try:
        info = TcbInfo.parse(body)
    except Malformed as malformed:
        own.fail(TCB_CONTENT, Reason.COLLATERAL_MALFORMED, malformed)
        return None
    if info.id != tee.name or info.tcb_type != 0:
        found = f"{info.id} of type {info.tcb_type}"
        own.fail(TCB_CONTENT, Reason.COLLATERAL_MISMATCH, found, expected=f"{tee.name} of type 0")
        return None
    own.ok(TCB_CONTENT, f"version {info.version}, {len(info.levels)} levels")
    return info


def _qe_identity(collateral: DcapCollateral, tee: Tee, signer: Authority | None, own: Ledger) -> EnclaveIdentity | None:
    body, signature = collateral.qe_identity, collateral.qe_identity_signature
    reason = Reason.QE_IDENTITY_SIGNATURE
    if signer is None or not own.run(QE_SIGNATURE, lambda: signer.key.check_raw(signature, body, reason)):
        return None
    try:
        identity = EnclaveIdentity.parse(body)
    except Malformed as malformed:
        own.fail(QE_CONTENT, Reason.COLLATERAL_MALFORMED, malformed)
        return None
    expected = {Tee.SGX: ("QE", (2,)), Tee.TDX: ("TD_QE", (2, 3))}[tee]
    if identity.id != expected[0] or identity.version not in expected[1]:
        found = f"{identity.id} of version {identity.version}"
        own.fail(QE_CONTENT, Reason.COLLATERAL_MISMATCH, found)
        return None
    own.ok(QE_CONTENT, f"{identity.id} of version {identity.version}, {len(identity.levels)} levels")
    return identity
