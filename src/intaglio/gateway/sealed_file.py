"""A small secret file: encrypted, authenticated, replaced whole or not at all, readable by its owner only.

    file = CBOR ["intaglio/1 sealed-file", header (bstr), ciphertext (bstr)]
    header = CBOR [kdf, check (16), nonce (12)], which the ciphertext's tag covers
    kdf = ["argon2id", salt (16), iterations, lanes, memory in KiB] or ["key-file"]

`check` is derived from the key, so a wrong passphrase is told from a damaged file; it helps a guesser no more than
the ciphertext's own tag does.
"""

import hmac
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from intaglio.errors import Malformed
from intaglio.files import create_private, replace_private
from intaglio.gateway.config import Misconfigured
from intaglio.types import Draw
from intaglio.wire import cbor

__all__ = ["KeyFile", "Passphrase", "SealedFile", "read_private"]

_LABEL = cbor.LABEL_PREFIX + "sealed-file"
_ITERATIONS, _LANES, _MEMORY = 3, 4, 64 * 1024
"""RFC 9106 §4, second recommended option: a tenth of a second and 64 MiB a guess."""
_MOST_ITERATIONS, _MOST_LANES, _MOST_MEMORY = 64, 64, 4 * 1024 * 1024
"""A file that asks for more is refused: it would only stall whoever opens it."""
_KEY_FILE = 32
MAX_FILE = 16 << 20
"""A keystore with a thousand offers' keys takes 12 MB in suite 2."""
MAX_CONTENT = MAX_FILE - 1024


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A secret that a person remembers; Argon2id makes the key."""

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.text:
            raise Misconfigured("passphrase: empty")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of exactly 32 random bytes, mode 0600: for services that start without a person."""

    path: Path

    @classmethod
    def create(cls, path: Path, draw: Draw = os.urandom) -> "KeyFile":
        """Raises FileExistsError: a key is never overwritten."""
        create_private(path, draw(_KEY_FILE))
        return cls(path)

    def read(self) -> bytes:
        """Raises `Misconfigured`."""
        key = read_private(self.path)
        if len(key) != _KEY_FILE:
            raise Misconfigured(f"{self.path}: a key file has {_KEY_FILE} bytes, this one {len(key)}")
        return key


class SealedFile:
    """One file and the key that seals it. Made by `create` or `open`."""

    def __init__(self, path: Path, kdf: list[cbor.Value], key: bytes, draw: Draw) -> None:
        self.path = path
        self._kdf = kdf
        self._key = key
        self._draw = draw

    @classmethod
    def create(cls, path: Path, secret: object, content: bytes, draw: Draw = os.urandom) -> "SealedFile":
        """A new file. Raises FileExistsError, `Misconfigured`."""
        if path.exists():
            raise FileExistsError(path)
        kdf: list[cbor.Value] = ["key-file"]
        if isinstance(secret, Passphrase):
            kdf = ["argon2id", draw(16), _ITERATIONS, _LANES, _MEMORY]
        file = cls(path, kdf, _derive(kdf, secret, path), draw)
        create_private(path, file._sealed(content))
        return file

    @classmethod
    def open(cls, path: Path, secret: object, draw: Draw = os.urandom) -> "tuple[SealedFile, bytes]":
        """The file and its content. Raises `Misconfigured` (missing, readable by others, wrong secret) and
        `Malformed` (cut short, altered)."""
        label, header, ciphertext = cbor.array(cbor.decode(read_private(path), path.name), path.name, 3)
        if label != _LABEL:
            raise Malformed(path.name, "not a sealed file of version 1")
        head = cbor.bstr(header, f"{path.name}.header")
        kdf, check, nonce = cbor.array(cbor.decode(head, f"{path.name}.header"), f"{path.name}.header", 3)
        file = cls(path, _parse_kdf(kdf, path.name), b"", draw)
        file._key = _derive(file._kdf, secret, path)
        if not hmac.compare_digest(_check(file._key), cbor.bstr(check, f"{path.name}.check", 16)):
            what = "passphrase" if isinstance(secret, Passphrase) else "key file"
            raise Misconfigured(f"{path}: wrong {what}")
        try:
            sealed = cbor.bstr(ciphertext, f"{path.name}.ciphertext")
            content = AESGCM(file._key).decrypt(cbor.bstr(nonce, f"{path.name}.nonce", 12), sealed, head)
        except (InvalidTag, ValueError) as error:
            raise Malformed(path.name, "was altered; restore it from a copy") from error
        return file, content

    def save(self, content: bytes) -> None:
        """Replaces the file atomically and durably, under a fresh nonce. Raises OSError, and `Misconfigured` for more
        than could be opened again."""
        replace_private(self.path, self._sealed(content))

    def _sealed(self, content: bytes) -> bytes:
        if len(content) > MAX_CONTENT:
            raise Misconfigured(f"{self.path}: {len(content)} bytes of keys, at most {MAX_CONTENT}")
        nonce = self._draw(12)
        header = cbor.encode([self._kdf, _check(self._key), nonce])
        ciphertext = AESGCM(self._key).encrypt(nonce, content, header)
        return cbor.labelled("sealed-file", header, ciphertext)


def read_private(path: Path) -> bytes:
    """A file that only its owner may read. Raises `Misconfigured` for one that is missing, no plain file, too large,
    or readable or writable by others."""
    try:
        # Not blocking: a pipe in its place must be refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE:
            raise Misconfigured(f"{path}: not a plain file of at most {MAX_FILE} bytes")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise Misconfigured(f"{path}: mode {mode:04o} lets others read it; chmod 600 {path}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _check(key: bytes) -> bytes:
    return HKDFExpand(SHA256(), 16, cbor.labelled("sealed-file-check")).derive(key)


def _derive(kdf: list[cbor.Value], secret: object, path: Path) -> bytes:
    match kdf, secret:
        case ["argon2id", bytes(salt), int(iterations), int(lanes), int(memory)], Passphrase(text):
            made = Argon2id(salt=salt, length=32, iterations=iterations, lanes=lanes, memory_cost=memory)
            return made.derive(text.encode())
        case ["key-file"], KeyFile():
            return HKDFExpand(SHA256(), 32, cbor.labelled("sealed-file-key")).derive(secret.read())
    wanted = "a key file" if kdf == ["key-file"] else "a passphrase"
    raise Misconfigured(f"{path}: is opened with {wanted}")


def _parse_kdf(value: object, name: str) -> list[cbor.Value]:
    match value:
        case ["key-file"]:
            return ["key-file"]
        case ["argon2id", bytes(salt), int(iterations), int(lanes), int(memory)]:
            least = iterations >= 1 and lanes >= 1 and 8 * lanes <= memory
            most = iterations <= _MOST_ITERATIONS and lanes <= _MOST_LANES and memory <= _MOST_MEMORY
            if least and most and len(salt) == 16:
                return ["argon2id", salt, iterations, lanes, memory]
    raise Malformed(f"{name}.kdf", "unknown, or its parameters are out of range")
