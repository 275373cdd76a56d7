"""Sigma's derivations once more, from the published text and with other primitives: CMAC by hand over AES-ECB, points
by the curve's equation. Nothing of `intaglio.sigma` is used here."""

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int]


def aes(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305  # one block: this is how CMAC is defined
    return encryptor.update(block) + encryptor.finalize()


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block, "big") << 1
    return ((number ^ 0x87) & (2**128 - 1) if number >> 128 else number).to_bytes(16, "big")


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def cmac(key: bytes, message: bytes) -> bytes:
    """RFC 4493 §2.4, step by step."""
    k1 = _doubled(aes(key, bytes(16)))
    blocks = [message[i : i + 16] for i in range(0, len(message), 16)] or [b""]
    last = blocks.pop()
    last = _xor(last, k1) if len(last) == 16 else _xor(last + b"\x80" + bytes(15 - len(last)), _doubled(k1))
    state = bytes(16)
    for block in [*blocks, last]:
        state = aes(key, _xor(state, block))
    return state


def add(one: Point | None, other: Point | None) -> Point | None:
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P) if one == other else (y2 - y1) * pow(x2 - x1, -1, P)
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


def multiply(scalar: int, point: Point = G) -> Point:
    result: Point | None = None
    addend: Point | None = point
    while scalar:
        if scalar & 1:
            result = add(result, addend)
        addend = add(addend, addend)
        scalar >>= 1
    assert result is not None
    return result


def little(point: Point) -> bytes:
    return point[0].to_bytes(32, "little") + point[1].to_bytes(32, "little")


def keys(a: int, b: int) -> dict[str, bytes]:
    """What both sides derive whose private keys are a and b."""
    shared = multiply(a, multiply(b))
    kdk = cmac(bytes(16), shared[0].to_bytes(32, "little"))
    named = {name: cmac(kdk, b"\x01" + name.encode() + b"\x00\x80\x00") for name in ("SMK", "SK", "MK", "VK")}
    g_a, g_b = little(multiply(a)), little(multiply(b))
    report_data = hashlib.sha256(g_a + g_b + named["VK"]).digest() + bytes(32)
    return {"g_a": g_a, "g_b": g_b, "KDK": kdk, **named, "report_data": report_data}
