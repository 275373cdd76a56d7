"""The key schedule (docs/protocol.md §4 to §6): every hash and key of a session, each under its own label.

The transcript `th` covers the offer, both ephemeral public keys, the KEM ciphertext and the sealed claims; the report
data of the evidence covers `th` and a commitment to the secret, so evidence fits one session of one enclave only.
"""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import Direction, ReportData, SessionId, Tee
from intaglio.wire import cbor
from intaglio.wire.hello import Hello, Role

__all__ = [
    "EPOCH_KEYS",
    "accept_body",
    "accept_key",
    "claims_key",
    "confirmation",
    "epoch_keys",
    "epoch_secret",
    "evidence_key",
    "expand",
    "next_secret",
    "open_once",
    "report_data",
    "report_data_of",
    "result_key",
    "seal_once",
    "sealed_claims_hash",
    "secret_of_hello",
    "th0_of",
    "th_of",
]

EPOCH_KEYS = 76
_SHA256 = SHA256()
_ONE_NONCE = bytes(12)
"""A zero nonce is safe for keys that seal exactly one message."""


def expand(key: bytes, length: int, label: str, *items: cbor.Value) -> bytes:
    """HKDF-Expand (RFC 5869, SHA-256) with ``CBOR ["intaglio/1 " + label, items...]`` as info."""
    return HKDFExpand(_SHA256, length, cbor.labelled(label, *items)).derive(key)


def th0_of(hello: Hello) -> bytes:
    """H("hello", suite, H(offer), session id, ct, E, G): the hello's header, before anything is sealed."""
    return cbor.digest(
        "hello",
        int(hello.suite),
        hello.offer_hash,
        hello.session,
        hello.kem_ciphertext,
        hello.reply_key,
        hello.signing_key,
    )


def th_of(th0: bytes, sealed_claims_hash: bytes) -> bytes:
    """H("transcript", th0, H(sealed claims)): what identifies a session, at both ends and in an audit."""
    return cbor.digest("transcript", th0, sealed_claims_hash)


def sealed_claims_hash(sealed_claims: bytes) -> bytes:
    return cbor.digest("sealed-claims", sealed_claims)


def secret_of_hello(th0: bytes, ss: bytes) -> bytes:
    """ck1 = HKDF-Extract(th0, ss)."""
    return HKDF.extract(_SHA256, th0, ss)


def confirmation(ck1: bytes, th: bytes) -> bytes:
    """The 32 bytes that only a holder of the secret can make; the report data carry their hash."""
    return expand(ck1, 32, "confirm", th)


def report_data(tee: Tee, role: Role, th: bytes, confirm: bytes) -> ReportData:
    """SHA-512(CBOR["intaglio/1 report-data", TEE, role, th, SHA-512(confirm)]): all 64 bytes of the evidence's report
    data. No caller chooses an input: `th` and `confirm` come from this schedule."""
    return report_data_of(tee, role, th, hashlib.sha512(confirm).digest())


def report_data_of(tee: Tee, role: Role, th: bytes, confirm_hash: bytes) -> ReportData:
    """The same from SHA-512(confirm), which is what an auditor holds."""
    message = cbor.labelled("report-data", tee.value, role.value, th, confirm_hash)
    return ReportData(hashlib.sha512(message).digest())


def claims_key(ck1: bytes, th0: bytes) -> bytes:
    """Seals the claims, with th0 as associated data."""
    return expand(ck1, 32, "seal-claims", th0)


def evidence_key(ck1: bytes, th: bytes) -> bytes:
    """Seals TEE, role and evidence, with th as associated data."""
    return expand(ck1, 32, "seal-evidence", th)


def result_key(ck2: bytes, th: bytes) -> bytes:
    """Seals the Attestation Result in an Accept, with th as associated data."""
    return expand(ck2, 32, "seal-result", th)


def accept_key(ck1: bytes, ss2: bytes, evidence: bytes, ct2: bytes) -> bytes:
    """ck2 = HKDF-Extract(ck1, CBOR[label, ss2, H(evidence), ct2]); `evidence` is its hash."""
    return HKDF.extract(_SHA256, ck1, cbor.labelled("accept-secret", ss2, evidence, ct2))


def accept_body(th: bytes, evidence: bytes, ct2: bytes, sealed_result: bytes) -> bytes:
    """What the data centre signs in an Accept: th, H(evidence), ct2 and H(sealed result)."""
    return cbor.labelled("accept", th, evidence, ct2, cbor.digest("sealed-result", sealed_result))


def epoch_secret(ck: bytes, session: SessionId, direction: Direction, epoch: int, evidence: bytes) -> bytes:
    """The secret of the first epoch under `ck` (epoch 0 under ck1, epoch 1 under ck2), 32 bytes."""
    return expand(ck, 32, "epoch", session, int(direction), epoch, evidence)


def next_secret(secret: bytes, session: SessionId, direction: Direction, epoch: int) -> bytes:
    """The secret of `epoch` from its predecessor's; there is no way back."""
    return expand(secret, 32, "rekey", session, int(direction), epoch)


def epoch_keys(secret: bytes, session: SessionId, direction: Direction, epoch: int) -> bytes:
    """An epoch's 76 bytes: AES-256-GCM key (32), IV (12), and k_leaf (32), which salts the leaves of checkpoints
    (docs/protocol.md §8). There is no way from these to the secret or to another epoch."""
    return expand(secret, EPOCH_KEYS, "frames", session, int(direction), epoch)


def seal_once(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """AES-256-GCM under a key that never seals anything else."""
    return AESGCM(key).encrypt(_ONE_NONCE, plaintext, aad)


def open_once(key: bytes, ciphertext: bytes, aad: bytes, reason: Reason, what: str) -> bytes:
    """What `seal_once` sealed. Raises `Rejected(reason)`, naming `what`."""
    try:
        return AESGCM(key).decrypt(_ONE_NONCE, ciphertext, aad)
    except (InvalidTag, ValueError) as error:
        raise Rejected(reason, expected=f"{what} sealed under this handshake's key") from error
