"""Every reason for which Intaglio says no: a closed enumeration, so that tests and dashboards can count it.

Each reason carries what a person at 3 a.m. needs: what happened, what usually causes it, who must act, whether trying
again can help, and what to do. The names are stable; they appear in JSON, in quarantine and in metrics.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = ["Actor", "Area", "Explanation", "Reason"]


class Actor(Enum):
    """Who must act on a rejection."""

    DATA_CENTRE = "data centre"
    ENCLAVE_VENDOR = "enclave vendor"
    HOST_OPERATOR = "host operator"
    PLATFORM_OWNER = "platform owner"


class Area(Enum):
    """What a reason is about: the sections of the enumeration, each by the name of its first member."""

    HANDSHAKE = "OFFER_UNKNOWN"
    FRAMES = "MALFORMED_MESSAGE"
    EVIDENCE = "MALFORMED_EVIDENCE"
    POLICY = "NO_WORKLOAD"
    RESULTS = "RESULT_SIGNATURE"
    LOCAL = "EXCHANGE_AUTHENTICATION"
    SEALING = "SEAL_AUTHENTICATION"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a reason. `retryable`: the same bytes may pass later without anybody changing them. `command`:
    what to type first, where there is such a thing; names in capitals are for the reader to replace."""

    summary: str
    cause: str
    actor: Actor
    retryable: bool
    remedy: str
    command: str | None = None


_DC, _VENDOR, _HOST, _OWNER = Actor.DATA_CENTRE, Actor.ENCLAVE_VENDOR, Actor.HOST_OPERATOR, Actor.PLATFORM_OWNER


class Reason(Enum):
    """A reason's value is its `Explanation`; its name is what machines see."""

    # -- handshake ---------------------------------------------------------------------------------------------------
    OFFER_UNKNOWN = Explanation(
        "the hello answers an offer that is not held here",
        "the offer came from another data centre (a relay), or it was deleted before this hello arrived",
        _HOST, False, "fetch a fresh offer from the data centre that the enclave pins and make a new session",
        "intaglio offer URL --pin dc.pub",
    )  # fmt: skip
    OFFER_EXPIRED = Explanation(
        "the hello answers an offer after its last use",
        "the host kept an old offer, or the hello lay in a spool for longer than the offer's not-after",
        _HOST, False, "fetch a fresh offer and make a new session",
        "intaglio offer URL --pin dc.pub",
    )  # fmt: skip
    OFFER_NOT_YET_VALID = Explanation(
        "the hello answers an offer before its not-before",
        "the clock of the data centre went backwards, or workers of one data centre disagree on the time",
        _DC, True, "synchronise the clocks of the data centre's machines",
        "intaglio doctor --data-centre",
    )  # fmt: skip
    OFFER_KEY_DESTROYED = Explanation(
        "the private key of this offer was destroyed when its delete-after passed",
        "the hello was spooled for longer than the spool window",
        _HOST, False, "make a new session; what only this hello could open is lost by design",
    )  # fmt: skip
    OFFER_SIGNATURE = Explanation(
        "the offer is not signed by the data centre that this enclave pins",
        "the host, or someone on its network, put another offer in its place",
        _HOST, False, "fetch the offer from the pinned data centre; if it came from there, compare the pinned keys",
        "intaglio offer URL --pin dc.pub",
    )  # fmt: skip
    OFFER_TOO_OLD = Explanation(
        "the epoch of an offer or statement is lower than one this enclave has already seen, or its key was revoked",
        "the host replays an old one to keep the enclave on keys that were replaced",
        _HOST, False, "fetch a fresh one",
        "intaglio offer URL --pin dc.pub",
    )  # fmt: skip
    SUITE_TOO_WEAK = Explanation(
        "the offer's suite is below the minimum that is pinned in the enclave",
        "a downgrade by the host, or a data centre configured for a weaker suite than its enclaves demand",
        _DC, False, "serve the suite that the pinned identity demands",
        "intaglio offer URL --pin dc.pub",
    )  # fmt: skip
    AUDIENCE_MISMATCH = Explanation(
        "the offer, hello or statement names another audience",
        "messages of one data centre were delivered to another",
        _HOST, False, "deliver to the data centre that the enclave pins",
        "intaglio offer URL --pin dc.pub",
    )  # fmt: skip
    OWN_OFFER = Explanation(
        "the peer's offer is one that this enclave made itself",
        "the host handed an enclave's own offer back to it, so that it would talk to itself and believe it is another",
        _HOST, False, "hand each of two enclaves the other's offer",
    )  # fmt: skip
    HELLO_AUTHENTICATION = Explanation(
        "the hello's sealed parts do not open under the key that the offer establishes",
        "the hello was altered on the way, or was made for another offer",
        _HOST, False, "deliver the hello exactly as the enclave made it; otherwise make a new session",
    )  # fmt: skip
    SESSION_CONFLICT = Explanation(
        "this session id is already in use by another transcript",
        "a hello was altered and sent again under the id of an existing session",
        _HOST, False, "make a new session; look at what else this host sent",
        "intaglio quarantine --session ID",
    )  # fmt: skip
    EVIDENCE_TOO_OLD = Explanation(
        "the evidence was made for an offer older than the policy's max_offer_age",
        "the hello was stored for long before it was delivered, or is replayed",
        _HOST, False, "fetch a fresh offer and make a new session",
    )  # fmt: skip
    ACCEPT_SIGNATURE = Explanation(
        "the Accept is not signed by the pinned data centre or, between enclaves, by the peer that made the offer",
        "an Accept made by somebody else, for instance with a stolen offer key",
        _HOST, False, "fetch the Accept from the pinned data centre",
    )  # fmt: skip
    STATEMENT_SIGNATURE = Explanation(
        "the statement of time and collateral is not signed by the data centre that this enclave pins",
        "the host made a statement of its own, altered one, or asked another data centre",
        _HOST, False, "ask the pinned data centre, and hand its answer over as it came",
        "intaglio offer URL --pin dc.pub",
    )  # fmt: skip
    STATEMENT_REPLAYED = Explanation(
        "the statement of time and collateral does not answer the nonce that this enclave drew",
        "the host brings an earlier one, under which something is not expired or revoked yet, or another enclave's",
        _HOST, False, "take a nonce from the enclave, and ask the data centre with that one",
    )  # fmt: skip
    ACCEPT_AUTHENTICATION = Explanation(
        "the Accept does not open under this handshake's keys",
        "the Accept was altered, or belongs to another session",
        _HOST, False, "fetch the Accept again; otherwise make a new session",
    )  # fmt: skip
    PROVIDER_SIGNATURE = Explanation(
        "msg2 is not signed by the service provider's key that this enclave pins",
        "msg2 comes from somebody else, or the data centre serves another key than the enclave was built with",
        _HOST, False, "take msg2 from the pinned provider; if it came from there, compare the keys",
        "intaglio sigma show sp.key",
    )  # fmt: skip
    SIGMA_MAC = Explanation(
        "a Sigma message's MAC does not verify under the key of its handshake",
        "the message was altered on the way, or belongs to another handshake",
        _HOST, False, "deliver each message exactly as it was made; otherwise begin again with msg1",
    )  # fmt: skip
    SIGMA_HANDSHAKE = Explanation(
        "a Sigma message belongs to no handshake that is open here",
        "it was sent before, came too late or for another g_a, or the data centre was restarted between msg1 and msg3",
        _HOST, False, "begin again with msg1; a handshake takes one msg3 and waits for it for ten minutes",
    )  # fmt: skip
    SIGMA_UNSUPPORTED = Explanation(
        "the Sigma message asks for what this profile does not have",
        "an application that still uses EPID (a group id, a signature revocation list, platform services) or a key"
        " derivation of its own",
        _VENDOR, False, "build with the SDK's own key derivation and ECDSA quotes (sgx_ra_get_msg1_ex and its fellows)",
    )  # fmt: skip

    # -- frames ------------------------------------------------------------------------------------------------------
    MALFORMED_MESSAGE = Explanation(
        "the bytes are not a message of this protocol",
        "garbage, a truncated body, or a message of a newer protocol version",
        _HOST, False, "deliver messages exactly as the enclave made them",
        "intaglio inspect FILE",
    )  # fmt: skip
    SESSION_UNKNOWN = Explanation(
        "no session with this id is known here",
        "the hello was never delivered here, was rejected, or the frame belongs to another data centre",
        _HOST, False, "deliver the hello first; look for its rejection in quarantine",
        "intaglio quarantine",
    )  # fmt: skip
    SESSION_ENDED = Explanation(
        "the session has ended",
        "its policy age, its evidence's age or its collateral's next update passed",
        _HOST, False, "make a new session; frames that still decrypt are kept as LATE until re-appraised",
        "intaglio sessions ID",
    )  # fmt: skip
    FRAME_AUTHENTICATION = Explanation(
        "the frame does not open under its session's key",
        "it was edited or forged on the way, or made by something that does not hold the session's keys",
        _HOST, False, "ask the host what touched it; the true frame can still be delivered under the same number",
        "intaglio quarantine --session ID",
    )  # fmt: skip
    FRAME_SIGNATURE = Explanation(
        "an epoch-0 frame opens but is not signed by the key that the evidence binds",
        "somebody who holds a stolen offer key forges enclave output",
        _DC, False, "treat the offer key as stolen: rotate the offer and look at every session under it",
        "intaglio quarantine --reason FRAME_SIGNATURE",
    )  # fmt: skip
    CHECKPOINT_SIGNATURE = Explanation(
        "a checkpoint opens but is not signed by the key that the evidence binds",
        "somebody who holds a session's keys and not the enclave's signing key forges what it says it has sent",
        _DC, False, "treat the keys of this session as stolen: end it and look at how the store is guarded",
        "intaglio quarantine --reason CHECKPOINT_SIGNATURE",
    )  # fmt: skip
    CHECKPOINT_MISMATCH = Explanation(
        "a checkpoint contradicts the frames or the checkpoints that are stored",
        "two copies of one enclave state are running (a fork), or the enclave is broken",
        _VENDOR, False, "end the session and treat its records as suspect",
        "intaglio quarantine --reason CHECKPOINT_MISMATCH",
    )  # fmt: skip
    REPLAY = Explanation(
        "a frame with this number is already stored",
        "a replay by the host, or a delivery repeated after its answer was lost",
        _HOST, False, "nothing: the record is stored once; if this happens often, look at the host",
        "intaglio sessions ID",
    )  # fmt: skip
    SEQUENCE_REUSED = Explanation(
        "a different, authentic frame already has this number",
        "two copies of one enclave state are running (a fork), or the enclave is broken",
        _VENDOR, False, "end the session and treat its records as suspect",
        "intaglio records --session ID",
    )  # fmt: skip
    OUT_OF_ORDER = Explanation(
        "a downward frame arrived out of order",
        "the host reordered, dropped or repeated messages for the enclave",
        _HOST, False, "deliver downward frames in order, each once",
    )  # fmt: skip
    REPLAY_STATE_FULL = Explanation(
        "the frame would open one gap, or one epoch, too many in its session",
        "a host drops or reorders so much that what waits for missing frames no longer fits in its bound",
        _HOST, True, "deliver the missing frames first",
        "intaglio sessions ID",
    )  # fmt: skip
    EPOCH_CLOSED = Explanation(
        "the keys of this frame's epoch are destroyed or not yet known",
        "the frame was delivered after its epoch was closed by a rekey, or before the Accept",
        _HOST, False, "nothing if it is late; its number is named as lost",
    )  # fmt: skip
    EPOCH_EXHAUSTED = Explanation(
        "the epoch holds no more frames",
        "the offer's limit of frames before Accept, or of frames per key, is reached",
        _HOST, True, "deliver the Accept (or rekey) to the enclave",
    )  # fmt: skip
    LATE = Explanation(
        "the frame is authentic but its session had ended when it arrived",
        "store-and-forward: the host delivered after the session's end",
        _DC, False, "re-appraise the session's evidence with current collateral to accept the record",
        "intaglio sessions ID",
    )  # fmt: skip

    # -- evidence ----------------------------------------------------------------------------------------------------
    MALFORMED_EVIDENCE = Explanation(
        "the evidence is not what it claims to be",
        "truncated, padded with something other than zeros, or altered in a length or a reserved field",
        _HOST, False, "deliver the evidence exactly as the platform made it; if it did, report the bytes to us",
        "intaglio inspect FILE",
    )  # fmt: skip
    UNSUPPORTED_EVIDENCE = Explanation(
        "this kind of evidence can be recognised but not judged",
        "a TEE, a quote version, a key type or an attribute of a TD that this release has no verifier for",
        _DC, False, "upgrade the data centre, or run the workload on a TEE that it can judge",
        "intaglio inspect FILE",
    )  # fmt: skip
    QE_VENDOR = Explanation(
        "the quote names a quoting enclave vendor other than Intel",
        "the quote was altered, or made by a quoting enclave that Intel did not sign",
        _HOST, False, "use Intel's quoting enclave; if it was used, something on the host edits quotes",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    PCK_CERTIFICATE_MISSING = Explanation(
        "the quote names its platform but does not carry the platform's certificate",
        "the host's quote provider had no PCK certificate cached and put an encrypted platform id in its place",
        _HOST, False, "configure the quote provider library with a PCCS, so that quotes carry the certificate chain",
        "intaglio doctor --host",
    )  # fmt: skip
    CHIP_ID_MASKED = Explanation(
        "the report does not say which chip signed it, and no certificate came with it",
        "the platform's owner masks CHIP_ID (MaskChipId), and by that a chip's certificate is looked up",
        _OWNER, False, "show the chip id in the platform's SNP configuration, or supply its VCEK certificate",
        "intaglio inspect FILE",
    )  # fmt: skip
    CERTIFICATE_CHAIN = Explanation(
        "the platform's certificates do not form a signed chain",
        "a certificate was altered, is missing, or belongs to another chain",
        _HOST, False, "fetch the certificate chain again from the vendor's service",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    CERTIFICATE_CONSTRAINTS = Explanation(
        "a certificate is used for what it must not be used for",
        "a certificate that is not an authority signed another one, or a chain is longer than its path length",
        _HOST, False, "treat the host as hostile: the vendor issues no such chain",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    CERTIFICATE_ROLE = Explanation(
        "a certificate stands in a place that is not its own",
        "for instance a TCB signing certificate in place of a PCK certificate, or a VCEK of another product",
        _HOST, False, "treat the host as hostile: the vendor issues no such chain",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    CERTIFICATE_EXPIRED = Explanation(
        "a certificate that the evidence rests on has expired",
        "it was kept too long (a Nitro document's certificates live three hours), or the platform not re-provisioned",
        _OWNER, False, "make new evidence; if it has expired too, re-provision the platform. Judge archives with --at",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    CERTIFICATE_NOT_YET_VALID = Explanation(
        "a certificate of the platform is not valid yet",
        "the clock of the data centre is slow, or the time given lies in the past",
        _DC, True, "check the clock of the data centre",
        "intaglio doctor --data-centre",
    )  # fmt: skip
    CERTIFICATE_REVOKED = Explanation(
        "a certificate is on the revocation list of its issuer",
        "the vendor revoked this platform, an authority or a signing key, usually because a key leaked",
        _OWNER, False, "take the platform out of use; look at everything it ever sent",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    ROOT_UNTRUSTED = Explanation(
        "the chain ends in a root key that is not pinned here",
        "simulated evidence at a production data centre, or somebody's own root",
        _HOST, False, "use real hardware; for a laboratory, start the data centre with the laboratory's root",
        "intaglio verify FILE --lab ROOT.pem",
    )  # fmt: skip
    VEK_EXTENSIONS = Explanation(
        "AMD's extensions in the certificate of the signing key can't be read",
        "a part is missing, unknown or has a wrong encoding",
        _DC, False, "fetch the VCEK or VLEK certificate again; if it persists, report the certificate to us",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    PCK_EXTENSION = Explanation(
        "the platform certificate's SGX extension can't be read",
        "a part is missing, repeated or has a wrong length",
        _HOST, False, "fetch the platform's certificate again; if it persists, report the certificate to us",
        "intaglio inspect FILE",
    )  # fmt: skip
    COLLATERAL_MISSING = Explanation(
        "there is no collateral to judge this evidence by",
        "it was not supplied, or the collateral service could not be reached yet",
        _DC, True, "supply the collateral of this platform, or make its service reachable, and try again",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    COLLATERAL_MALFORMED = Explanation(
        "a part of the collateral can't be read",
        "a truncated download, an unknown status, repeated levels or keys, or a newer format",
        _DC, False, "fetch the collateral again; if it persists, report the document to us",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    COLLATERAL_SIGNER = Explanation(
        "the collateral is signed by something that may not sign collateral",
        "a certificate other than Intel's TCB signing certificate, one that was revoked, or one under another root",
        _DC, False, "fetch the collateral from Intel or a cache that you trust; find out who made this",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    COLLATERAL_EXPIRED = Explanation(
        "the collateral's next update has passed",
        "the cache was not refreshed in time; Intel's documents live for 30 days",
        _DC, True, "fetch fresh collateral and try again",
        "intaglio collateral status",
    )  # fmt: skip
    COLLATERAL_NOT_YET_VALID = Explanation(
        "the collateral was issued after the time of judgement",
        "the clock of the data centre is slow, or the time given lies before the collateral's issue",
        _DC, True, "check the clock, or use the collateral of that time",
        "intaglio doctor --data-centre",
    )  # fmt: skip
    COLLATERAL_BUNDLE_SIGNATURE = Explanation(
        "the bundle of collateral is not signed by the data centre whose pin was given",
        "another data centre made it, it was altered on the way, or its key is not certified for bundles",
        _DC, False, "export it again where the pinned key is, and compare: intaglio collateral export",
    )  # fmt: skip
    COLLATERAL_BUNDLE_OLD = Explanation(
        "a newer bundle of collateral of this data centre was imported before",
        "an old medium was used again, or somebody keeps back a revocation or a TCB recovery",
        _DC, False, "import the newest bundle; intaglio collateral status says which one was imported last",
    )  # fmt: skip
    COLLATERAL_MISMATCH = Explanation(
        "the collateral is about another platform or another kind of enclave",
        "collateral of another FMSPC, PCE, chip, product or TEE was supplied",
        _DC, False, "fetch the collateral of the platform that the evidence names: by FMSPC and CA, or chip id and TCB",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    CRL_MISSING = Explanation(
        "the revocation list of an issuer is missing",
        "none was supplied, or the list of another issuer in its place",
        _DC, False, "supply the lists of the authorities that issued the platform's certificates",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    CRL_SIGNATURE = Explanation(
        "a revocation list is not signed by its issuer",
        "the list was altered, for instance to hide a revoked platform",
        _DC, False, "fetch the list again from the vendor; find out who altered it",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    TCB_INFO_SIGNATURE = Explanation(
        "the TCB info is not signed by the TCB signing certificate",
        "the document was edited, or serialised again: the signature is over its exact bytes",
        _DC, False, "keep the bytes of the document exactly as the service sent them; fetch it again",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    QE_IDENTITY_SIGNATURE = Explanation(
        "the quoting enclave's identity is not signed by the TCB signing certificate",
        "the identity was edited, serialised again, or stored with another document's signature",
        _DC, False, "keep the bytes of the identity exactly as the service sent them; fetch it again",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    QE_REPORT_SIGNATURE = Explanation(
        "the quoting enclave's report is not signed by the platform's certificate",
        "the report was altered, or the certificate of another platform was put into the quote",
        _HOST, False, "deliver the quote exactly as the platform made it; otherwise treat the host as hostile",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    QE_REPORT_DATA = Explanation(
        "the quoting enclave did not vouch for this attestation key",
        "somebody put their own key into a real quote",
        _HOST, False, "treat the host as hostile",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    QUOTE_SIGNATURE = Explanation(
        "the quote is not signed by its attestation key",
        "a field of the quote, such as the measurement or the report data, was edited",
        _HOST, False, "deliver the quote exactly as the platform made it; otherwise treat the host as hostile",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    REPORT_SIGNATURE = Explanation(
        "the report is not signed by the key of the certificate beside it",
        "a field such as the measurement or the report data was edited, or the certificate is that of another chip",
        _HOST, False, "deliver the report exactly as the firmware made it; otherwise treat the host as hostile",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    REPORT_UNSIGNED = Explanation(
        "the report says itself that no key signed it",
        "the platform masks its chip's key (MASK_CHIP_KEY) and no VLEK is loaded",
        _OWNER, False, "unmask the chip's key in the platform's SNP configuration, or load a VLEK",
    )  # fmt: skip
    TCB_MISMATCH = Explanation(
        "the certificate is for another TCB version than the report states",
        "the firmware was updated or rolled back since the certificate was fetched: each TCB version has its own key",
        _DC, False, "fetch the VCEK certificate for this chip and the reported TCB version",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    QE_IDENTITY_MISMATCH = Explanation(
        "the enclave that made the quote is not Intel's quoting enclave",
        "the platform certified another enclave, or its quoting enclave runs in debug mode",
        _HOST, False, "use Intel's quoting enclave in production mode",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    TDX_MODULE_MISMATCH = Explanation(
        "the TDX module that runs this TD is not one that Intel describes",
        "another vendor's module, one in a special mode, or collateral from before this version of the module",
        _OWNER, False, "load Intel's TDX module; fetch the collateral again if the module is newer than it",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    ENCLAVE_NOT_INITIALISED = Explanation(
        "the report says that its enclave was never initialised",
        "no real CPU reports this: only an initialised enclave can make a report",
        _HOST, False, "treat the platform's attestation key as stolen",
    )  # fmt: skip
    DOCUMENT_SIGNATURE = Explanation(
        "the document is not signed by the certificate that it carries",
        "a field of it, such as a register or the report data, was edited, or it carries another one's certificate",
        _HOST, False, "deliver the document exactly as it was made; otherwise treat the host as hostile",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    DOCUMENT_UNSIGNED = Explanation(
        "the report came without its signature and its signing certificates",
        "an archive kept the body of the attestation service's answer, and not the headers beside it",
        _HOST, False, "put the two headers of that answer beside the body; without them it proves nothing",
    )  # fmt: skip
    ATTESTATION_KEY_REVOKED = Explanation(
        "the key that signed the quote was revoked",
        "Intel's attestation service found it on a revocation list, usually because it was extracted from its platform",
        _OWNER, False, "take the platform out of use; look at everything it ever sent",
    )  # fmt: skip
    REVOCATION_UNDECIDED = Explanation(
        "the attestation service could not say whether the quote's key is revoked",
        "the quote was made with an old signature revocation list (SIGRL_VERSION_MISMATCH)",
        _HOST, False, "look for a report on a later quote of the same platform; the service can't be asked any more",
    )  # fmt: skip
    SERVICE_ENDED = Explanation(
        "the report is dated after the end of the service that makes such reports",
        "Intel's attestation service for EPID ended on 2 April 2025; its signing key should sign nothing since",
        _HOST, False, "treat the report as forged with a stolen key",
    )  # fmt: skip
    EPID_QUOTE = Explanation(
        "an EPID quote can't be judged by anybody any more",
        "only Intel's attestation service could, and it ended on 2 April 2025; the quote is encrypted to it",
        _HOST, False, "judge the report that the service made of this quote; for new evidence use ECDSA quotes (DCAP)",
        "intaglio inspect FILE",
    )  # fmt: skip
    REPORT_KEY_MISSING = Explanation(
        "a local report can't be checked without the report key of the enclave that it was made for",
        "local reports are for another enclave on the same processor, which alone can ask for that key",
        _HOST, False, "send a quote instead; who has the key gives it as collateral",
        "intaglio verify FILE --collateral KEY.json",
    )  # fmt: skip
    REPORT_MAC = Explanation(
        "the local report's MAC does not hold under this report key",
        "the report was altered, made for another enclave, or made on another processor",
        _HOST, False, "make the report on this machine, with the target information of the enclave that checks it",
    )  # fmt: skip
    EVIDENCE_TIMESTAMP = Explanation(
        "the evidence names a time at which its signing certificate was not valid",
        "the signing key was used outside its certificate's life, which the vendor's own service never does",
        _HOST, False, "treat the host as hostile, and the signing key as stolen",
    )  # fmt: skip
    EVIDENCE_FROM_FUTURE = Explanation(
        "the evidence was made after the time of judgement",
        "the clock of the data centre is slow, or the time given lies before the evidence",
        _DC, True, "check the clock of the data centre; judge an archive as of a time after its evidence",
        "intaglio doctor --data-centre",
    )  # fmt: skip

    SELF_SIGNATURE = Explanation(
        "the certificate that carries the evidence is not signed by its own key",
        "it was altered, or somebody else signed it",
        _HOST, False, "take the certificate from the peer itself",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    CLAIM_MISSING = Explanation(
        "the claims beside the evidence don't name the certificate's key (pubkey-hash)",
        "evidence that was made for something else, put into a certificate of any key",
        _HOST, False, "treat the host as hostile; if the enclave made it, it must claim its key's hash",
    )  # fmt: skip
    KEY_BINDING = Explanation(
        "the evidence in the certificate binds another key than the certificate's",
        "evidence was taken out of another certificate (a relay), or claims were edited",
        _HOST, False, "treat the host as hostile; take the certificate from the peer itself",
    )  # fmt: skip
    UNKNOWN_EXTENSION = Explanation(
        "the certificate that carries the evidence has a critical extension that is not known here",
        "whoever made it demands that its meaning be respected",
        _VENDOR, False, "make the certificate without it, or mark it as not critical",
    )  # fmt: skip

    # -- policy ------------------------------------------------------------------------------------------------------
    NO_WORKLOAD = Explanation(
        "the policy accepts no workload on this kind of TEE",
        "the policy file has no [[accept]] table for it",
        _DC, False, "add a table for this workload if it is wanted",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    WRONG_MEASUREMENT = Explanation(
        "the enclave's measurement is not one that the policy names",
        "another enclave, another build, or a new release that the policy does not know yet",
        _HOST, False, "run the enclave that the policy names; after a release add its measurement to the policy",
        "intaglio measure SCRIPT",
    )  # fmt: skip
    MEASUREMENT_NOT_YET_VALID = Explanation(
        "the measurement is one that the policy accepts only from a later time on",
        "a new release started before its not_before in the policy, or the clock of the data centre is slow",
        _HOST, True, "run the release that is accepted now, or let the policy accept the new one earlier",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    MEASUREMENT_RETIRED = Explanation(
        "the measurement is one that the policy no longer accepts",
        "an old release still runs after its not_after in the policy",
        _HOST, False, "run the release that is accepted now; intaglio policy explain lists them",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    WRONG_SIGNER = Explanation(
        "the enclave is signed by another vendor than the policy names",
        "another vendor's enclave was swapped in",
        _HOST, False, "run the enclave of the vendor that the policy names",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    WRONG_PRODUCT = Explanation(
        "the enclave is another product of the same vendor",
        "its product or family id is not the one that the policy names",
        _HOST, False, "run the product that the policy names",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    SVN_TOO_LOW = Explanation(
        "the enclave's security version is below the policy's minimum",
        "an old release of the enclave, perhaps chosen for a hole that was fixed since",
        _HOST, False, "run a release with at least this security version",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    WRONG_CONFIGURATION = Explanation(
        "the enclave was started with a configuration that the policy does not name",
        "its CONFIGID, CONFIGSVN or attributes differ from those in the policy",
        _HOST, False, "start the enclave with the configuration that the policy names",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    WRONG_MODULE = Explanation(
        "the TDX module is not one that the policy names",
        "the platform's owner loaded another release of the module, or another vendor's",
        _OWNER, False, "load a module that the policy names, or add this one's measurement after reading about it",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    TDX_MODULE_TOO_OLD = Explanation(
        "the TDX module or the firmware below it is older than the policy's min_tee_tcb_svn",
        "the trust domain was launched before the platform was updated, or the platform was not updated",
        _OWNER, False, "update the platform, then launch the trust domain again",
    )  # fmt: skip
    SEPT_VE_ENABLED = Explanation(
        "the trust domain runs without SEPT_VE_DISABLE",
        "its host launched it so that taking a page away raises an exception in it, which its kernel may not expect",
        _HOST, False, "launch the trust domain with SEPT_VE_DISABLE, or use a cloud that does",
    )  # fmt: skip
    GUEST_POLICY = Explanation(
        "the guest was launched with a guest policy that allows what the data centre's policy does not",
        "its GUEST_POLICY allows SMT or CXL, lacks a protection, or demands an older firmware ABI than was wanted",
        _HOST, False, "launch the guest with the guest policy that the data centre's policy names",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    WRONG_VMPL = Explanation(
        "the report was requested from another privilege level of the guest than the policy names",
        "software at another VMPL asked, such as a kernel below a paravisor, or the hypervisor itself",
        _HOST, False, "ask for the report from the level that the policy names, or name the level that is meant",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    WRONG_GUEST = Explanation(
        "the report is about another instance of the guest than the policy names",
        "the guest was launched again, which gives it a new report id",
        _HOST, False, "name the report id of the instance that is meant",
    )  # fmt: skip
    FIRMWARE_TOO_OLD = Explanation(
        "the platform's firmware is older than the policy's minimum",
        "boot loader, secure firmware or microcode of the platform are behind, or were when the guest was launched",
        _OWNER, False, "update the platform's firmware, then launch the guest again",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    FIRMWARE_PROVISIONAL = Explanation(
        "the platform runs firmware that its owner has not committed to",
        "an update that is on trial: the platform can still go back to what it had before",
        _OWNER, False, "commit the firmware (SNP_COMMIT)",
    )  # fmt: skip
    SIGNING_KEY = Explanation(
        "the report is signed by another kind of key than the policy names",
        "a VLEK, which the cloud holds and which is the same on many chips, in place of a chip's own VCEK, or reverse",
        _OWNER, False, "let the platform sign with the key that the policy names, or name the other one",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    REVOCATION_UNKNOWN = Explanation(
        "no revocation list was consulted, and the policy demands one",
        "the collateral was supplied without the vendor's list, which is optional",
        _DC, True, "fetch the revocation list and supply it with the collateral",
        "intaglio collateral fetch FILE",
    )  # fmt: skip
    MIGRATABLE_GUEST = Explanation(
        "the guest may be migrated to another platform",
        "it was launched as migratable, with an agent that may move it to a machine that nobody has judged",
        _HOST, False, "launch the guest without migration",
    )  # fmt: skip
    DEBUG_ENCLAVE = Explanation(
        "the enclave runs in debug mode",
        "the host launched it with the debug attribute, which lets it read and write the enclave's memory",
        _HOST, False, "launch the enclave in production mode",
    )  # fmt: skip
    PRIVILEGED_ENCLAVE = Explanation(
        "the enclave holds a key that only Intel's architectural enclaves need",
        "it was launched with PROVISION_KEY or EINITTOKEN_KEY, with which it can track or certify platforms",
        _HOST, False, "launch the enclave without these attributes",
    )  # fmt: skip
    TCB_STATUS = Explanation(
        "the platform's TCB status is not one that the policy allows",
        "microcode, BIOS or configuration are behind, or new collateral changed the status; local reports have none",
        _OWNER, False, "update the platform, or add the status to the policy after reading its advisories",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    ADVISORY = Explanation(
        "an advisory applies to the platform that the policy does not name, or none could be named",
        "Intel published an advisory for this TCB level, each one passes only by name; or the TCB info is of version 2",
        _OWNER, False, "update the platform, or name the advisory after reading it; collateral must come from API v4",
        "intaglio verify FILE --explain",
    )  # fmt: skip
    ADVISORY_OVER = Explanation(
        "an advisory applies to the platform that the policy allowed for a time, and that time is over",
        "the platform was not updated before the policy's until for this advisory",
        _OWNER, False, "update the platform, or extend the time after reading the advisory again",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    TCB_LEVEL_TOO_OLD = Explanation(
        "the TCB level that the platform reaches is older than the policy's min_tcb_level_date",
        "microcode or BIOS of the platform are from before that date, whatever status Intel gives them today",
        _OWNER, False, "update the platform",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    TCB_GRACE_OVER = Explanation(
        "the platform is out of date, and the policy's grace period for it is over",
        "it was not updated within platform_grace_period after the date of its TCB level",
        _OWNER, False, "update the platform; a longer grace period keeps known holes open",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    TCB_EVALUATION_TOO_OLD = Explanation(
        "the collateral's TCB evaluation number is below the policy's minimum",
        "old but unexpired collateral: kept from before the minimum was raised, or supplied to flatter a platform",
        _DC, True, "fetch the newest collateral and try again",
        "intaglio collateral status",
    )  # fmt: skip
    PLATFORM_NOT_ALLOWED = Explanation(
        "the platform is not one that the policy lists",
        "the enclave runs on a machine that is not ours; an attestation key extracted elsewhere would show the same",
        _HOST, False, "run the enclave on a listed platform, or add this one's id to the policy",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    PLATFORM_CONFIGURATION = Explanation(
        "the platform is configured in a way that the policy does not allow",
        "a dynamic platform, keys cached at the registration service, SMT or memory: as its certificate or report says",
        _OWNER, False, "change the platform's configuration, or allow it in the policy",
        "intaglio policy explain policy.toml",
    )  # fmt: skip
    EVENT_LOG_MISMATCH = Explanation(
        "the event log does not explain the run-time registers of the report",
        "the log was edited, is that of another boot, or lacks what an application extended later",
        _HOST, False, "deliver the log of this boot whole, and with it that of the application; or name the registers",
    )  # fmt: skip
    REPORT_DATA = Explanation(
        "the evidence is not bound to this session",
        "its report data is all zero or is that of another session: evidence was replayed or relayed",
        _HOST, False, "make a new session; if it persists, treat the host as hostile",
    )  # fmt: skip
    WRONG_PIN = Explanation(
        "the enclave pins another data centre",
        "its configuration holds the hash of other pinned keys: an image made for somebody else",
        _VENDOR, False, "build the enclave with this data centre's public key",
        "intaglio inspect dc.pub",
    )  # fmt: skip

    # -- attestation results -----------------------------------------------------------------------------------------
    RESULT_SIGNATURE = Explanation(
        "the attestation result is not signed by the data centre that is pinned",
        "another data centre's token, an altered one, or one under an algorithm that was not agreed on",
        _HOST, False, "ask the data centre for its result again; compare the pins",
        "intaglio ear show TOKEN --pin dc.pub",
    )  # fmt: skip
    RESULT_EXPIRED = Explanation(
        "the attestation result has expired",
        "what it was judged by had a next update, which has passed",
        _DC, False, "appraise the evidence again with current collateral and issue a new result",
        "intaglio verify FILE --collateral FILE --ear jwt --sign-with dc.key",
    )  # fmt: skip

    # -- local attestation -------------------------------------------------------------------------------------------
    EXCHANGE_AUTHENTICATION = Explanation(
        "a message of the local exchange does not hold under this exchange's key",
        "it was altered, belongs to another exchange, or was made by somebody who took no part in this one",
        _HOST, False, "carry the messages between the two enclaves exactly as they were made; begin a new exchange",
    )  # fmt: skip
    EXCHANGE_VERSION = Explanation(
        "the peer speaks another version of local attestation",
        "it names a protocol specification that is not LAv2 version 2.0, or a variant that is not allowed here",
        _VENDOR, False, "let both enclaves speak one variant",
    )  # fmt: skip
    KEY_DERIVATION = Explanation(
        "the peer names another key derivation than AES-CMAC",
        "its report data were altered, or it speaks a protocol that is not Intel's local attestation",
        _VENDOR, False, "let both enclaves derive keys by AES-CMAC (kdf_id 1)",
    )  # fmt: skip

    # -- sealing -----------------------------------------------------------------------------------------------------
    SEAL_AUTHENTICATION = Explanation(
        "the sealed blob does not open in this enclave",
        "it was altered, sealed with other additional data, or by another enclave, another platform or other firmware",
        _HOST, False, "put back the blob that this enclave sealed on this machine; after an update, seal anew",
    )  # fmt: skip

    STATE_ROLLED_BACK = Explanation(
        "the enclave holds an older state than the data centre acknowledged",
        "the host put an older sealed blob back, lost a newer one, or brings back a lineage that was replaced",
        _HOST, False, "put the newest blob back; if it is lost, somebody who may must reset the lineage",
        "intaglio state list",
    )  # fmt: skip
    STATE_FORKED = Explanation(
        "two enclaves went on from one state",
        "the host started a second copy from one sealed blob, or took a blob to where it does not belong",
        _HOST, False, "stop all copies but one; ask the host's operator why there were two",
        "intaglio state list",
    )  # fmt: skip
    STATE_AHEAD = Explanation(
        "the enclave's state is steps ahead of what has arrived here",
        "frames of its earlier session, which announced those steps, are still in the host's spool",
        _HOST, True, "deliver the frames of the earlier session; if they are lost, the lineage must be reset",
        "intaglio state list",
    )  # fmt: skip
    STATE_UNKNOWN = Explanation(
        "the enclave brings a state that this data centre has never acknowledged",
        "the data centre's store was lost or put back from a copy, or the state was acknowledged by another one",
        _DC, False, "restore the store; or reset the lineage, which adopts the state that the enclave brings next",
        "intaglio state reset LINEAGE --because TEXT",
    )  # fmt: skip
    STATE_MISSING = Explanation(
        "the enclave begins without a state although one is acknowledged for its workload on this platform",
        "the host deleted the sealed blob or did not hand it over, or runs a second instance on one platform",
        _HOST, False, "hand over the blob; if it is lost, somebody who may must reset the lineage",
        "intaglio state reset LINEAGE --because TEXT",
    )  # fmt: skip
    STATE_UNACKNOWLEDGED = Explanation(
        "the Accept does not name the state that the enclave claimed",
        "the data centre is too old to keep the numbers of states",
        _DC, False, "bring the data centre up to date",
    )  # fmt: skip

    @property
    def explanation(self) -> Explanation:
        return self.value

    @property
    def summary(self) -> str:
        return self.value.summary

    @property
    def area(self) -> Area:
        """By its place in the enumeration."""
        begins = {area.value: area for area in Area}
        found = Area.HANDSHAKE
        for reason in Reason:
            found = begins.get(reason.name, found)
            if reason is self:
                break
        return found
