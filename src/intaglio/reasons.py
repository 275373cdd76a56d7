"""Every reason for which Intaglio says no: a closed enumeration, so that tests and dashboards can count it.

Each reason carries what a person at 3 a.m. needs: what happened, what usually causes it, who must act, whether trying
again can help, and what to do. The names are stable; they appear in JSON, in quarantine and in metrics.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = ["Actor", "Explanation", "Reason"]


class Actor(Enum):
    """Who must act on a rejection."""

    DATA_CENTRE = "data centre"
    ENCLAVE_VENDOR = "enclave vendor"
    HOST_OPERATOR = "host operator"
    PLATFORM_OWNER = "platform owner"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a reason. `retryable`: the same bytes may pass later without anybody changing them."""

    summary: str
    cause: str
    actor: Actor
    retryable: bool
    remedy: str


_DC, _VENDOR, _HOST, _OWNER = Actor.DATA_CENTRE, Actor.ENCLAVE_VENDOR, Actor.HOST_OPERATOR, Actor.PLATFORM_OWNER


class Reason(Enum):
    """A reason's value is its `Explanation`; its name is what machines see."""

    # -- handshake ---------------------------------------------------------------------------------------------------
    OFFER_UNKNOWN = Explanation(
        "the hello answers an offer that this data centre does not hold",
        "the offer came from another data centre (a relay), or it was deleted before this hello arrived",
        _HOST, False, "fetch a fresh offer from the data centre that the enclave pins and make a new session",
    )  # fmt: skip
    OFFER_EXPIRED = Explanation(
        "the hello answers an offer after its last use",
        "the host kept an old offer, or the hello lay in a spool for longer than the offer's not-after",
        _HOST, False, "fetch a fresh offer and make a new session",
    )  # fmt: skip
    OFFER_NOT_YET_VALID = Explanation(
        "the hello answers an offer before its not-before",
        "the clock of the data centre went backwards, or workers of one data centre disagree on the time",
        _DC, True, "synchronise the clocks of the data centre's machines",
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
    )  # fmt: skip
    OFFER_TOO_OLD = Explanation(
        "the offer's epoch is lower than one this enclave has already seen, or its key was revoked",
        "the host replays an old offer to keep the enclave on keys that were replaced",
        _HOST, False, "fetch a fresh offer",
    )  # fmt: skip
    SUITE_TOO_WEAK = Explanation(
        "the offer's suite is below the minimum that is pinned in the enclave",
        "a downgrade by the host, or a data centre configured for a weaker suite than its enclaves demand",
        _DC, False, "serve the suite that the pinned identity demands",
    )  # fmt: skip
    AUDIENCE_MISMATCH = Explanation(
        "the offer or hello names another audience",
        "messages of one data centre were delivered to another",
        _HOST, False, "deliver to the data centre that the enclave pins",
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
    )  # fmt: skip
    EVIDENCE_TOO_OLD = Explanation(
        "the evidence was made for an offer older than the policy's max_offer_age",
        "the hello was stored for long before it was delivered, or is replayed",
        _HOST, False, "fetch a fresh offer and make a new session",
    )  # fmt: skip
    ACCEPT_SIGNATURE = Explanation(
        "the Accept is not signed by the pinned data centre",
        "an Accept made by somebody else, for instance with a stolen offer key",
        _HOST, False, "fetch the Accept from the pinned data centre",
    )  # fmt: skip
    ACCEPT_AUTHENTICATION = Explanation(
        "the Accept does not open under this handshake's keys",
        "the Accept was altered, or belongs to another session",
        _HOST, False, "fetch the Accept again; otherwise make a new session",
    )  # fmt: skip

    # -- frames ------------------------------------------------------------------------------------------------------
    MALFORMED_MESSAGE = Explanation(
        "the bytes are not a message of this protocol",
        "garbage, a truncated body, or a message of a newer protocol version",
        _HOST, False, "deliver messages exactly as the enclave made them",
    )  # fmt: skip
    SESSION_UNKNOWN = Explanation(
        "no session with this id is known here",
        "the hello was never delivered here, was rejected, or the frame belongs to another data centre",
        _HOST, False, "deliver the hello first; look for its rejection in quarantine",
    )  # fmt: skip
    SESSION_PENDING = Explanation(
        "the hello of this session is not decided yet",
        "a frame overtook its hello, or the verdict waits for collateral",
        _HOST, True, "keep the frame and try again",
    )  # fmt: skip
    SESSION_ENDED = Explanation(
        "the session has ended",
        "its policy age, its evidence's age or its collateral's next update passed",
        _HOST, False, "make a new session; frames that still decrypt are kept as LATE until re-appraised",
    )  # fmt: skip
    FRAME_AUTHENTICATION = Explanation(
        "the frame does not open under its session's key",
        "it was edited or forged on the way, or made by something that does not hold the session's keys",
        _HOST, False, "ask the host what touched it; the true frame can still be delivered under the same number",
    )  # fmt: skip
    FRAME_SIGNATURE = Explanation(
        "an epoch-0 frame opens but is not signed by the key that the evidence binds",
        "somebody who holds a stolen offer key forges enclave output",
        _DC, False, "treat the offer key as stolen: rotate the offer and look at every session under it",
    )  # fmt: skip
    REPLAY = Explanation(
        "a frame with this number is already stored",
        "a replay by the host, or a delivery repeated after its answer was lost",
        _HOST, False, "nothing: the record is stored once; if this happens often, look at the host",
    )  # fmt: skip
    SEQUENCE_REUSED = Explanation(
        "a different, authentic frame already has this number",
        "two copies of one enclave state are running (a fork), or the enclave is broken",
        _VENDOR, False, "end the session and treat its records as suspect",
    )  # fmt: skip
    OUT_OF_ORDER = Explanation(
        "a downward frame arrived out of order",
        "the host reordered, dropped or repeated messages for the enclave",
        _HOST, False, "deliver downward frames in order, each once",
    )  # fmt: skip
    REPLAY_STATE_FULL = Explanation(
        "the frame would open one gap too many in its session",
        "a host drops or reorders so much that the set of seen numbers no longer fits in its bound",
        _HOST, True, "deliver the missing frames first",
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
    )  # fmt: skip

    @property
    def explanation(self) -> Explanation:
        return self.value

    @property
    def summary(self) -> str:
        return self.value.summary
