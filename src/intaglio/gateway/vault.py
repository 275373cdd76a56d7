"""Session keys at rest: wrapped under a key from the keystore that changes daily (docs/protocol.md, keys at rest).

A blob is the wrapping key's number (4 bytes, big-endian), a nonce (12) and an AES-256-GCM ciphertext bound to session,
direction and epoch. Once every live row is wrapped under the newest key the old ones are destroyed, and with them all
that old pages and back-ups of the database still hold.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from intaglio.errors import Malformed
from intaglio.gateway.keystore import Keystore
from intaglio.types import Direction, Draw, SessionId
from intaglio.wire import cbor

__all__ = ["Vault"]

_NUMBER, _NONCE = 4, 12


class Vault:
    """Wraps and unwraps with the keys of one keystore.

    Wrap in the writer's thread only, in the transaction that stores the blob: an old key is destroyed once that thread
    found no row under it, and a blob made elsewhere could still be on its way then. Another process may wrap as well if
    it reads the keystore after it took the database's write lock: a newer key is in the keystore before that thread
    looks for rows under older ones.
    """

    def __init__(self, keystore: Keystore, draw: Draw) -> None:
        self._keystore = keystore
        self._draw = draw

    @property
    def newest(self) -> int:
        """The number of the key that wraps now."""
        return self._keystore.wrapping[-1].number

    def wrap(self, session: SessionId, direction: Direction, epoch: int, state: bytes) -> bytes:
        return self._wrap(_bound_to(session, direction, epoch), state)

    def unwrap(self, session: SessionId, direction: Direction, epoch: int, blob: bytes) -> bytes:
        """Raises `Malformed` for a blob of another row, an altered one, or one whose key was destroyed."""
        return self._unwrap(_bound_to(session, direction, epoch), blob, f"session.state of {session.hex()}")

    def wrap_item(self, reference: bytes, item: bytes) -> bytes:
        """A secret or a command that waits for enclaves, bound to its row. `item` holds its address, too."""
        return self._wrap(cbor.labelled("wrapped-item", reference), item)

    def unwrap_item(self, reference: bytes, blob: bytes) -> bytes:
        """Raises `Malformed` as `unwrap` does."""
        return self._unwrap(cbor.labelled("wrapped-item", reference), blob, f"item {reference.hex()}")

    def _wrap(self, bound: bytes, state: bytes) -> bytes:
        key = self._keystore.wrapping[-1]
        nonce = self._draw(_NONCE)
        return key.number.to_bytes(_NUMBER, "big") + nonce + AESGCM(key.key).encrypt(nonce, state, bound)

    def _unwrap(self, bound: bytes, blob: bytes, what: str) -> bytes:
        key = self._keystore.wrapping_key(int.from_bytes(blob[:_NUMBER], "big"))
        nonce, sealed = blob[_NUMBER : _NUMBER + _NONCE], blob[_NUMBER + _NONCE :]
        try:
            return AESGCM(key.key).decrypt(nonce, sealed, bound)
        except (InvalidTag, ValueError) as error:
            raise Malformed(what, "was altered in the database") from error


def _bound_to(session: SessionId, direction: Direction, epoch: int) -> bytes:
    return cbor.labelled("wrapped-state", session, int(direction), epoch)
