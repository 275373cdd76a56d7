"""Intel's local attestation computed a second time, from the published structures: P-256 by its equations, CMAC by RFC
4493 over raw AES, everything else by offsets into bytes. It shares no line with `intaglio`."""

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SPEC = bytes.fromhex("534758204c4102000006050404034001411002" + "01060c").ljust(64, b"\0")

Point = tuple[int, int] | None


def add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(scalar: int, point: Point) -> Point:
    total: Point = None
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def public(scalar: int) -> bytes:
    point = times(scalar, G)
    assert point is not None
    return point[0].to_bytes(32, "little") + point[1].to_bytes(32, "little")


def shared(scalar: int, peer: bytes) -> bytes:
    point = times(scalar, (int.from_bytes(peer[:32], "little"), int.from_bytes(peer[32:], "little")))
    assert point is not None
    return point[0].to_bytes(32, "little")


def cmac(key: bytes, message: bytes) -> bytes:
    def aes(block: bytes) -> bytes:
        encryptor = Cipher(algorithms.AES128(key), modes.ECB()).encryptor()  # noqa: S305 - the block cipher itself
        return encryptor.update(block)

    def double(value: int) -> int:
        return ((value << 1) ^ (0x87 if value >> 127 else 0)) & (2**128 - 1)

    first = double(int.from_bytes(aes(bytes(16)), "big"))
    blocks = [message[at : at + 16] for at in range(0, len(message), 16)] or [b""]
    last, mask = (
        (blocks[-1], first) if len(blocks[-1]) == 16 else ((blocks[-1] + b"\x80").ljust(16, b"\0"), double(first))
    )
    state = bytes(16)
    for block in [*blocks[:-1], (int.from_bytes(last, "big") ^ mask).to_bytes(16, "big")]:
        state = aes(bytes(x ^ y for x, y in zip(state, block, strict=True)))
    return state


def derived(secret: bytes, label: bytes) -> bytes:
    return cmac(cmac(bytes(16), secret), b"\x01" + label + b"\x00\x80\x00")


def data(hashed: bytes, rest: bytes = b"") -> bytes:
    return (hashlib.sha256(hashed).digest() + rest).ljust(64, b"\0")
