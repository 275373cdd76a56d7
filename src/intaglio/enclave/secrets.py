"""Secrets that the data centre sent: `enclave.secrets["name"]`. In memory only; a restarted enclave gets them anew.

Of each name the highest version is kept, and an older one refused, so that a host which holds a message back can't
undo a rotation. A revoked secret leaves its version behind. Nothing here prints a value.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from intaglio.errors import LocalProtocolError, Malformed
from intaglio.wire.downward import ItemOutcome, Secret, SecretKind

__all__ = ["SecretValue", "Secrets"]

SecretValue = bytes | str | dict[str, object] | list[object] | int | float | bool | None
T = TypeVar("T", bound=bytes | str | dict[str, object] | list[object])

MAX_NAMES = 1024
"""Names held at once, revoked ones included as long as there is room: with 64 KiB each, what an enclave's memory can
bear."""

_KINDS: Final[Mapping[type, SecretKind]] = {
    bytes: SecretKind.BYTES, str: SecretKind.TEXT, dict: SecretKind.JSON, list: SecretKind.JSON,
}  # fmt: skip


class Secrets(Mapping[str, SecretValue]):
    """Each secret under its name, in the type that the data centre gave it: bytes, text (str) or JSON."""

    def __init__(self) -> None:
        self._held: dict[str, Secret] = {}
        self._declared: dict[str, type] = {}

    def __getitem__(self, name: str) -> SecretValue:
        """Raises KeyError for a secret that has not come (yet), or was revoked."""
        return _value(self._live(name))

    def __iter__(self) -> Iterator[str]:
        return (name for name, secret in self._held.items() if secret.kind is not SecretKind.REVOKED)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(f'{name} version {self._held[name].version}' for name in sorted(self))})"

    def version(self, name: str) -> int:
        """The version held. Raises KeyError as looking the secret up does."""
        return self._live(name).version

    def declare(self, name: str, kind: type) -> None:
        """Says what type a secret must have: bytes, str, dict or list. One of another type is refused, and the data
        centre learns that. Raises ValueError for another type, or a secret that is here already in another type."""
        if kind not in _KINDS:
            raise ValueError("declare: need bytes, str, dict or list")
        held = self._held.get(name)
        if held is not None and not _fits(held, kind):
            raise ValueError(f"declare: {name} is here, and of another type")
        self._declared[name] = kind

    def get_as(self, name: str, kind: type[T]) -> T:
        """The secret, which must be of this type. Raises KeyError; `LocalProtocolError` for one of another type."""
        value = self[name]
        if not isinstance(value, kind):
            raise LocalProtocolError(f"secret {name}: not of type {kind.__name__}")
        return value

    def take(self, secret: Secret) -> ItemOutcome:
        """For the SDK: what came down. The same version again changes nothing."""
        held = self._held.get(secret.name)
        if held is not None and secret.version < held.version:
            return ItemOutcome.OLDER
        if held is not None and secret.version == held.version:
            # One version has one value. Another under its number would be a data centre's store that went back.
            same = (held.kind, held.value) == (secret.kind, secret.value)
            return ItemOutcome.TAKEN if same else ItemOutcome.REFUSED
        declared = self._declared.get(secret.name)
        if not _fits(secret, declared) or (held is None and not self._room()):
            return ItemOutcome.REFUSED
        self._held[secret.name] = secret
        return ItemOutcome.TAKEN

    def _room(self) -> bool:
        """Whether another name can be held. Of the revoked names the oldest makes room: a session is told of every
        revocation that there ever was, and these must not keep a secret out. No older version of it can still come,
        because within a session they come in order, and only the newest goes to a new one."""
        if len(self._held) < MAX_NAMES:
            return True
        revoked = next((name for name, held in self._held.items() if held.kind is SecretKind.REVOKED), None)
        if revoked is None:
            return False
        del self._held[revoked]
        return True

    def _live(self, name: str) -> Secret:
        secret = self._held.get(name)
        if secret is None or secret.kind is SecretKind.REVOKED:
            raise KeyError(name)
        return secret


def _fits(secret: Secret, declared: type | None) -> bool:
    """Whether the value reads as its kind says, and as the script declared."""
    if secret.kind is SecretKind.REVOKED:
        return True
    try:
        value = _value(secret)
    except Malformed:
        return False
    return declared is None or isinstance(value, declared)


def _value(secret: Secret) -> SecretValue:
    """Made anew at each look: a script that changes its copy changes nothing here. Raises `Malformed`."""
    if secret.kind is SecretKind.BYTES:
        return secret.value
    try:
        text = secret.value.decode()
        value: SecretValue = text if secret.kind is SecretKind.TEXT else json.loads(text)
    except (ValueError, RecursionError):
        # From None: the error that JSON or UTF-8 raises quotes what it read.
        raise Malformed(f"secret {secret.name}", f"not {secret.kind.name.lower()}") from None
    return value
