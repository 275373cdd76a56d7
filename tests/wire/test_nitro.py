"""Nitro documents: both forms of the payload's map, every field by type and size, and nothing else."""

import hashlib
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from intaglio.errors import Malformed
from intaglio.wire.nitro import MAX_PAYLOAD, NitroDocument
from tests.conftest import missing, vector_cases
from tests.feeding import feed, feed_garbage

PROTECTED = bytes.fromhex("a1013822")
SIGNATURE = bytes(range(96))
FIELDS: dict[str, Any] = {
    "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
    "digest": "SHA384",
    "timestamp": 1_780_315_200_123,
    "pcrs": {index: bytes([index + 1]) * 48 for index in range(4)},
    "certificate": b"leaf",
    "cabundle": [b"root", b"zone"],
    "public_key": b"key",
    "user_data": b"data",
    "nonce": None,
}


def indefinite(value: dict[Any, Any] | list[Any]) -> bytes:
    """The same items, ended by a break."""
    encoded = cbor2.dumps(value)
    assert encoded[0] & 0x1F < 24
    return bytes((encoded[0] & 0xE0 | 0x1F,)) + encoded[1:] + b"\xff"


def document(payload: bytes, *, protected: bytes = PROTECTED, signature: bytes = SIGNATURE) -> bytes:
    return cbor2.dumps([protected, {}, payload, signature])


def with_field(name: str, value: object) -> bytes:
    return document(cbor2.dumps({**FIELDS, name: value}))


def refused(data: bytes, field: str, problem: str = "") -> None:
    with pytest.raises(Malformed) as caught:
        NitroDocument.parse(data)
    assert caught.value.field == field
    assert problem in caught.value.problem


@pytest.mark.parametrize("payload", [cbor2.dumps(FIELDS), indefinite(FIELDS)], ids=["definite", "indefinite"])
@pytest.mark.parametrize("tag", [b"", b"\xd2"], ids=["untagged", "tag 18"])
def test_both_forms_say_the_same(payload: bytes, tag: bytes) -> None:
    read = NitroDocument.parse(tag + document(payload))
    assert (read.module_id, read.digest, read.timestamp) == (FIELDS["module_id"], "SHA384", FIELDS["timestamp"])
    assert dict(read.pcrs) == FIELDS["pcrs"]
    assert (read.certificate, read.ca_bundle) == (b"leaf", (b"root", b"zone"))
    assert (read.public_key, read.user_data, read.nonce) == (b"key", b"data", None)
    assert read.payload == payload
    assert read.report_data == b"data"


def test_what_is_signed_is_the_payload_as_it_stands() -> None:
    for payload in (cbor2.dumps(FIELDS), indefinite(FIELDS)):
        read = NitroDocument.parse(document(payload))
        assert read.signed == cbor2.dumps(["Signature1", PROTECTED, b"", payload])


def test_inner_maps_and_arrays_may_end_in_a_break_too() -> None:
    pcrs, bundle = indefinite(FIELDS["pcrs"]), indefinite(FIELDS["cabundle"])
    payload = cbor2.dumps(FIELDS).replace(cbor2.dumps(FIELDS["pcrs"]), pcrs)
    payload = payload.replace(cbor2.dumps(FIELDS["cabundle"]), bundle)
    assert pcrs in payload
    assert bundle in payload
    assert dict(NitroDocument.parse(document(payload)).pcrs) == FIELDS["pcrs"]


@pytest.mark.parametrize("payload", [cbor2.dumps(FIELDS), indefinite(FIELDS)], ids=["definite", "indefinite"])
def test_read_whole_changed_short_and_long(payload: bytes) -> None:
    feed(NitroDocument.parse, document(payload))


def test_real_documents_read_whole_changed_short_and_long() -> None:
    cases = [case for case in vector_cases("nitro") if not case.name.startswith("NEG-")]
    if not cases:
        missing("vectors/nitro")
    for case in (cases[0], next(case for case in cases if case.name.startswith("dstack"))):
        feed(NitroDocument.parse, (case / "attestation_doc.cbor").read_bytes())


@pytest.mark.parametrize("name", ["public_key", "user_data", "nonce"])
def test_optional_fields_may_be_missing(name: str) -> None:
    read = NitroDocument.parse(document(cbor2.dumps({k: v for k, v in FIELDS.items() if k != name})))
    assert getattr(read, name) is None


@pytest.mark.parametrize("name", ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"])
def test_required_fields_may_not(name: str) -> None:
    refused(document(cbor2.dumps({k: v for k, v in FIELDS.items() if k != name})), f"nitro.{name}", "missing")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("module_id", ""),
        ("module_id", b"i-0"),
        ("module_id", "x" * 257),
        ("digest", "SHA256"),
        ("digest", 384),
        ("timestamp", 0),
        ("timestamp", -1),
        ("timestamp", 1.5),
        ("timestamp", True),
        ("timestamp", None),
        ("pcrs", {}),
        ("pcrs", [bytes(48)]),
        ("pcrs", {32: bytes(48)}),
        ("pcrs", {-1: bytes(48)}),
        ("pcrs", {"0": bytes(48)}),
        ("pcrs", {0: bytes(47)}),
        ("pcrs", {0: bytes(33)}),
        ("pcrs", {0: "0" * 48}),
        ("pcrs", {0: None}),
        ("certificate", b""),
        ("certificate", None),
        ("certificate", bytes(1025)),
        ("cabundle", []),
        ("cabundle", [b""]),
        ("cabundle", [bytes(1025)]),
        ("cabundle", [b"c"] * 9),
        ("cabundle", {0: b"root"}),
        ("public_key", b""),
        ("public_key", bytes(1025)),
        ("public_key", "key"),
        ("user_data", bytes(513)),
        ("user_data", False),
        ("nonce", bytes(513)),
        ("nonce", cbor2.undefined),
        ("nonce", [b"n"]),
    ],
)
def test_wrong_types_and_sizes_are_refused(name: str, value: object) -> None:
    refused(with_field(name, value), f"nitro.{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pcrs", {index: bytes(48) for index in range(32)}),
        ("pcrs", {0: bytes(32), 1: bytes(64)}),
        ("certificate", bytes(1024)),
        ("cabundle", [bytes(1024)] * 8),
        ("public_key", bytes(1024)),
        ("user_data", b""),
        ("user_data", bytes(512)),
        ("nonce", bytes(512)),
        ("timestamp", 2**64 - 1),
    ],
)
def test_limits_belong_to_what_is_allowed(name: str, value: object) -> None:
    assert NitroDocument.parse(with_field(name, value)).payload


def test_unknown_and_repeated_keys_are_refused() -> None:
    refused(with_field("pcr9", 1), "nitro.payload")
    short = {k: v for k, v in FIELDS.items() if k != "nonce"}
    refused(document(cbor2.dumps({**short, "pcr9": 1})), "nitro.key", "unknown: 'pcr9'")
    twice = cbor2.dumps(short)
    twice = bytes((twice[0] + 1,)) + twice[1:] + cbor2.dumps("user_data") + cbor2.dumps(b"other")
    refused(document(twice), "nitro.user_data", "occurs twice")
    pcr = cbor2.dumps(FIELDS["pcrs"])
    again = bytes((pcr[0] + 1,)) + pcr[1:] + cbor2.dumps(0) + cbor2.dumps(bytes(48))
    refused(document(cbor2.dumps(FIELDS).replace(pcr, again)), "nitro.pcrs", "PCR0 occurs twice")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (document(cbor2.dumps(FIELDS), protected=cbor2.dumps({1: -7})), "nitro.cose.protected"),
        (document(cbor2.dumps(FIELDS), protected=cbor2.dumps({1: -35, 4: b"kid"})), "nitro.cose.protected"),
        (document(cbor2.dumps(FIELDS), protected=b"\xa1\x01\x39\x00\x22"), "nitro.cose.protected"),
        (document(cbor2.dumps(FIELDS), protected=b""), "nitro.cose.protected"),
        (cbor2.dumps([PROTECTED, {4: b"kid"}, cbor2.dumps(FIELDS), SIGNATURE]), "nitro.cose.unprotected"),
        (cbor2.dumps([PROTECTED, {}, None, SIGNATURE]), "nitro.cose.payload"),
        (cbor2.dumps([PROTECTED, {}, cbor2.dumps(FIELDS), SIGNATURE[:95]]), "nitro.cose.signature"),
        (cbor2.dumps([PROTECTED, {}, cbor2.dumps(FIELDS), SIGNATURE + b"\0"]), "nitro.cose.signature"),
        (cbor2.dumps([PROTECTED, {}, cbor2.dumps(FIELDS)]), "nitro.cose.sign1"),
        (b"\xd2\xd2" + document(cbor2.dumps(FIELDS)), "nitro.cose.sign1"),
        (b"\xd8\x12" + document(cbor2.dumps(FIELDS)), "nitro.cose.sign1"),
        (document(cbor2.dumps(FIELDS) + b"\0"), "nitro"),
        (document(indefinite(FIELDS) + b"\xff"), "nitro"),
        (document(indefinite(FIELDS)[:-1]), "nitro.payload"),
        (document(cbor2.dumps(FIELDS)) + b"\0", "nitro.cose"),
        (document(bytes(MAX_PAYLOAD + 1)), "nitro.cose.payload"),
        (b"\x84\x44" + PROTECTED + b"\xa0" + bytes(1 << 20), "nitro.cose"),
        (b"", "nitro.cose.sign1"),
    ],
)
def test_the_envelope_is_exactly_one(data: bytes, field: str) -> None:
    refused(data, field)


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xd8\x1c\x81" * 400 + b"\xd8\x1d\x00",  # shared references
        b"\x81" * 9000,  # nesting
        b"\xbf" * 9000,
        b"\x9f" * 9000 + b"\xff" * 9000,
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",  # a map of 2**64 - 1 pairs
        b"\xbf" + b"\x61a\x00" * 4000 + b"\xff",
        b"\xa9\x69module_id\x7f\x61a\x61b\xff",  # text in pieces
        b"\xa9\x78\x09module_id\x61a",  # a head that is longer than it needs to be
        b"\xa9\x69module_id\x7b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa9\x69module_id\x62\xff\xfe",
    ],
)
def test_bombs_are_refused_at_once(bomb: bytes) -> None:
    with pytest.raises(Malformed):
        NitroDocument.parse(document(bomb))


def test_garbage_is_malformed_and_nothing_else() -> None:
    good = document(cbor2.dumps(FIELDS))
    for number in range(2000):
        noise = hashlib.sha256(number.to_bytes(4, "big")).digest()
        at = int.from_bytes(noise[:2], "big") % len(good)
        feed_garbage(NitroDocument.parse, good[:at] + noise[2 : 2 + noise[31] % 8] + good[at + noise[30] % 8 :])


def test_debug_is_three_registers_of_zeros() -> None:
    zero = bytes(48)
    assert NitroDocument.parse(with_field("pcrs", {0: zero, 1: zero, 2: zero, 4: b"\1" * 48})).debug
    for index in range(3):
        assert not NitroDocument.parse(with_field("pcrs", {0: zero, 1: zero, 2: zero, index: b"\1" * 48})).debug


def test_json_shows_every_field() -> None:
    shown = NitroDocument.parse(document(cbor2.dumps(FIELDS))).to_json()
    assert shown["pcrs"] == {str(index): value.hex() for index, value in FIELDS["pcrs"].items()}
    assert (shown["user_data"], shown["nonce"], shown["debug"]) == (b"data".hex(), None, False)


@pytest.mark.parametrize("form", [cbor2.dumps, indefinite], ids=["definite", "indefinite"])
def test_the_usual_order_is_read_faster_and_means_the_same(form: Callable[[dict[Any, Any]], bytes]) -> None:
    """What is the same in every document is read at a glance; any order, and any size among the usual ones, is read."""
    usual = {**FIELDS, "pcrs": {index: bytes([index + 1]) * 48 for index in range(16)}}
    expected = NitroDocument.parse(document(form(usual)))
    keys, registers = list(usual), list(usual["pcrs"].items())
    for turn in range(len(keys)):
        order = [*keys[turn:], *keys[:turn]]
        pcrs = dict(registers[turn:] + registers[:turn])
        read = NitroDocument.parse(document(form({**{key: usual[key] for key in order}, "pcrs": pcrs})))
        assert read.pcrs == expected.pcrs
        assert (read.module_id, read.certificate, read.nonce) == (expected.module_id, expected.certificate, None)
    mixed = {0: b"a" * 48, 1: b"b" * 32, 2: b"c" * 48, 5: b"d" * 64, 4: b"e" * 48}
    assert dict(NitroDocument.parse(with_field("pcrs", mixed)).pcrs) == mixed


def test_a_register_that_comes_again_in_the_usual_place_is_refused() -> None:
    """PCR1 stands first, and a second one where PCR1 would stand."""
    one = cbor2.dumps(1) + cbor2.dumps(bytes(48))
    pcr = cbor2.dumps(FIELDS["pcrs"])
    refused(document(cbor2.dumps(FIELDS).replace(pcr, b"\xa2" + one + one)), "nitro.pcrs", "PCR1 occurs twice")
