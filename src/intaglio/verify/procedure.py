"""The steps by which a DCAP quote is judged, with the numbers and sentences of docs/verification.md (checks 1 to 31).

SGX and TDX share all of them up to the TCB; what follows is about the enclave or the trust domain.
"""

from intaglio.verify import chain as pck
from intaglio.verify import endorsements as end
from intaglio.verify.ledger import Group, Step
from intaglio.wire.dcap import INTEL_QE_VENDOR_ID

__all__ = ["PROCEDURE", "TDX_PROCEDURE"]

HEADER = Step("1", "quote header", "48 bytes", Group.FORMAT)
VERSION = Step("2", "version and TEE", "version 3, 4 or 5 of a known TEE", Group.FORMAT)
KEY_TYPE = Step("3", "attestation key type", "2, ECDSA on P-256", Group.FORMAT)
VENDOR = Step("4", "QE vendor", f"Intel's, {INTEL_QE_VENDOR_ID.hex()}", Group.FORMAT)
BODY = Step("5", "report body", "the size of its type, reserved bytes zero", Group.FORMAT)
AUTHENTICATION = Step("6", "authentication data", "the declared length, and only zero bytes after it", Group.FORMAT)
LAYOUT = Step("7", "authentication data layout", "signature, key, QE report, certification data", Group.FORMAT)
LENGTHS = Step("8", "declared lengths", "every length consumed exactly", Group.FORMAT)
CERTIFICATION = Step("9", "certification data", "the PCK certificate chain (type 5)", Group.FORMAT)
CHAIN_WINDOWS = Step("11", "certificate validity", "not before <= time <= not after", Group.CERTIFICATES)
QE_REPORT = Step("21", "QE report signature", "a signature by the PCK certificate's key", Group.SIGNATURES)
QE_DATA = Step("22", "QE report data", "SHA-256 of attestation key and QE data, then 32 zero bytes", Group.SIGNATURES)
QUOTE_SIGNATURE = Step(
    "23", "quote signature", "a signature by the attestation key over header and body", Group.SIGNATURES
)
QE_IDENTITY = Step(
    "24", "QE identity", "the enclave that Intel's QE identity describes, not in debug mode", Group.SIGNATURES
)
LEVEL = Step("25", "TCB level", "the highest level that the platform reaches, or NotSupported", Group.TCB)
MODULE = Step(
    "26", "TDX module", "a module that the TCB info describes, with its signer and zero SEAMATTRIBUTES", Group.TCB
)
MERGED = Step("27", "merged TCB status", "platform, QE and, for TDX, module together", Group.TCB)
RELAUNCH = Step("28", "TD relaunch", "the state at the TD's launch and the current one, each evaluated", Group.TCB)
STATUS = Step("29", "TCB status", "a known status; whether it is good enough is for the policy", Group.TCB)
INIT = Step("30", "INIT attribute", "an initialised enclave", Group.TCB)
TD_ATTRIBUTES = Step("31", "TD attributes", "no attribute that this release has no name for", Group.TCB)

_COMMON = (
    HEADER, VERSION, KEY_TYPE, VENDOR, BODY, AUTHENTICATION, LAYOUT, LENGTHS, CERTIFICATION,
    pck.CERTIFICATES, pck.CHAIN, pck.CONSTRAINTS, pck.ROLES, pck.ROOT, CHAIN_WINDOWS, pck.EXTENSION,
    end.COLLATERAL, end.TCB_SIGNER, end.QE_SIGNER, end.ROOT_CRL, end.PCK_CRL, end.CRL_WINDOWS, end.REVOCATION,
    end.TCB_SIGNATURE, end.QE_SIGNATURE, end.TCB_CONTENT, end.TCB_PLATFORM, end.WINDOWS, end.EVALUATION,
    end.QE_CONTENT, QE_REPORT, QE_DATA, QUOTE_SIGNATURE, QE_IDENTITY,
)  # fmt: skip

PROCEDURE = (*_COMMON, LEVEL, MERGED, STATUS, INIT)
"""All steps for an SGX quote, in the order in which a reader should look for the cause of a rejection."""

TDX_PROCEDURE = (*_COMMON, LEVEL, MODULE, MERGED, RELAUNCH, STATUS, TD_ATTRIBUTES)
"""The same for a TDX quote."""
