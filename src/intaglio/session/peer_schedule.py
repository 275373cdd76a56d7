"""The hashes of a session between two enclaves (docs/protocol.md §15), each under a label of its own.

From the transcript on the schedule is that of `intaglio.session.schedule`: this transcript begins with another label,
so none of its keys is ever that of a session with a data centre.
"""

import hashlib

from intaglio.types import ReportData, Tee
from intaglio.wire import cbor
from intaglio.wire.hello import Role
from intaglio.wire.peer import PeerHello

__all__ = ["accept_body", "offer_report_data", "transcript"]


def offer_report_data(tee: Tee, body: bytes) -> ReportData:
    """SHA-512(L("peer-offer-report-data", TEE, "peer-responder", H("peer-offer-body", body))): all 64 bytes of the
    report data of an offer's evidence. `body` is the encoded `PeerOfferBody`."""
    hashed = cbor.digest("peer-offer-body", body)
    message = cbor.labelled("peer-offer-report-data", tee.value, Role.PEER_RESPONDER.value, hashed)
    return ReportData(hashlib.sha512(message).digest())


def transcript(hello: PeerHello, offer_evidence: bytes) -> bytes:
    """th = H("peer-transcript", suite, H(peer offer), H(offer evidence), session id, ct, E). `offer_evidence` is its
    hash."""
    return cbor.digest(
        "peer-transcript",
        int(hello.suite),
        hello.offer_hash,
        offer_evidence,
        hello.session,
        hello.kem_ciphertext,
        hello.reply_key,
    )


def accept_body(th: bytes, evidence: bytes, ct2: bytes, sealed_result: bytes, offer_evidence: bytes) -> bytes:
    """What A signs: th, H(evidence), ct2, H(sealed result) and H(offer evidence); both pieces of evidence by hash."""
    return cbor.labelled("peer-accept", th, evidence, ct2, cbor.digest("sealed-result", sealed_result), offer_evidence)
