"""Derivations against what others published, and against the same text written a second time."""

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from intaglio.sigma import schedule
from intaglio.sigma.curve import KeyPair, ProviderKey
from intaglio.sigma.messages import Msg1, Msg2, Msg3, Msg4
from intaglio.types import Direction
from intaglio.wire.content import Record
from tests.sigma import by_hand
from tests.sigma.world import RESULT, party

RFC4493_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
RFC4493_MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)


@pytest.mark.parametrize(
    ("length", "mac"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ],
)
def test_cmac_of_rfc_4493(length: int, mac: str) -> None:
    message = RFC4493_MESSAGE[:length]
    assert schedule.cmac(RFC4493_KEY, message).hex() == by_hand.cmac(RFC4493_KEY, message).hex() == mac


def test_intels_sample_key_pair_matches_read_little_endian() -> None:
    """The two constants of Intel's RemoteAttestation sample, which fit together in this byte order only."""
    private = bytes.fromhex("90e76cbb2d52a1ce3b66de11439c87ec1f866a3b65b6aeeaad573453d1038c01")
    public = bytes.fromhex(
        "72128a7a17526ebf85d03a623730aead3e3daaee9c60731db05be8621c4beb38"
        "d48140d950e2577b26eeb741e7c614e224b7bdc903f29a28a83cc81011145e06"
    )
    assert KeyPair(int.from_bytes(private, "little")).public == public
    assert by_hand.little(by_hand.multiply(int.from_bytes(private, "little"))) == public


@pytest.mark.parametrize(("a", "b"), [(2, 3), (0x1234, 2**255), (2**200 + 7, 2**251 - 5)])
def test_every_key_up_to_report_data(a: int, b: int) -> None:
    expected = by_hand.keys(a, b)
    enclave, provider = KeyPair(a), KeyPair(b)
    assert (enclave.public, provider.public) == (expected["g_a"], expected["g_b"])
    kdk = schedule.secret_of(enclave.agree(provider.public, "g_b"))
    assert kdk == schedule.secret_of(provider.agree(enclave.public, "g_a")) == expected["KDK"]
    for name in ("SMK", "SK", "MK", "VK"):
        assert schedule.derive(kdk, name.encode()) == expected[name]
    assert schedule.report_data(kdk, enclave.public, provider.public) == expected["report_data"]


def test_report_data_of_a_recorded_pair() -> None:
    """Fixed once, so that no change of both derivations at once goes unseen."""
    assert by_hand.keys(2, 3)["report_data"].hex()[:64] == (
        "d4c7a252b50bbd67eb7044c816ee67421a0c46bb23fe85f538bb3c09ae225b15"
    )


def test_a_whole_handshake_is_what_the_published_layout_says() -> None:
    """The provider's messages taken apart by offset, every MAC and signature computed by hand."""
    world = party()
    a, draws = 0xABCDEF, iter((a_bytes := (0xABCDEF - 1).to_bytes(48, "big"),))
    assert len(a_bytes) == 48
    enclave = type(world.enclave())(world.key.public, lambda _: next(draws))
    provider = world.provider()
    msg1 = enclave.msg1()
    assert msg1 == by_hand.little(by_hand.multiply(a)) + bytes(4)
    msg2 = provider.answer(Msg1.parse(msg1))
    assert len(msg2) == 168
    g_b = (int.from_bytes(msg2[:32], "little"), int.from_bytes(msg2[32:64], "little"))
    kdk = by_hand.cmac(bytes(16), by_hand.multiply(a, g_b)[0].to_bytes(32, "little"))
    smk, vk, sk, mk = (by_hand.cmac(kdk, b"\x01" + n + b"\x00\x80\x00") for n in (b"SMK", b"VK", b"SK", b"MK"))
    assert msg2[64:80] == bytes(16), "spid"
    assert msg2[80:84] == b"\x01\x00\x01\x00", "quote_type, kdf_id"
    assert msg2[148:164] == by_hand.cmac(smk, msg2[:148])
    assert msg2[164:] == bytes(4), "sig_rl_size"
    msg3 = enclave.msg3(msg2, world.attester().evidence)
    assert msg3[:16] == by_hand.cmac(smk, msg3[16:])
    assert (msg3[16:80], msg3[80:336]) == (msg1[:64], bytes(256))
    # A v3 quote's report data lie at 368 (48 bytes of header, 320 into the body).
    assert msg3[336 + 368 : 336 + 432] == hashlib.sha256(msg1[:64] + msg2[:64] + vk).digest() + bytes(32)

    provider.open(Msg3.parse(msg3))
    accepted = provider.accept(world.verdict(provider), RESULT)
    th = hashlib.sha256(b"intaglio/1 sigma transcript\0" + msg1 + msg2 + msg3).digest()
    msg4 = accepted.msg4
    assert msg4[:8] == b"ISM4\0\0\0\0"
    assert msg4[8:24] == th[:16]
    key = by_hand.cmac(mk, b"\x01intaglio msg4\x00" + th + b"\x80\x00")
    plain = AESGCM(key).decrypt(bytes(12), msg4[44:] + msg4[28:44], msg4[:28])
    assert plain == RESULT.encode()

    frame = enclave.msg4(msg4).up.protect([Record("get_size", "text/plain", b"100")])
    up = by_hand.cmac(sk, b"\x01intaglio up\x00" + th + b"\x80\x00")
    assert frame[:40] == b"ISF1" + bytes(4) + th[:16] + bytes(8) + (29).to_bytes(4, "little") + bytes(4)
    content = AESGCM(up).decrypt(bytes(12), frame[56:] + frame[40:56], frame[:40])
    assert content == b"\x08\0\x0a\0\x03\0\0\0get_sizetext/plain100"
    down = accepted.sender.protect([Record("a", "b", b"")])
    key = by_hand.cmac(sk, b"\x01intaglio down\x00" + th + b"\x80\x00")
    assert AESGCM(key).decrypt(bytes(12), down[56:] + down[40:56], down[:40]).endswith(b"ab")


def test_messages_have_intels_sizes() -> None:
    assert len(Msg1(bytes(64)).encode()) == Msg1.SIZE == 68
    assert len(Msg2(bytes(64), bytes(16), 0, 1, bytes(64), bytes(16)).signed) == 148
    assert len(Msg2(bytes(64), bytes(16), 0, 1, bytes(64), bytes(16)).encode()) == 168
    assert len(Msg3(bytes(16), bytes(64), bytes(256), b"").encode()) == 336
    assert len(Msg4(RESULT_SESSION, bytes(16), b"").encode()) == 44


RESULT_SESSION = schedule.session_of(bytes(32))


def test_the_two_directions_and_msg4_share_no_key() -> None:
    kdk, th = bytes(16), bytes(32)
    made = {schedule.frame_key(kdk, direction, th) for direction in Direction} | {schedule.msg4_key(kdk, th)}
    plain = {schedule.derive(kdk, name) for name in (b"SMK", b"SK", b"MK", b"VK")}
    assert len(made | plain) == 7
    assert not made & {schedule.frame_key(kdk, direction, b"\1" * 32) for direction in Direction}


def test_a_provider_key_survives_its_file_form() -> None:
    key = ProviderKey(0xC0FFEE)
    assert ProviderKey.parse(key.private_bytes()).public == key.public
