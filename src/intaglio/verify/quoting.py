"""What a quoting enclave vouches for: from the platform's key to its report, to its attestation key, to the quote
(checks 21 to 24).
"""

import hashlib

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.verify.chain import PckChain
from intaglio.verify.endorsements import Endorsements
from intaglio.verify.ledger import Ledger
from intaglio.verify.procedure import QE_DATA, QE_IDENTITY, QE_REPORT
from intaglio.verify.signature import P256Key
from intaglio.verify.tcb import check_enclave, enclave_level
from intaglio.wire.collateral import EnclaveTcbLevel
from intaglio.wire.dcap import Quote

__all__ = ["attestation_key", "check_quote_signature", "check_quoting_enclave", "quoting_enclave_level"]


def check_quoting_enclave(quote: Quote, platform: PckChain | None, ledger: Ledger) -> None:
    """Checks 21 and 22: from the platform's key to the QE's report, and from there to the attestation key."""
    if platform:
        key, reason = platform.key, Reason.QE_REPORT_SIGNATURE
        ledger.run(QE_REPORT, lambda: key.check_raw(quote.qe_report_signature, quote.qe_report_signed, reason))
    ledger.run(QE_DATA, lambda: _check_qe_data(quote))


def _check_qe_data(quote: Quote) -> None:
    expected = hashlib.sha256(quote.attestation_key + quote.qe_auth_data).digest() + bytes(32)
    if quote.qe_report.report_data != expected:
        raise Rejected(Reason.QE_REPORT_DATA, expected=expected, found=quote.qe_report.report_data)


def attestation_key(quote: Quote) -> P256Key | None:
    """None for bytes that are no point; check 23 says so."""
    try:
        return P256Key(quote.attestation_key, Reason.QUOTE_SIGNATURE)
    except Rejected:
        return None


def check_quote_signature(quote: Quote, key: P256Key | None) -> None:
    """Check 23: from the attestation key to header and report."""
    if key is None:
        key = P256Key(quote.attestation_key, Reason.QUOTE_SIGNATURE)
    key.check_raw(quote.signature, quote.signed, Reason.QUOTE_SIGNATURE)


def quoting_enclave_level(quote: Quote, endorsements: Endorsements | None, ledger: Ledger) -> EnclaveTcbLevel | None:
    """Check 24; the level is None also for an enclave that is below every level."""
    identity = endorsements.qe_identity if endorsements else None
    if identity is None:
        return None
    ledger.run(QE_IDENTITY, lambda: check_enclave(quote.qe_report, identity))
    return enclave_level(quote.qe_report.isv_svn, identity.levels)
