"""Sealing: bytes that the host keeps and only this enclave, on this platform, opens.

    "intaglio" ‖ version 1 ‖ policy (1) ‖ ISVSVN (2, little-endian) ‖ key id (32) ‖ AES-256-GCM ciphertext and tag

Every blob has a key of its own: HKDF-SHA256 over the TEE's 16-byte sealing key, salted with a fresh random key id. The
salt matters where the TEE gives every caller the same key. So the nonce can be constant. The ISVSVN is that of the
enclave which sealed: the TEE makes its key for the same enclave or a newer one, not for an older. The whole header is
authenticated. What sealing can't do is tell the newest blob from an older one: see docs/sealing.md.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from intaglio.attest.base import Attester, SealPolicy
from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.wire import cbor
from intaglio.wire.cursor import Cursor

__all__ = ["MAX_SEALED", "reseal", "seal", "sealed_at", "unseal"]

MAX_SEALED = 64 * 1024 * 1024
"""Bytes of plaintext: GCM's own limit is far above, an enclave's memory is not."""

_MAGIC = b"intaglio"
_VERSION = 1
_KEY_ID = 32
_TAG = 16
_NONCE = bytes(12)


def seal(attester: Attester, data: bytes, policy: SealPolicy, aad: bytes = b"") -> bytes:
    """`data` sealed under `policy` (exactly one of MRENCLAVE, MRSIGNER); `aad` must be given again to open it.

    Raises `LocalProtocolError` for another policy or too much data, `Unavailable` where the TEE has no sealing key.
    """
    if policy not in (SealPolicy.MRENCLAVE, SealPolicy.MRSIGNER):
        raise LocalProtocolError(f"seal: need MRENCLAVE or MRSIGNER, found {policy!r}")
    if len(data) > MAX_SEALED:
        raise LocalProtocolError(f"seal: {len(data)} bytes, at most {MAX_SEALED}")
    key_id, isv_svn = os.urandom(_KEY_ID), attester.isv_svn
    header = _header(policy, isv_svn, key_id)
    return header + _cipher(attester, policy, key_id, isv_svn).encrypt(_NONCE, data, _bound(header, aad))


def unseal(attester: Attester, blob: bytes, aad: bytes = b"") -> bytes:
    """Raises `Malformed` for what is no sealed blob, `Rejected(SEAL_AUTHENTICATION)` for one that this enclave can't
    open (a newer version's among them), `Unavailable` where the TEE has no sealing key."""
    policy, isv_svn, key_id, ciphertext = _parse(blob)
    if isv_svn > attester.isv_svn:
        expected = f"sealed at an ISVSVN of at most {attester.isv_svn}"
        raise Rejected(Reason.SEAL_AUTHENTICATION, expected=expected, found=isv_svn)
    cipher = _cipher(attester, policy, key_id, isv_svn)
    try:
        return cipher.decrypt(_NONCE, ciphertext, _bound(_header(policy, isv_svn, key_id), aad))
    except InvalidTag as error:
        raise Rejected(Reason.SEAL_AUTHENTICATION, expected=policy.name) from error


def sealed_at(blob: bytes) -> int:
    """The ISVSVN of the enclave that sealed `blob`, which is authenticated only by `unseal`. Raises `Malformed`."""
    return _parse(blob)[1]


def reseal(attester: Attester, blob: bytes, aad: bytes = b"") -> bytes | None:
    """The same data sealed by this version under the same policy, so that older ones can't open it any more; None
    where this very version sealed `blob`. Raises as `unseal` does."""
    data = unseal(attester, blob, aad)
    policy, isv_svn, _, _ = _parse(blob)
    return None if isv_svn == attester.isv_svn else seal(attester, data, policy, aad)


def _parse(blob: bytes) -> tuple[SealPolicy, int, bytes, bytes]:
    """Policy, ISVSVN, key id, ciphertext."""
    cursor = Cursor(blob)
    if cursor.take(len(_MAGIC), "seal.magic") != _MAGIC:
        raise Malformed("seal.magic", "not a sealed blob")
    version = cursor.u8("seal.version")
    if version != _VERSION:
        raise Malformed("seal.version", f"need {_VERSION}, found {version}")
    policy = cursor.u8("seal.policy")
    if policy not in (SealPolicy.MRENCLAVE, SealPolicy.MRSIGNER):
        raise Malformed("seal.policy", f"need 1 or 2, found {policy}")
    isv_svn = cursor.u16("seal.isv_svn")
    key_id = cursor.take(_KEY_ID, "seal.key_id")
    ciphertext = cursor.rest()
    if not _TAG <= len(ciphertext) <= MAX_SEALED + _TAG:
        raise Malformed("seal.ciphertext", f"need {_TAG} to {MAX_SEALED + _TAG} bytes, found {len(ciphertext)}")
    return SealPolicy(policy), isv_svn, key_id, ciphertext


def _header(policy: SealPolicy, isv_svn: int, key_id: bytes) -> bytes:
    return b"".join((_MAGIC, bytes((_VERSION, policy)), isv_svn.to_bytes(2, "little"), key_id))


def _cipher(attester: Attester, policy: SealPolicy, key_id: bytes, isv_svn: int) -> AESGCM:
    root = attester.seal_key(policy, key_id, isv_svn)
    info = cbor.labelled("seal-key", int(policy))
    return AESGCM(HKDF(SHA256(), 32, salt=key_id, info=info).derive(root))


def _bound(header: bytes, aad: bytes) -> bytes:
    return cbor.labelled("seal", header, aad)
