"""Is this local report of an SGX enclave genuine? Checks L1 to L4.

EREPORT makes a report for one other enclave on the same processor and authenticates it with a key that only the
processor and that enclave can have (Intel SDM vol. 3D, EREPORT and EGETKEY). So there is no certificate and no
signature: whoever verifies brings the key, and could have made the report as well. Without the key nothing can be
decided.
"""

from intaglio.errors import Malformed
from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.ledger import Group, Ledger, Step
from intaglio.verify.mac import check_cmac
from intaglio.verify.verdict import Checks, Verdict, evidence_hash, issue
from intaglio.wire.endorsement import Collateral
from intaglio.wire.report_key import ReportKey
from intaglio.wire.sgx import REPORT_BODY_SIZE, AttributeFlag, LocalReport, ReportBody

__all__ = ["PROCEDURE", "LocalReportVerifier", "check_report_mac"]

REPORT = Step("L1", "report format", "432 bytes: body, key id and MAC, reserved bytes zero", Group.FORMAT)
INIT = Step("L2", "INIT attribute", "an initialised enclave", Group.FORMAT)
KEY = Step(
    "L3", "report key", "the key of the enclave that the report was made for, for the report's key id", Group.COLLATERAL
)
MAC = Step("L4", "MAC", "AES-128-CMAC over the body under the report key", Group.SIGNATURES)

PROCEDURE = (REPORT, INIT, KEY, MAC)
_STEPS = frozenset(PROCEDURE)


class LocalReportVerifier:
    """Judges local reports, and bare report bodies, of which nothing can be known. It trusts no root and remembers
    nothing: keys are secrets."""

    def verify(self, evidence: bytes, collateral: Collateral | None, at: UnixTime) -> Verdict:
        """Judges 432 or 384 bytes; the time does not matter. Bytes that are no report give a verdict too."""
        ledger = Ledger()
        name = evidence_hash(evidence)
        try:
            if len(evidence) == REPORT_BODY_SIZE:
                body = ReportBody.parse(evidence)
                ledger.undecidable(
                    REPORT, Reason.UNSUPPORTED_EVIDENCE, "a report body without a MAC: no key can vouch for it"
                )
                _check_initialised(body, ledger)
                return _verdict(ledger, name, at, body)
            report = LocalReport.parse(evidence)
        except Malformed as malformed:
            ledger.fail(REPORT, Reason.MALFORMED_EVIDENCE, malformed)
            return _verdict(ledger, name, at, None)
        ledger.ok(REPORT)
        _check_initialised(report.body, ledger)
        key = _report_key(report, collateral, ledger)
        if key is not None:
            ledger.run(MAC, lambda: check_report_mac(report, key))
        return _verdict(ledger, name, at, report.body)


def _check_initialised(body: ReportBody, ledger: Ledger) -> None:
    if body.attributes.has(AttributeFlag.INIT):
        ledger.ok(INIT)
    else:
        ledger.fail(INIT, Reason.ENCLAVE_NOT_INITIALISED, body.attributes.encode())


def _report_key(report: LocalReport, collateral: Collateral | None, ledger: Ledger) -> bytes | None:
    """Check L3."""
    if collateral is None:
        ledger.undecidable(KEY, Reason.REPORT_KEY_MISSING, "no report key was supplied: only the target enclave has it")
    elif not isinstance(collateral, ReportKey):
        ledger.fail(KEY, Reason.COLLATERAL_MISMATCH, "collateral of another kind")
    elif collateral.key_id != report.key_id:
        ledger.fail(KEY, Reason.COLLATERAL_MISMATCH, collateral.key_id, expected=report.key_id)
    else:
        ledger.ok(KEY, f"for key id {report.key_id.hex()}")
        return collateral.report_key
    return None


def check_report_mac(report: LocalReport, key: bytes) -> None:
    """Check L4. Raises `Rejected(REPORT_MAC)`."""
    check_cmac(key, report.body.encode(), report.mac, Reason.REPORT_MAC, "a MAC under the report key")


def _verdict(ledger: Ledger, name: bytes, at: UnixTime, body: ReportBody | None) -> Verdict:
    genuine = ledger.genuine(_STEPS)
    return issue(
        tee=Tee.SGX,
        genuine=genuine,
        reasons=() if genuine else ledger.reasons(PROCEDURE),
        checks=Checks(lambda: ledger.render(PROCEDURE)),
        evidence_hash=name,
        at=at,
        identity=body,
    )
