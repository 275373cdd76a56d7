"""Event logs: read, cut, spoilt, and what their events say."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.wire.boot_events import (
    BootFact,
    Firmware,
    Image,
    Opaque,
    Proof,
    Separator,
    Variable,
    Words,
    proof_of,
    read_fact,
)
from intaglio.wire.ccel import MAX_EVENTS, MAX_LOG_SIZE, RUNTIME_EVENT, Event, EventLog, EventType, runtime_digest
from tests.event_logs import GLOBAL, boot_log, event, header, image, runtime_log, sha384, tagged, variable
from tests.feeding import feed_garbage


def test_a_boot_is_read() -> None:
    log = EventLog.parse(boot_log())
    assert len(log.events) == 11
    assert [each.rtmr for each in log.events] == [0, 0, 0, 0, 1, 1, 2, 2, 2, None, 1]
    assert [each.extends for each in log.events].count(False) == 1
    assert log.events[1].digest == sha384(variable("SecureBoot", b"\1"))


@pytest.mark.parametrize("unused", [b"", bytes(7), bytes(4096), b"\xff" * 4, b"\xff" * 4096])
def test_what_follows_the_last_event_is_unused(unused: bytes) -> None:
    assert EventLog.parse(boot_log(unused=unused)) == EventLog.parse(boot_log())


@pytest.mark.parametrize("unused", [b"\xff" * 40 + b"\0", bytes(40) + b"\xff", b"\xff" * 40 + b"more", b"\xff\xff"])
def test_something_else_after_it_is_refused(unused: bytes) -> None:
    with pytest.raises(Malformed):
        EventLog.parse(boot_log(unused=unused))


def test_a_log_cut_anywhere_is_refused_or_has_fewer_events() -> None:
    """Between two events a log may end; that it is not whole shows when it is replayed."""
    whole, data = EventLog.parse(boot_log()), boot_log(unused=b"")
    shorter = 0
    for length in range(len(data)):
        try:
            log = EventLog.parse(data[:length])
        except Malformed:
            continue
        assert log.events == whole.events[: len(log.events)]
        assert len(log.events) < len(whole.events)
        shorter += 1
    assert len(whole.events) <= shorter < len(data) // 20


def test_each_byte_changed_is_refused_or_read() -> None:
    data = boot_log()
    for position in range(len(data)):
        for change in (0x01, 0x80, 0xFF):
            feed_garbage(EventLog.parse, data[:position] + bytes((data[position] ^ change,)) + data[position + 1 :])


@settings(max_examples=100, deadline=None)
@given(garbage=st.binary(max_size=600))
def test_garbage(garbage: bytes) -> None:
    for reader in (EventLog.parse, EventLog.parse_json):
        feed_garbage(reader, garbage)
        feed_garbage(reader, header() + garbage)


@pytest.mark.parametrize(
    "log",
    [
        b"",
        header(register=5),
        header(algorithms=((4, 20),)),
        header(algorithms=((12, 32),)),
        header(algorithms=((12, 48), (12, 48))),
        header(algorithms=()),
        header(algorithms=tuple((number, 48) for number in range(17))),
        header().replace(b"Event03", b"Event02"),
        header().replace(bytes(20), bytes(19) + b"\1"),
        header() + event(6, 1, b"x"),
        header() + event(1, 1, b"x", others=b"\x0b\0" + bytes(32)),
        header(algorithms=((12, 48), (11, 32))) + event(1, 1, b"x"),
        header(algorithms=((12, 48), (11, 32))) + event(1, 1, b"x", others=b"\x0c\0" + bytes(48)),
        header() + event(1, 1, b"x")[:-6] + b"\xff\xff\xff\x7fx",
    ],
)
def test_headers_and_events_that_lie(log: bytes) -> None:
    with pytest.raises(Malformed):
        EventLog.parse(log)


def test_other_digests_are_read_past() -> None:
    log = header(algorithms=((11, 32), (12, 48))) + event(1, 1, b"x", others=b"\x0b\0" + bytes(32))
    assert EventLog.parse(log).events == (Event(0, 1, sha384(b"x"), b"x"),)


def test_size_and_number_are_bounded() -> None:
    with pytest.raises(Malformed, match="at most"):
        EventLog.parse(bytes(MAX_LOG_SIZE + 1))
    with pytest.raises(Malformed, match="more than"):
        EventLog.parse(header() + event(1, 1, b"") * (MAX_EVENTS + 1))
    with pytest.raises(Malformed, match="at most"):
        EventLog.parse_json(b"[" + b",".join([b"0"] * (MAX_EVENTS + 1)) + b"]")


@pytest.mark.parametrize("digests", [True, False])
def test_run_time_events_are_read_with_and_without_their_digests(digests: bool) -> None:
    log = EventLog.parse_json(runtime_log(("app-id", b"\1\2"), ("ready", b""), digests=digests))
    assert [(each.rtmr, each.kind, each.name, each.data) for each in log.events] == [
        (3, RUNTIME_EVENT, "app-id", b"\1\2"), (3, RUNTIME_EVENT, "ready", b""),
    ]  # fmt: skip
    assert [each.digest for each in log.events] == [runtime_digest("app-id", b"\1\2"), runtime_digest("ready", b"")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("imr", 4), ("imr", -1), ("imr", True), ("imr", "3"), ("event_type", 2**32), ("event_type", None),
        ("event_type", 1), ("event", 7), ("event", "a\nb"), ("event", "\ud800"), ("digest", "00"), ("digest", "zz"),
        ("digest", None), ("event_payload", "0"), ("event_payload", 0), ("event_payload", "\u0660\u0660"),
    ],
)  # fmt: skip
def test_run_time_events_that_are_none(field: str, value: object) -> None:
    document: list[dict[str, Any]] = json.loads(runtime_log(("ready", b""), digests=False))
    document[0][field] = value
    with pytest.raises(Malformed):
        EventLog.parse_json(json.dumps(document).encode())


@pytest.mark.parametrize("text", [b"{}", b"[0]", b"[[]]", b'["x"]', b"null", b"[{}]"])
def test_json_that_is_no_log(text: bytes) -> None:
    with pytest.raises(Malformed):
        EventLog.parse_json(text)


def read(kind: int, data: bytes, covered: bytes | None = None, *, name: str = "") -> tuple[BootFact, Proof]:
    one = Event(0, kind, sha384(data if covered is None else covered), data, name)
    return read_fact(one), proof_of(one, read_fact(one))


T = EventType
SECURE_BOOT = variable("SecureBoot", b"\1")
SHORT_NODE = image("x")[:-4] + b"\x7f\xff\3\0"


@pytest.mark.parametrize(
    ("found", "fact", "proof"),
    [
        (read(T.EV_EFI_VARIABLE_DRIVER_CONFIG, SECURE_BOOT), Variable(str(GLOBAL), "SecureBoot", b"\1"), Proof.ALL),
        (read(T.EV_EFI_VARIABLE_BOOT, SECURE_BOOT, b"\1"), Variable(str(GLOBAL), "SecureBoot", b"\1"), Proof.CONTENT),
        (read(T.EV_EFI_VARIABLE_BOOT, SECURE_BOOT[:-1]), Opaque(SECURE_BOOT[:-1]), Proof.ALL),
        (read(T.EV_EFI_VARIABLE_BOOT, b"\0" * 20), Opaque(b"\0" * 20), Proof.ALL),
        (read(T.EV_EFI_BOOT_SERVICES_APPLICATION, image("\\a.efi"), b"code"), Image("\\a.efi"), Proof.NOTHING),
        (read(T.EV_EFI_BOOT_SERVICES_DRIVER, image(""), b"code"), Image(""), Proof.NOTHING),
        (read(T.EV_EFI_BOOT_SERVICES_DRIVER, SHORT_NODE), Opaque(SHORT_NODE), Proof.ALL),
        (read(T.EV_EFI_BOOT_SERVICES_DRIVER, image("a\rb")), Opaque(image("a\rb")), Proof.ALL),
        (read(T.EV_EFI_PLATFORM_FIRMWARE_BLOB2, b"\3fv\0" + bytes(16), b"fv"), Firmware("fv"), Proof.NOTHING),
        (read(T.EV_EFI_HANDOFF_TABLES2, b"\x09short"), Opaque(b"\x09short"), Proof.ALL),
        (read(T.EV_SEPARATOR, bytes(4)), Separator(failed=False), Proof.ALL),
        (read(T.EV_SEPARATOR, b"\1\0\0\0"), Separator(failed=True), Proof.ALL),
        (read(T.EV_SEPARATOR, b"\1"), Opaque(b"\1"), Proof.ALL),
        (read(T.EV_EFI_ACTION, b"Exit"), Words("", "Exit"), Proof.ALL),
        (read(T.EV_IPL, b"kernel_cmdline: ro\0", b"ro"), Words("kernel_cmdline", "ro"), Proof.CONTENT),
        (read(T.EV_IPL, b"grub_cmd ro\0\x9f", b"ro\0"), Words("grub_cmd", "ro"), Proof.CONTENT),
        (read(T.EV_IPL, b"kernel_cmdline: rw\0", b"ro"), Words("kernel_cmdline", "rw"), Proof.NOTHING),
        (read(T.EV_IPL, ".linux\0".encode("utf-16-le"), b"kernel"), Words("", ".linux"), Proof.NOTHING),
        (read(T.EV_IPL, b"\xff\xfe\xfd"), Opaque(b"\xff\xfe\xfd"), Proof.ALL),
        (read(T.EV_IPL, b"a\x1b[31mb"), Opaque(b"a\x1b[31mb"), Proof.ALL),
        (read(T.EV_IPL, b"x" * 20_000), Opaque(b"x" * 20_000), Proof.ALL),
        (read(T.EV_EVENT_TAG, tagged(7, b"Linux initrd\0"), b"fs"), Words("", "Linux initrd"), Proof.NOTHING),
        (read(T.EV_EVENT_TAG, tagged(7, b"text") + b"!"), Opaque(tagged(7, b"text") + b"!"), Proof.ALL),
        (read(T.EV_EFI_GPT_EVENT, b"EFI PART"), Opaque(b"EFI PART"), Proof.ALL),
        (read(0x1234, b"?"), Opaque(b"?"), Proof.ALL),
        (read(RUNTIME_EVENT, b"id", b"id", name="app"), Words("app", "id"), Proof.NOTHING),
    ],
)  # fmt: skip
def test_facts_and_how_much_of_them_is_proven(found: tuple[BootFact, Proof], fact: BootFact, proof: Proof) -> None:
    assert found == (fact, proof)
    assert str(fact)


def test_a_run_time_events_digest_covers_its_name() -> None:
    for name, payload, text in (("app-id", b"\xff\1", "ff01"), ("url", b"https://x", "https://x")):
        good = Event(3, RUNTIME_EVENT, runtime_digest(name, payload), payload, name)
        assert (read_fact(good), proof_of(good, read_fact(good))) == (Words(name, text), Proof.ALL)
        renamed = Event(3, RUNTIME_EVENT, good.digest, payload, "other")
        assert proof_of(renamed, read_fact(renamed)) is Proof.NOTHING


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from([*EventType, RUNTIME_EVENT]), data=st.binary(max_size=120))
def test_no_description_is_an_error(kind: int, data: bytes) -> None:
    one = Event(0, kind, bytes(48), data)
    assert str(read_fact(one)).isprintable()
    assert proof_of(one, read_fact(one)) is Proof.NOTHING
