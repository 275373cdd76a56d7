"""Frames beside raw AES-256-GCM, and signed ones beside Ed25519, interleaved in one run.

    python -m benchmarks.frames            a table
    python -m benchmarks.frames --json     one object; rates per second, both ends together

Frame: bytes in, frame, bytes out again, its number checked and added to the set of seen ones (`EpochKey`, `SeenSet`).
Record: a `Record` through `Sender.protect`, `UpReceiver.open` and `commit`, with its leaf, its salt at both ends, and a
checkpoint when one is due. Both at 100 bytes of plaintext or value.
The limit is AES-256-GCM of the cryptography package alone: encrypt and decrypt 100 bytes with 50 of associated data.
"""

import argparse
import json
import os
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.side_by_side import Work, best_seconds, show
from intaglio.session.channel import UpReceiver
from intaglio.session.epoch import EpochKey, epoch0_body
from intaglio.session.ledger import Ledger
from intaglio.session.replay import SeenSet
from intaglio.session.sender import Sender
from intaglio.types import Direction, SessionId, UnixTime
from intaglio.wire.content import Record

ROUNDS = 40
SESSION, NOW = SessionId(bytes(range(16))), UnixTime(1_780_315_200)
VALUE = bytes(100)
RECORD = Record("get_size", "application/cbor", VALUE)
TARGETS = {"frame_ratio": 0.4, "epoch0_records_per_s": 9_000, "batched_records_per_s": 1_500_000}


def main() -> None:
    parser = argparse.ArgumentParser(description="frames, side by side")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    found = measure()
    if parser.parse_args().json:
        print(json.dumps(found))
    else:
        show_table(found)


def measure() -> dict[str, object]:
    """All figures of one run."""
    best = best_seconds(
        {
            "raw": (_raw(), 2000),
            "frame": (_frames(), 2000),
            "record": (_records(epoch=1, batch=1), 1000),
            "batch": (_records(epoch=1, batch=100), 30),
            "ed25519": (_ed25519(), 40),
            "epoch0": (_records(epoch=0, batch=1), 40),
        },
        ROUNDS,
    )
    return {
        "raw_aes_gcm_per_s": round(1 / best["raw"]),
        "frames_per_s": round(1 / best["frame"]),
        "frame_ratio": round(best["raw"] / best["frame"], 3),
        "records_per_s": round(1 / best["record"]),
        "record_ratio": round(best["raw"] / best["record"], 3),
        "batched_records_per_s": round(100 / best["batch"]),
        "ed25519_sign_verify_per_s": round(1 / best["ed25519"]),
        "epoch0_records_per_s": round(1 / best["epoch0"]),
        "epoch0_ratio": round(best["ed25519"] / best["epoch0"], 3),
        "targets": TARGETS,
        "python": sys.version.split()[0],
    }


def _raw() -> Work:
    aead, nonce, aad = AESGCM(bytes(32)), bytes(12), bytes(50)
    encrypt, decrypt = aead.encrypt, aead.decrypt

    def work(count: int) -> None:
        for _ in range(count):
            decrypt(nonce, encrypt(nonce, VALUE, aad), aad)

    return work


def _frames() -> Work:
    key, seen = EpochKey(os.urandom(76), SESSION, Direction.UP, 1), SeenSet()

    def work(count: int) -> None:
        for number in range(seen.next, seen.next + count):
            sequence, plaintext = key.open(key.seal(number, VALUE))
            if sequence != seen.next:
                seen.check(sequence)
            seen.add(sequence)
            if len(plaintext) != len(VALUE):
                raise SystemExit("the benchmark's frame did not come back")

    return work


def _records(*, epoch: int, batch: int) -> Work:
    """Batches of records in epoch 0 (signed) or 1."""
    signing, secret = Ed25519PrivateKey.generate(), os.urandom(32)
    th, evidence = os.urandom(32), os.urandom(32)
    receiver = UpReceiver.begin(SESSION, th, evidence, signing.public_key().public_bytes_raw(), secret, secret)
    records = [RECORD] * batch

    def sign(sequence: int, content: bytes) -> bytes:
        return signing.sign(epoch0_body(th, evidence, Direction.UP, 0, sequence, content))

    sender = Sender(SESSION, Direction.UP, 0, secret, sign=sign, ledger=Ledger(th, signing.sign))
    if epoch:
        receiver.commit(receiver.open(sender.advance(secret)), NOW)

    def work(count: int) -> None:
        for _ in range(count):
            opened = receiver.open(sender.protect(records))
            receiver.commit(opened, NOW)
            if sender.checkpoint_due:
                receiver.commit(receiver.open(sender.checkpoint()), NOW)
            if opened.salt is None or len(opened.records) != batch:
                raise SystemExit("the benchmark's records did not come back")

    return work


def _ed25519() -> Work:
    signing, message = Ed25519PrivateKey.generate(), bytes(150)
    public = signing.public_key()

    def work(count: int) -> None:
        for _ in range(count):
            public.verify(signing.sign(message), message)

    return work


def show_table(found: dict[str, object]) -> None:
    def rate(name: str) -> str:
        return f"{found[name]:,}/s"

    show(
        f"frames of 100 bytes, both ends together (Python {found['python']})",
        [
            ("raw AES-256-GCM, encrypt + decrypt", rate("raw_aes_gcm_per_s"), "the limit"),
            ("frame, bytes to bytes, replay checked", rate("frames_per_s"), f"{found['frame_ratio']} of raw"),
            ("record, encoded and read", rate("records_per_s"), f"{found['record_ratio']} of raw"),
            ("records in batches of 100", rate("batched_records_per_s"), ""),
            ("Ed25519 sign + verify", rate("ed25519_sign_verify_per_s"), "the limit of epoch 0"),
            ("record in epoch 0, signed", rate("epoch0_records_per_s"), f"{found['epoch0_ratio']} of Ed25519"),
        ],
    )


if __name__ == "__main__":
    main()
