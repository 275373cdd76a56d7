"""The event log of a confidential VM's firmware: TCG's crypto-agile format, as ACPI's CCEL table points to it.

Each event says into which register firmware or loader extended which digest, and what they say it was (TCG PC Client
Platform Firmware Profile §10, Intel's TDX Virtual Firmware Design Guide §8.1). The log itself is unsigned: only its
replay can be compared with a report (`intaglio.verify.event_log`). Numbers are little-endian.

The log lies in an area of fixed size, and what follows its last event is all zeros or all ones. JSON logs of run-time
events (an array of objects with `imr`, `event_type`, `digest`, `event` and `event_payload`) are read into the same
values.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from intaglio.errors import Malformed
from intaglio.wire import strict_json
from intaglio.wire.cursor import Cursor
from intaglio.wire.strict_json import Json

__all__ = ["RUNTIME_EVENT", "Event", "EventLog", "EventType", "runtime_digest"]

MAX_LOG_SIZE = 4 * 1024 * 1024
"""The largest area we know is 1 MiB."""

MAX_EVENTS = 10_000
"""A boot makes about a hundred."""

_SHA384 = 0x000C
_SHA384_SIZE = 48
_SPECIFICATION = b"Spec ID Event03\0"
_ONES = b"\xff\xff\xff\xff"
_NO_EVENT = bytes(12)
_REGISTERS = 5

RUNTIME_EVENT = 0x08000001
"""An event of an application, not of TCG's: `runtime_digest` says what its digest is over. Logs may leave it out."""


class EventType(IntEnum):
    """What TCG calls the events that a boot can have."""

    EV_PREBOOT_CERT = 0x00
    EV_POST_CODE = 0x01
    EV_NO_ACTION = 0x03
    EV_SEPARATOR = 0x04
    EV_ACTION = 0x05
    EV_EVENT_TAG = 0x06
    EV_S_CRTM_CONTENTS = 0x07
    EV_S_CRTM_VERSION = 0x08
    EV_CPU_MICROCODE = 0x09
    EV_PLATFORM_CONFIG_FLAGS = 0x0A
    EV_TABLE_OF_DEVICES = 0x0B
    EV_COMPACT_HASH = 0x0C
    EV_IPL = 0x0D
    EV_IPL_PARTITION_DATA = 0x0E
    EV_NONHOST_CODE = 0x0F
    EV_NONHOST_CONFIG = 0x10
    EV_NONHOST_INFO = 0x11
    EV_OMIT_BOOT_DEVICE_EVENTS = 0x12
    EV_POST_CODE2 = 0x13
    EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001
    EV_EFI_VARIABLE_BOOT = 0x80000002
    EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003
    EV_EFI_BOOT_SERVICES_DRIVER = 0x80000004
    EV_EFI_RUNTIME_SERVICES_DRIVER = 0x80000005
    EV_EFI_GPT_EVENT = 0x80000006
    EV_EFI_ACTION = 0x80000007
    EV_EFI_PLATFORM_FIRMWARE_BLOB = 0x80000008
    EV_EFI_HANDOFF_TABLES = 0x80000009
    EV_EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000000A
    EV_EFI_HANDOFF_TABLES2 = 0x8000000B
    EV_EFI_VARIABLE_BOOT2 = 0x8000000C
    EV_EFI_GPT_EVENT2 = 0x8000000D
    EV_EFI_HCRTM_EVENT = 0x80000010
    EV_EFI_VARIABLE_AUTHORITY = 0x800000E0
    EV_EFI_SPDM_FIRMWARE_BLOB = 0x800000E1
    EV_EFI_SPDM_FIRMWARE_CONFIG = 0x800000E2


@dataclass(frozen=True, slots=True)
class Event:
    """`digest` was extended into RTMR number `rtmr`; None: into MRTD, before the firmware ran.

    `kind` is an `EventType` where it is one of those. `data` is what whoever measured says about it; `name` is only
    there in run-time logs.
    """

    rtmr: int | None
    kind: int
    digest: bytes
    data: bytes
    name: str = ""

    @property
    def extends(self) -> bool:
        """Informative events change no register."""
        return self.kind != EventType.EV_NO_ACTION and self.rtmr is not None


@dataclass(frozen=True, slots=True)
class EventLog:
    """The events, in the order in which they happened."""

    events: tuple[Event, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads a binary log. Raises `Malformed`; a log that stops between two events is a log, and fails to replay."""
        if len(data) > MAX_LOG_SIZE:
            raise Malformed("event_log", f"at most {MAX_LOG_SIZE} bytes, got {len(data)}")
        cur = Cursor(data, "event_log")
        sizes = _read_header(cur)
        events: list[Event] = []
        while cur.left:
            if data.startswith((_ONES, _NO_EVENT[: cur.left]), cur.position):
                _check_unused(cur.rest())
                break
            if len(events) == MAX_EVENTS:
                raise Malformed("event_log", f"more than {MAX_EVENTS} events")
            events.append(_read_event(cur, sizes))
        return cls(tuple(events))

    @classmethod
    def parse_json(cls, data: bytes) -> Self:
        """Reads a JSON array of run-time events. Raises `Malformed`."""
        document = strict_json.loads(data, "event_log")
        if not isinstance(document, list) or len(document) > MAX_EVENTS:
            raise Malformed("event_log", f"not an array of at most {MAX_EVENTS} events")
        return cls(tuple(_read_json(item) for item in document))


def runtime_digest(name: str, payload: bytes) -> bytes:
    """SHA-384 over type, name and payload, with a colon between them."""
    return hashlib.sha384(b":".join((RUNTIME_EVENT.to_bytes(4, "little"), name.encode(), payload))).digest()


def _read_header(cur: Cursor) -> dict[int, int]:
    """The first event, in the format of TPM 1.2: which digests the others carry, and their sizes."""
    register, kind = cur.u32("header.register"), cur.u32("header.type")
    cur.zeros(20, "header.digest")
    content = cur.take(cur.u32("header.size"), "header.event")
    # Firmware writes 0 or 1: no register is extended.
    if register >= _REGISTERS or kind != EventType.EV_NO_ACTION:
        raise Malformed("event_log.header", "does not begin with a specification id")
    inner = Cursor(content, "event_log.header")
    if inner.take(16, "signature") != _SPECIFICATION:
        raise Malformed("event_log.header.signature", "not that of a crypto-agile log")
    inner.take(8, "version")
    count = inner.u32("algorithms")
    if not 1 <= count <= 16:
        raise Malformed("event_log.header.algorithms", f"expected 1 to 16, got {count}")
    sizes = {}
    for _ in range(count):
        algorithm = inner.u16("algorithm")
        sizes[algorithm] = inner.u16("digest size")
    inner.take(inner.u8("vendor info size"), "vendor info")
    inner.end()
    if len(sizes) != count or sizes.get(_SHA384) != _SHA384_SIZE:
        raise Malformed("event_log.header.algorithms", "no SHA-384, of which RTMRs are made, or one twice")
    return sizes


def _read_event(cur: Cursor, sizes: dict[int, int]) -> Event:
    register, kind = cur.u32("event.register"), cur.u32("event.type")
    if register >= _REGISTERS:
        raise Malformed("event_log.event.register", f"expected 0 to {_REGISTERS - 1}, got {register}")
    count = cur.u32("event.digests")
    if count != len(sizes):
        raise Malformed("event_log.event.digests", f"the header promises {len(sizes)}, got {count}")
    digests: dict[int, bytes] = {}
    for _ in range(count):
        algorithm = cur.u16("event.algorithm")
        if algorithm not in sizes or algorithm in digests:
            raise Malformed("event_log.event.algorithm", f"{algorithm:#x} is not in the header, or there twice")
        digests[algorithm] = cur.take(sizes[algorithm], "event.digest")
    data = cur.take(cur.u32("event.size"), "event.data")
    return Event(register - 1 if register else None, kind, digests[_SHA384], data)


def _check_unused(rest: bytes) -> None:
    if rest.strip(b"\0") and rest.strip(b"\xff"):
        raise Malformed("event_log.unused", "something follows the last event")


def _read_json(item: Json) -> Event:
    where = "event_log.event"
    if not isinstance(item, dict):
        raise Malformed(where, "not an object")
    rtmr, kind = item.get("imr"), item.get("event_type")
    if not isinstance(rtmr, int) or isinstance(rtmr, bool) or not 0 <= rtmr <= 3:
        raise Malformed(f"{where}.imr", "expected 0 to 3")
    if not isinstance(kind, int) or isinstance(kind, bool) or not 0 <= kind < 2**32:
        raise Malformed(f"{where}.event_type", "expected a number of 32 bits")
    digest, data = _hex(item, "digest"), _hex(item, "event_payload")
    name = item.get("event")
    if not isinstance(name, str) or not name.isprintable():
        raise Malformed(f"{where}.event", "missing or not printable")
    if not digest and kind == RUNTIME_EVENT:
        digest = runtime_digest(name, data)
    if len(digest) != _SHA384_SIZE:
        raise Malformed(f"{where}.digest", f"need {_SHA384_SIZE} bytes, got {len(digest)}")
    return Event(rtmr, kind, digest, data, name)


def _hex(item: dict[str, Json], name: str) -> bytes:
    text = item.get(name)
    if not isinstance(text, str) or not text.isascii():
        raise Malformed(f"event_log.event.{name}", "missing or not hexadecimal text")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Malformed(f"event_log.event.{name}", "not hexadecimal text") from error
