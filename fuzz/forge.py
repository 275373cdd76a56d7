"""An attacker who holds every key: parts of honest evidence are edited, and whatever was signed is signed again, so
that no change is stopped by a signature.

The edits are a script of bytes, which says the same whatever the keys are: first which honest evidence, then for each
edit a part, an operation, a place (two bytes), a count, and as many bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from intaglio.types import UnixTime
from intaglio.verify.roots import Roots
from intaglio.wire import der
from intaglio.wire.cursor import Cursor
from intaglio.wire.endorsement import Collateral

__all__ = ["Forged", "Forgery", "encode_der", "forge", "moment", "resigned", "script_of", "scripts", "sign_part"]

MAX_EDITS = 8
OPERATIONS = ("overwrite", "insert", "delete", "repeat")
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_BIT_STRING = 0x03

Sign = Callable[[bytes], bytes]


class Forged(NamedTuple):
    """What a verifier is given."""

    evidence: bytes
    collateral: Collateral | None
    roots: Roots
    at: UnixTime


@dataclass(frozen=True, slots=True)
class Forgery:
    """Honest evidence in parts, and how parts become evidence. `build` raises ValueError for a part that is too long
    to be encoded."""

    parts: Mapping[str, bytes]
    build: Callable[[Mapping[str, bytes]], Forged]


def script_of(forgeries: Sequence[Forgery], which: int, *edits: tuple[str, str, int, bytes]) -> bytes:
    """The script of these edits: part, operation, place, bytes."""
    names = list(forgeries[which].parts)
    script = bytes((which,))
    for part, operation, at, data in edits:
        script += bytes((names.index(part), OPERATIONS.index(operation))) + at.to_bytes(2, "big")
        script += bytes((len(data),)) + data
    return script


def scripts(forgeries: Sequence[Forgery]) -> list[bytes]:
    """To begin with: nothing, and each operation on each part."""
    found = [script_of(forgeries, which) for which in range(len(forgeries))]
    for part in forgeries[0].parts:
        for place, operation in enumerate(OPERATIONS):
            which = place % len(forgeries)
            found.append(script_of(forgeries, which, (part, operation, 9 + 20 * place, b"\xff\0\1")))
    return found


def forge(forgeries: Sequence[Forgery], script: bytes) -> Forged:
    """The evidence that the script makes. Raises ValueError as `build` does."""
    honest = forgeries[(script[0] if script else 0) % len(forgeries)]
    names, parts = list(honest.parts), dict(honest.parts)
    cur = Cursor(script[1:])
    for _ in range(MAX_EDITS):
        if cur.left < 5:
            break
        name = names[cur.u8("part") % len(names)]
        operation = OPERATIONS[cur.u8("operation") % len(OPERATIONS)]
        at = int.from_bytes(cur.take(2, "place"), "big") % (len(parts[name]) + 1)
        data = cur.take(min(cur.u8("count"), cur.left), "data")
        parts[name] = _edited(parts[name], operation, at, data)
    return honest.build(parts)


def _edited(part: bytes, operation: str, at: int, data: bytes) -> bytes:
    end = at + len(data)
    match operation:
        case "insert":
            return part[:at] + data + part[at:]
        case "delete":
            return part[:at] + part[end:]
        case "repeat":
            return part[:end] + part[at:end] * 8 + part[end:]
    return part[:at] + data + part[end:]


def moment(part: bytes) -> UnixTime:
    """When it is judged, which is a part too."""
    return UnixTime(int.from_bytes(part[:8], "big"))


def resigned(honest: bytes, honest_part: bytes, part: bytes, sign: Sign) -> bytes:
    """The certificate or list `honest` with another part under its signature. The same one if nothing has changed."""
    if part == honest_part:
        return honest
    outer = der.sole(honest, der.SEQUENCE, "honest")
    _, at = der.raw(outer, 0, "honest")
    algorithm, _ = der.raw(outer, at, "honest")
    return encode_der(der.SEQUENCE, part + algorithm + encode_der(_BIT_STRING, b"\0" + sign(part)))


def sign_part(key: ec.EllipticCurvePrivateKey, part: bytes) -> bytes:
    """A certificate or list with ECDSA and SHA-256: the part under the signature, the algorithm, and the signature."""
    signature = key.sign(part, ec.ECDSA(SHA256()))
    return encode_der(der.SEQUENCE, part + _ECDSA_SHA256 + encode_der(_BIT_STRING, b"\0" + signature))


def encode_der(tag: int, content: bytes) -> bytes:
    """One element of any size, which the project's own encoder does not make."""
    if len(content) <= 0xFFFF:
        return der.encode(tag, content)
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 + len(length))) + length + content
