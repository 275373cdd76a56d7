# ruff: noqa: INP001
"""Writes vectors/*.json: known answers of the protocol, from fixed keys and fixed bytes in place of random ones.

`python scripts/make_vectors.py` rewrites the files; a test makes them again and compares. What can't be made twice (an
ML-DSA signature is randomised, HPKE encapsulation takes no randomness from a caller) is kept from the file as long as
it verifies.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from intaglio.errors import IntaglioError
from intaglio.reasons import Reason
from intaglio.session import kem, peer_schedule, schedule
from intaglio.session.epoch import epoch0_body
from intaglio.session.offers import check_offer
from intaglio.session.replay import SeenSet
from intaglio.session.sender import Sender
from intaglio.session.signing import SigningKeys, certify
from intaglio.types import Direction, SessionId, Tee, UnixTime
from intaglio.verify.verdict import evidence_hash
from intaglio.wire import cbor
from intaglio.wire.content import Record
from intaglio.wire.hello import Hello, Result, Role, SealedEvidence
from intaglio.wire.identity import KeyCertificate, KeyUse, Pin, PublicKeys, Suite
from intaglio.wire.offer import Offer, OfferBody
from intaglio.wire.peer import PeerAccept, PeerHello, PeerOffer, PeerOfferBody, PeerResult

FOLDER = Path(__file__).resolve().parent.parent / "vectors"
Vector = Mapping[str, object]

AUDIENCE = "dc.example"
TIME = 1_780_315_200
RECORDS = [Record("get_size", "application/cbor", b"\x18\x64")]


def fixed(name: str, size: int) -> bytes:
    """The bytes that stand where a random draw of this name would be: SHAKE-256 of the name."""
    return hashlib.shake_256(b"intaglio vector: " + name.encode()).digest(size)


def _keys(name: str) -> SigningKeys:
    return SigningKeys(fixed(name, 64))


def _offer_body(suite: Suite) -> OfferBody:
    return OfferBody(
        suite=suite,
        kem_key=kem.KemPrivateKey(fixed("offer KEM private key", 96)).public,
        nonce=fixed("offer nonce", 32),
        not_before=UnixTime(TIME),
        not_after=UnixTime(TIME + 3600),
        delete_after=UnixTime(TIME + 3600 + 7 * 86_400),
        epoch=7,
        minimum_epoch=3,
        policy_hash=fixed("policy hash", 32),
        audience=AUDIENCE,
        epoch0_limit=1000,
    )


def identity() -> Vector:
    """Pins, a key certificate and offers. Ed25519 signatures are deterministic; the suite-2 offer is kept."""
    one, two = _keys("identity"), _keys("operational")
    pins = {suite: Pin(suite, AUDIENCE, (one.public,)) for suite in Suite}
    body = KeyCertificate(two.public, KeyUse.OFFER | KeyUse.ACCEPT, AUDIENCE, 5, 100)
    certificate = certify(Suite.ED25519, one, body)
    first, second = _offer_body(Suite.ED25519), _offer_body(Suite.ED25519_ML_DSA_65)
    offers = {
        "offer_by_identity": Offer(one.sign(Suite.ED25519, "offer", first.encode()), None).encode(),
        "offer_by_operational_key": Offer(two.sign(Suite.ED25519, "offer", first.encode()), certificate).encode(),
        "offer_of_suite_2": _kept_offer(pins[Suite.ED25519_ML_DSA_65], one, second),
    }
    return {
        "identity_private_keys": one.private_bytes(),
        "operational_private_keys": two.private_bytes(),
        "pin": pins[Suite.ED25519].encode(),
        "pin_hash": pins[Suite.ED25519].hash,
        "pin_of_suite_2": pins[Suite.ED25519_ML_DSA_65].encode(),
        "pin_file": pins[Suite.ED25519].to_text(),
        "certificate_body": body.encode(),
        "certificate": certificate,
        "offer_body": first.encode(),
        "offer_body_of_suite_2": second.encode(),
        **offers,
        **{name.replace("offer", "offer_hash", 1): Offer.hash(data) for name, data in offers.items()},
    }


def _kept_offer(pin: Pin, identity_keys: SigningKeys, body: OfferBody) -> bytes:
    kept = _kept("identity", "offer_of_suite_2")
    try:
        if check_offer(pin, kept).body == body:
            return kept
    except IntaglioError:
        pass
    return Offer(identity_keys.sign(Suite.ED25519_ML_DSA_65, "offer", body.encode()), None).encode()


def _kept(file: str, key: str) -> bytes:
    path = FOLDER / f"{file}.json"
    return bytes.fromhex(json.loads(path.read_text())[key]) if path.exists() else b""


def hybrid_kem() -> Vector:
    """A private key, its public key, and a ciphertext with the secret it opens to. The ciphertext is kept."""
    key = kem.KemPrivateKey(fixed("reply KEM private key", 96))
    secret = fixed("KEM secret", 32)
    ciphertext = _kept("kem", "ciphertext")
    try:
        if key.decapsulate(ciphertext, kem.INFO_OFFER, Reason.HELLO_AUTHENTICATION) != secret:
            ciphertext = b""
    except IntaglioError:
        ciphertext = b""
    return {
        "private_key": key.private_bytes(),
        "public_key": key.public,
        "info": kem.INFO_OFFER,
        "secret": secret,
        "ciphertext": ciphertext or kem.seal(key.public, secret, kem.INFO_OFFER),
    }


def key_schedule() -> Vector:
    """From the two KEM secrets and the messages' public parts to every key of a session."""
    session, signing = SessionId(fixed("session id", 16)), Ed25519PrivateKey.from_private_bytes(fixed("G", 32))
    ss, ss2, ct, ct2 = fixed("ss", 32), fixed("ss2", 32), fixed("ct", 1168), fixed("ct2", 1168)
    claims, evidence = cbor.encode({"lineage": 1}), fixed("evidence", 100)
    header = Hello(
        suite=Suite.ED25519,
        offer_hash=fixed("offer hash", 32),
        session=session,
        kem_ciphertext=ct,
        reply_key=fixed("E", 1216),
        signing_key=signing.public_key().public_bytes_raw(),
        sealed_claims=b"",
        sealed_evidence=b"",
    )
    th0 = schedule.th0_of(header)
    ck1 = schedule.secret_of_hello(th0, ss)
    sealed_claims = schedule.seal_once(schedule.claims_key(ck1, th0), claims, th0)
    th = schedule.th_of(th0, schedule.sealed_claims_hash(sealed_claims))
    confirm = schedule.confirmation(ck1, th)
    hidden = SealedEvidence(Tee.SGX, Role.ENCLAVE, evidence).encode()
    name = evidence_hash(evidence)
    ck2 = schedule.accept_key(ck1, ss2, name, ct2)
    result = Result(UnixTime(TIME + 86_400), UnixTime(TIME), "meter", {"tcb": "UpToDate"}).encode()
    sealed_result = schedule.seal_once(schedule.result_key(ck2, th), result, th)
    return {
        "suite": int(header.suite),
        "offer_hash": header.offer_hash,
        "session": session,
        "ss": ss,
        "ct": ct,
        "E": header.reply_key,
        "G": header.signing_key,
        "claims": claims,
        "tee": Tee.SGX.value,
        "role": Role.ENCLAVE.value,
        "evidence": evidence,
        "ss2": ss2,
        "ct2": ct2,
        "result": result,
        "th0": th0,
        "ck1": ck1,
        "claims_key": schedule.claims_key(ck1, th0),
        "sealed_claims": sealed_claims,
        "th": th,
        "confirm": confirm,
        "report_data": schedule.report_data(Tee.SGX, Role.ENCLAVE, th, confirm),
        "evidence_key": schedule.evidence_key(ck1, th),
        "sealed_evidence": schedule.seal_once(schedule.evidence_key(ck1, th), hidden, th),
        "evidence_hash": name,
        "ck2": ck2,
        "result_key": schedule.result_key(ck2, th),
        "sealed_result": sealed_result,
        "accept_body": schedule.accept_body(th, name, ct2, sealed_result),
        "epochs": [_epoch(ck1, ck2, session, name, direction, number) for direction, number in _EPOCHS],
    }


_EPOCHS = [(Direction.UP, 0), *((direction, number) for direction in Direction for number in (1, 2, 3))]


def _epoch(ck1: bytes, ck2: bytes, session: SessionId, evidence: bytes, direction: Direction, number: int) -> Vector:
    secret = schedule.epoch_secret(ck2 if number else ck1, session, direction, min(number, 1), evidence)
    for following in range(2, number + 1):
        secret = schedule.next_secret(secret, session, direction, following)
    keys = schedule.epoch_keys(secret, session, direction, number)
    return {
        "direction": int(direction),
        "epoch": number,
        "secret": secret,
        "key": keys[:32],
        "iv": keys[32:44],
        "leaf_key": keys[44:],
    }


def peer() -> Vector:
    """Between two enclaves: offer, hello and Accept whole, with every value that leads to them. Suite 1."""
    signing, pin = _keys("A"), Pin(Suite.ED25519, AUDIENCE, (_keys("identity").public,))
    x, accept_keys = kem.KemPrivateKey(fixed("X", 96)).public, PublicKeys(signing.public.ed25519)
    body = PeerOfferBody(Suite.ED25519, x, fixed("peer offer nonce", 32), accept_keys, pin.hash, AUDIENCE).encode()
    theirs, ours = fixed("offer evidence", 100), fixed("evidence", 100)
    offer = PeerOffer(body, Tee.SGX, theirs).encode()
    session, ss, ss2 = SessionId(fixed("session id", 16)), fixed("ss", 32), fixed("ss2", 32)
    ct, ct2, reply = fixed("ct", 1168), fixed("ct2", 1168), fixed("E", 1216)
    hello = PeerHello(Suite.ED25519, PeerOffer.hash(offer), session, ct, reply, b"")
    th = peer_schedule.transcript(hello, evidence_hash(theirs))
    ck1 = schedule.secret_of_hello(th, ss)
    confirm = schedule.confirmation(ck1, th)
    hidden = SealedEvidence(Tee.TDX, Role.PEER_INITIATOR, ours).encode()
    hello = replace(hello, sealed_evidence=schedule.seal_once(schedule.evidence_key(ck1, th), hidden, th))
    name, result = evidence_hash(ours), PeerResult(UnixTime(TIME), "meter").encode()
    ck2 = schedule.accept_key(ck1, ss2, name, ct2)
    sealed_result = schedule.seal_once(schedule.result_key(ck2, th), result, th)
    signed = peer_schedule.accept_body(th, name, ct2, sealed_result, evidence_hash(theirs))
    signature = signing.sign(Suite.ED25519, "peer-accept", signed, detached=True)
    return {
        "pin": pin.encode(),
        "X": x,
        "A_private_keys": signing.private_bytes(),
        "nonce": fixed("peer offer nonce", 32),
        "offer_body": body,
        "offer_report_data": peer_schedule.offer_report_data(Tee.SGX, body),
        "offer_tee": Tee.SGX.value,
        "offer_evidence": theirs,
        "offer": offer,
        "offer_hash": hello.offer_hash,
        "session": session,
        "ss": ss,
        "ct": ct,
        "E": reply,
        "th": th,
        "ck1": ck1,
        "confirm": confirm,
        "tee": Tee.TDX.value,
        "report_data": schedule.report_data(Tee.TDX, Role.PEER_INITIATOR, th, confirm),
        "evidence": ours,
        "hello": hello.encode(),
        "ss2": ss2,
        "ct2": ct2,
        "ck2": ck2,
        "result": result,
        "accept_body": signed,
        "accept": PeerAccept(session, ct2, sealed_result, signature).encode(),
        "epochs": [_epoch(ck1, ck2, session, name, direction, number) for direction, number in _EPOCHS if number],
    }


def frames() -> Vector:
    """Frames of both directions: signed ones of epoch 0, records, a batch, a rekey, an end."""
    session, th, evidence = SessionId(fixed("session id", 16)), fixed("th", 32), fixed("evidence hash", 32)
    signing = Ed25519PrivateKey.from_private_bytes(fixed("G", 32))
    secrets = {name: fixed(f"secret {name}", 32) for name in ("up 0", "up 1", "down 1")}

    def sign(sequence: int, content: bytes) -> bytes:
        return signing.sign(epoch0_body(th, evidence, Direction.UP, 0, sequence, content))

    batch = [Record("temperature", "application/cbor", bytes((0x18, 24 + number))) for number in range(100)]
    up = Sender(session, Direction.UP, 0, secrets["up 0"], sign=sign)
    sent = [("records, signed", up.protect(RECORDS)), ("batch, signed", up.protect(batch))]
    sent += [("rekey, signed", up.advance(secrets["up 1"])), ("records", up.protect(RECORDS))]
    sent += [("batch", up.protect(batch)), ("rekey", up.rekey()), ("records", up.protect(RECORDS)), ("end", up.end())]
    down = Sender(session, Direction.DOWN, 1, secrets["down 1"])
    received = [("records", down.protect(RECORDS)), ("rekey", down.rekey()), ("end", down.end())]
    return {
        "session": session,
        "th": th,
        "evidence_hash": evidence,
        "G_private_key": fixed("G", 32),
        "G": signing.public_key().public_bytes_raw(),
        "secret_up_0": secrets["up 0"],
        "secret_up_1": secrets["up 1"],
        "secret_down_1": secrets["down 1"],
        "up": [{"what": what, "frame": frame} for what, frame in sent],
        "down": [{"what": what, "frame": frame} for what, frame in received],
    }


def replay() -> Vector:
    """Numbers added one after another, with the set's encoding after each; null where the number is a replay."""
    seen = SeenSet()
    steps: list[Vector] = []
    for number in (0, 1, 5, 3, 3, 4, 2, 2**64 - 1, 9, 0, 2**63):
        try:
            seen.add(number)
        except IntaglioError:
            steps.append({"add": number, "seen": None})
        else:
            steps.append({"add": number, "seen": seen.encode()})
    return {"steps": steps}


def everything() -> dict[str, str]:
    """File name and content of each vector file."""
    made = {"identity": identity, "kem": hybrid_kem, "schedule": key_schedule, "frames": frames, "replay": replay}
    made["peer"] = peer
    return {f"{name}.json": json.dumps(make(), indent=1, default=bytes.hex) + "\n" for name, make in made.items()}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in everything().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
