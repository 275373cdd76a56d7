"""The known answers under vectors/: made again byte for byte, and derived a second time from docs/protocol.md alone.

The second half imports nothing that computes: a small encoder, `hmac`, `hashlib`, AES-GCM and Ed25519. What it
reproduces, the prose says completely.
"""

import hashlib
import hmac
import importlib.util
import json
from functools import lru_cache
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from intaglio.reasons import Reason
from intaglio.session import kem
from intaglio.session.channel import UpReceiver
from intaglio.session.offers import check_offer
from intaglio.session.replay import SeenSet
from intaglio.types import SessionId, UnixTime
from intaglio.wire.identity import Pin
from tests.conftest import ROOT

FOLDER = ROOT / "vectors"


@lru_cache(maxsize=8)
def vector(name: str) -> dict[str, Any]:
    loaded = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def octets(name: str, key: str) -> bytes:
    return bytes.fromhex(vector(name)[key])


def test_the_files_are_what_the_code_makes_today() -> None:
    spec = importlib.util.spec_from_file_location("make_vectors", ROOT / "scripts" / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.everything()
    assert set(made) == {path.name for path in FOLDER.glob("*.json")}
    for name, text in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, name


# -- By our own readers ------------------------------------------------------------------------------------------------


def test_the_pin_believes_every_offer() -> None:
    for pin, names in (
        ("pin", ("offer_by_identity", "offer_by_operational_key", "offer_of_suite_2")),
        ("pin_of_suite_2", ("offer_of_suite_2",)),
    ):
        for name in names:
            checked = check_offer(Pin.parse(octets("identity", pin)), octets("identity", name))
            assert checked.hash == octets("identity", name.replace("offer", "offer_hash", 1))
            assert checked.by_identity is (name != "offer_by_operational_key")
    assert Pin.from_text(vector("identity")["pin_file"]).encode() == octets("identity", "pin")


def test_the_kem_ciphertext_opens_to_its_secret() -> None:
    key = kem.KemPrivateKey(octets("kem", "private_key"))
    assert key.public == octets("kem", "public_key")
    secret = key.decapsulate(octets("kem", "ciphertext"), octets("kem", "info"), Reason.HELLO_AUTHENTICATION)
    assert secret == octets("kem", "secret")


def test_a_receiver_takes_every_frame() -> None:
    given = {name: octets("frames", name) for name in ("session", "th", "evidence_hash", "G")}
    receiver = UpReceiver.begin(
        SessionId(given["session"]),
        given["th"],
        given["evidence_hash"],
        given["G"],
        octets("frames", "secret_up_0"),
        octets("frames", "secret_up_1"),
    )
    for number, entry in enumerate(vector("frames")["up"]):
        opened = receiver.open(bytes.fromhex(entry["frame"]))
        assert (opened.sequence, opened.kind.name.lower() if not opened.records else "records") == (
            number,
            entry["what"].removesuffix(", signed").replace("batch", "records"),
        )
        receiver.commit(opened, UnixTime(0))
    assert receiver.epochs == (2,)


def test_the_set_of_seen_numbers() -> None:
    for step in (steps := vector("replay")["steps"]):
        if step["seen"] is not None:
            assert step["add"] in SeenSet.parse(bytes.fromhex(step["seen"]))
    assert [step["add"] for step in steps if step["seen"] is None] == [3, 0]


# -- By the prose alone ------------------------------------------------------------------------------------------------

Item = int | bytes | str | None | list["Item"]


def encoded(item: Item) -> bytes:
    """Deterministic CBOR (§2) of what the schedule hashes."""
    if item is None:
        return b"\xf6"
    if isinstance(item, int):
        return _head(0, item)
    if isinstance(item, bytes):
        return _head(2, len(item)) + item
    if isinstance(item, str):
        return _head(3, len(item.encode())) + item.encode()
    return _head(4, len(item)) + b"".join(encoded(part) for part in item)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    size = next(n for n in (1, 2, 4, 8) if number < 256**n)
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + number.to_bytes(size, "big")


def labelled(label: str, *items: Item) -> bytes:
    return encoded(["intaglio/1 " + label, *items])


def digest(label: str, *items: Item) -> bytes:
    return hashlib.sha256(labelled(label, *items)).digest()


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt, ikm, "sha256")


def expand(key: bytes, size: int, label: str, *items: Item) -> bytes:
    info, block, output = labelled(label, *items), b"", b""
    for count in range(1, 256):
        if len(output) >= size:
            break
        block = hmac.digest(key, block + info + bytes([count]), "sha256")
        output += block
    return output[:size]


def seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    return AESGCM(key).encrypt(bytes(12), plaintext, aad)


def test_the_prose_gives_the_schedule() -> None:
    given = vector("schedule")
    v = {name: bytes.fromhex(text) for name, text in given.items() if name not in ("suite", "tee", "role", "epochs")}
    th0 = digest("hello", given["suite"], v["offer_hash"], v["session"], v["ct"], v["E"], v["G"])
    ck1 = extract(th0, v["ss"])
    assert (th0, ck1) == (v["th0"], v["ck1"])
    sealed_claims = seal(expand(ck1, 32, "seal-claims", th0), v["claims"], th0)
    th = digest("transcript", th0, digest("sealed-claims", sealed_claims))
    confirm = expand(ck1, 32, "confirm", th)
    assert (sealed_claims, th, confirm) == (v["sealed_claims"], v["th"], v["confirm"])
    message = labelled("report-data", given["tee"], given["role"], th, hashlib.sha512(confirm).digest())
    assert hashlib.sha512(message).digest() == v["report_data"]
    hidden = encoded([given["tee"], given["role"], v["evidence"]])
    assert seal(expand(ck1, 32, "seal-evidence", th), hidden, th) == v["sealed_evidence"]
    evidence = digest("evidence", v["evidence"])
    ck2 = extract(ck1, labelled("accept-secret", v["ss2"], evidence, v["ct2"]))
    assert (evidence, ck2) == (v["evidence_hash"], v["ck2"])
    sealed_result = seal(expand(ck2, 32, "seal-result", th), v["result"], th)
    assert sealed_result == v["sealed_result"]
    assert labelled("accept", th, evidence, v["ct2"], digest("sealed-result", sealed_result)) == v["accept_body"]
    assert len(given["epochs"]) == 7
    for entry in given["epochs"]:
        d, n = entry["direction"], entry["epoch"]
        secret = expand(ck2 if n else ck1, 32, "epoch", v["session"], d, min(n, 1), evidence)
        for following in range(2, n + 1):
            secret = expand(secret, 32, "rekey", v["session"], d, following)
        keys = expand(secret, 76, "frames", v["session"], d, n)
        assert (secret, keys[:32], keys[32:44], keys[44:]) == tuple(
            bytes.fromhex(entry[name]) for name in ("secret", "key", "iv", "leaf_key")
        )


def test_the_prose_gives_a_session_between_enclaves() -> None:
    given = vector("peer")
    v = {name: bytes.fromhex(text) for name, text in given.items() if name not in ("offer_tee", "tee", "epochs")}
    signer = _public(v["A_private_keys"])[0]
    body = encoded([1, 1, v["X"], v["nonce"], [signer, None], digest("pin", v["pin"]), "dc.example"])
    message = labelled("peer-offer-report-data", given["offer_tee"], "peer-responder", digest("peer-offer-body", body))
    assert (body, hashlib.sha512(message).digest()) == (v["offer_body"], v["offer_report_data"])
    offer = labelled("peer-offer", body, given["offer_tee"], v["offer_evidence"])
    assert (offer, digest("peer-offer-hash", offer)) == (v["offer"], v["offer_hash"])
    theirs, ours = digest("evidence", v["offer_evidence"]), digest("evidence", v["evidence"])
    th = digest("peer-transcript", 1, v["offer_hash"], theirs, v["session"], v["ct"], v["E"])
    ck1 = extract(th, v["ss"])
    confirm = expand(ck1, 32, "confirm", th)
    assert (th, ck1, confirm) == (v["th"], v["ck1"], v["confirm"])
    message = labelled("report-data", given["tee"], "peer-initiator", th, hashlib.sha512(confirm).digest())
    assert hashlib.sha512(message).digest() == v["report_data"]
    hidden = encoded([given["tee"], "peer-initiator", v["evidence"]])
    sealed = seal(expand(ck1, 32, "seal-evidence", th), hidden, th)
    assert labelled("peer-hello", 1, v["offer_hash"], v["session"], v["ct"], v["E"], sealed) == v["hello"]
    ck2 = extract(ck1, labelled("accept-secret", v["ss2"], ours, v["ct2"]))
    assert (ck2, encoded([1_780_315_200, "meter"])) == (v["ck2"], v["result"])
    sealed = seal(expand(ck2, 32, "seal-result", th), v["result"], th)
    signed = labelled("peer-accept", th, ours, v["ct2"], digest("sealed-result", sealed), theirs)
    assert signed == v["accept_body"]
    signature = _sign1_by_hand(v["A_private_keys"], "peer-accept", signed, detached=True)
    assert labelled("peer-accept", v["session"], v["ct2"], sealed, signature) == v["accept"]
    assert len(given["epochs"]) == 6
    for entry in given["epochs"]:
        secret = expand(ck2, 32, "epoch", v["session"], entry["direction"], 1, ours)
        for following in range(2, entry["epoch"] + 1):
            secret = expand(secret, 32, "rekey", v["session"], entry["direction"], following)
        assert secret == bytes.fromhex(entry["secret"])


def _opened_by_hand(frame: bytes, direction: int, secrets: dict[int, bytes]) -> tuple[int, int, bytes]:
    """Epoch, sequence and plaintext of a frame, by §6.1 and §6.3."""
    session = octets("frames", "session")
    assert (frame[:9], frame[30:32], frame[40:41]) == (bytes.fromhex("d0835824a301030455"), b"\x06\x48", b"\xa0")
    assert frame[9:26] == session + bytes([direction])
    epoch, sequence = int.from_bytes(frame[26:30], "big"), int.from_bytes(frame[32:40], "big")
    keys = expand(secrets[epoch], 76, "frames", session, direction, epoch)
    nonce = bytes(a ^ b for a, b in zip(keys[32:44], bytes(4) + frame[32:40], strict=True))
    for size in (1, 2, 3):
        ciphertext = frame[41 + size :]
        if frame[41:] == _head(2, len(ciphertext)) + ciphertext:
            aad = encoded(["Encrypt0", frame[4:40], b""])
            return epoch, sequence, AESGCM(keys[:32]).decrypt(nonce, ciphertext, aad)
    raise AssertionError("no length fits")


def _epoch_secrets(direction: int, first: dict[int, bytes]) -> dict[int, bytes]:
    session, last = octets("frames", "session"), max(first)
    return first | {last + 1: expand(first[last], 32, "rekey", session, direction, last + 1)}


def test_the_prose_opens_the_frames() -> None:
    up = _epoch_secrets(0, {n: octets("frames", f"secret_up_{n}") for n in (0, 1)})
    down = _epoch_secrets(1, {1: octets("frames", "secret_down_1")})
    record: list[Item] = ["get_size", "application/cbor", b"\x18\x64"]
    batch: list[Item] = [["temperature", "application/cbor", bytes((0x18, 24 + n))] for n in range(100)]
    contents: dict[str, list[Item]] = {"records": [0, [record]], "batch": [0, batch], "end": [3, None]}
    for direction, secrets in ((0, up), (1, down)):
        for number, entry in enumerate(vector("frames")["down" if direction else "up"]):
            epoch, sequence, plain = _opened_by_hand(bytes.fromhex(entry["frame"]), direction, secrets)
            content = contents.get(entry["what"].removesuffix(", signed"), [1, epoch + 1])
            assert sequence == number
            if epoch:
                assert plain == encoded(content)
            else:
                assert plain[:-66] == b"\x83" + encoded(content)[1:]
                assert plain[-66:-64] == b"\x58\x40"
                _check_signature_by_hand(plain[-64:], sequence, encoded(content))


def _check_signature_by_hand(signature: bytes, sequence: int, content: bytes) -> None:
    th, evidence = octets("frames", "th"), octets("frames", "evidence_hash")
    key = Ed25519PublicKey.from_public_bytes(octets("frames", "G"))
    key.verify(signature, labelled("epoch0", th, evidence, 0, 0, sequence, digest("content", content)))
    with pytest.raises(InvalidSignature):
        key.verify(signature, labelled("epoch0", th, evidence, 0, 0, sequence + 1, digest("content", content)))


def test_the_prose_gives_identity_certificate_and_offers() -> None:
    seed, operational = octets("identity", "identity_private_keys"), octets("identity", "operational_private_keys")
    body, certificate_body = octets("identity", "offer_body"), octets("identity", "certificate_body")
    certificate = _sign1_by_hand(seed, "key", certificate_body)
    assert certificate == octets("identity", "certificate")
    assert certificate_body == encoded([list(_public(operational)), 3, "dc.example", 5, 100])
    pin = labelled("identity", 1, "dc.example", [list(_public(seed))])
    assert (pin, digest("pin", pin)) == (octets("identity", "pin"), octets("identity", "pin_hash"))
    for name, signer, vouched in (
        ("offer_by_identity", seed, None),
        ("offer_by_operational_key", operational, certificate),
    ):
        offer = labelled("offer", _sign1_by_hand(signer, "offer", body), vouched)
        assert offer == octets("identity", name)
        assert digest("offer-hash", offer) == octets("identity", name.replace("offer", "offer_hash", 1))


def _public(seed: bytes) -> tuple[bytes, bytes]:
    ed25519 = Ed25519PrivateKey.from_private_bytes(seed[:32])
    ml_dsa = MLDSA65PrivateKey.from_seed_bytes(seed[32:])
    return ed25519.public_key().public_bytes_raw(), ml_dsa.public_key().public_bytes_raw()


def _header(alg: int, public: bytes) -> bytes:
    """{1: alg, 4: kid}; alg is negative: CBOR's major type 1 holds -1 - alg."""
    return b"\xa2\x01" + _head(1, -1 - alg) + b"\x04" + encoded(digest("kid", public)[:8])


def _sign1_by_hand(seed: bytes, label: str, payload: bytes, *, detached: bool = False) -> bytes:
    protected = _header(-8, _public(seed)[0])
    message = encoded(["Signature1", protected, b"intaglio/1 " + label.encode(), payload])
    signature = Ed25519PrivateKey.from_private_bytes(seed[:32]).sign(message)
    return b"\xd2\x84" + encoded(protected) + b"\xa0" + encoded(None if detached else payload) + encoded(signature)


def test_the_prose_verifies_the_offer_of_suite_2() -> None:
    seed, body = octets("identity", "identity_private_keys"), octets("identity", "offer_body_of_suite_2")
    ed25519, ml_dsa = _public(seed)
    offer = octets("identity", "offer_of_suite_2")
    signature = offer[-1 - 3309 : -1]
    rows = [(_header(-8, ed25519), b""), (_header(-49, ml_dsa), signature)]
    structure = encoded(["Signature", b"", rows[1][0], b"intaglio/1 offer", body])
    MLDSA65PublicKey.from_public_bytes(ml_dsa).verify(signature, structure)
    start = b"\xd8\x62\x84\x40\xa0" + encoded(body) + b"\x82\x83" + encoded(rows[0][0]) + b"\xa0\x58\x40"
    at = offer.index(start) + len(start)
    structure = encoded(["Signature", b"", rows[0][0], b"intaglio/1 offer", body])
    Ed25519PublicKey.from_public_bytes(ed25519).verify(offer[at : at + 64], structure)
