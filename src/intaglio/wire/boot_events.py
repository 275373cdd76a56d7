"""What the events of a boot say, as values: variables, images, firmware, words (TCG PC Client profile §10.2 to §10.4).

An event has a digest, which is in a register, and a description, which need not be: `proof_of` says how much of it the
digest covers. Where that is nothing (the digest of a kernel image beside its path), the digest is the fact and the
description a hint. Nothing here fails: what can't be read as its type says is `Opaque`.
"""

import hashlib
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from intaglio.errors import Malformed
from intaglio.wire.ccel import RUNTIME_EVENT, Event, EventType, runtime_digest
from intaglio.wire.cursor import Cursor

__all__ = [
    "BootFact", "Firmware", "Image", "Opaque", "Proof", "Separator", "Variable", "Words", "proof_of", "read_fact",
]  # fmt: skip

_VARIABLES = (
    EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, EventType.EV_EFI_VARIABLE_BOOT, EventType.EV_EFI_VARIABLE_BOOT2,
    EventType.EV_EFI_VARIABLE_AUTHORITY,
)  # fmt: skip
_IMAGES = (
    EventType.EV_EFI_BOOT_SERVICES_APPLICATION, EventType.EV_EFI_BOOT_SERVICES_DRIVER,
    EventType.EV_EFI_RUNTIME_SERVICES_DRIVER,
)  # fmt: skip
_WORDS = (
    EventType.EV_IPL, EventType.EV_ACTION, EventType.EV_EFI_ACTION, EventType.EV_POST_CODE, EventType.EV_POST_CODE2,
    EventType.EV_S_CRTM_VERSION, EventType.EV_PLATFORM_CONFIG_FLAGS,
)  # fmt: skip
_FIRMWARE = (EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2, EventType.EV_EFI_HANDOFF_TABLES2)

_LABELS = ("grub_cmd: ", "kernel_cmdline: ", "module_cmdline: ", "grub_cmd ", "grub_kernel_cmdline ", "grub_linuxefi ")
"""What GRUB and its relatives put before the text that they measure."""

_PATH_NODE = (4, 4)
_END_NODE = 0x7F
_MAX_WORDS = 16 * 1024


class Proof(Enum):
    """How much of what an event says its digest covers. Whoever keeps the log can rewrite the rest."""

    ALL = "all"
    """Every byte of the description."""
    CONTENT = "content"
    """The data of a variable or the text, but not the name or label that says what it was for."""
    NOTHING = "nothing"
    """The digest is of something else, such as the program at a path."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A UEFI variable. `vendor` is its GUID."""

    vendor: str
    name: str
    data: bytes

    def __str__(self) -> str:
        return f"variable {self.name} of {self.vendor}, {len(self.data)} bytes"


@dataclass(frozen=True, slots=True)
class Image:
    """A program that the firmware started. `path` is empty where it was not loaded from a file."""

    path: str

    def __str__(self) -> str:
        return f"image {self.path or 'without a file name'}"


@dataclass(frozen=True, slots=True)
class Firmware:
    """A piece of firmware, or tables that the host hands to it."""

    description: str

    def __str__(self) -> str:
        return f"firmware {self.description}"


@dataclass(frozen=True, slots=True)
class Words:
    """Text. `label` says what kind, where whoever measured it did: `kernel_cmdline`, the name of a run-time event."""

    label: str
    text: str

    def __str__(self) -> str:
        return f"{self.label}: {self.text}" if self.label else self.text


@dataclass(frozen=True, slots=True)
class Separator:
    """The end of a phase. Anything but zero says that it failed."""

    failed: bool

    def __str__(self) -> str:
        return "separator" + (": an error" if self.failed else "")


@dataclass(frozen=True, slots=True)
class Opaque:
    """Bytes that are not read, or not what the event's type says."""

    data: bytes

    def __str__(self) -> str:
        return f"{len(self.data)} bytes"


BootFact = Variable | Image | Firmware | Words | Separator | Opaque


def read_fact(event: Event) -> BootFact:
    """What `event` says it measured."""
    try:
        return _read(event)
    except (Malformed, UnicodeDecodeError):
        return Opaque(event.data)


def proof_of(event: Event, fact: BootFact) -> Proof:
    """By the habits of firmware, GRUB, systemd's stub and run-time logs."""
    if event.kind == RUNTIME_EVENT:
        return Proof.ALL if event.digest == runtime_digest(event.name, event.data) else Proof.NOTHING
    if _covers(event, event.data):
        return Proof.ALL
    contents: tuple[bytes, ...] = ()
    if isinstance(fact, Variable):
        contents = (fact.data,)
    elif isinstance(fact, Words) and fact.text:
        contents = (fact.text.encode(), fact.text.encode() + b"\0")
    return Proof.CONTENT if any(_covers(event, content) for content in contents) else Proof.NOTHING


def _covers(event: Event, content: bytes) -> bool:
    return hashlib.sha384(content).digest() == event.digest


def _read(event: Event) -> BootFact:
    kind, data = event.kind, event.data
    if kind == RUNTIME_EVENT:
        return Words(event.name, _printable(data))
    if kind in _VARIABLES:
        return _variable(data)
    if kind in _IMAGES:
        return _image(data)
    if kind in _FIRMWARE:
        cur = Cursor(data, "firmware")
        return Firmware(_shown(cur.take(cur.u8("size"), "description").rstrip(b"\0").decode("ascii")))
    if kind in _WORDS:
        return _words(data)
    if kind == EventType.EV_EVENT_TAG:
        cur = Cursor(data, "tagged")
        cur.u32("tag")
        text = cur.take(cur.u32("size"), "text")
        cur.end()
        return _words(text)
    if kind == EventType.EV_SEPARATOR and len(data) == 4:
        return Separator(data != bytes(4))
    return Opaque(data)


def _variable(data: bytes) -> Variable:
    cur = Cursor(data, "variable")
    vendor = str(UUID(bytes_le=cur.take(16, "vendor")))
    name_size, data_size = cur.u64("name size"), cur.u64("data size")
    name = cur.take(2 * name_size, "name").decode("utf-16-le")
    content = cur.take(data_size, "data")
    cur.end()
    return Variable(vendor, _shown(name), content)


def _image(data: bytes) -> Image:
    """The file in the image's device path, if it names one (UEFI §10.3)."""
    cur = Cursor(data, "image")
    cur.take(24, "location")
    path = Cursor(cur.take(cur.u64("path size"), "path"), "path")
    cur.end()
    names = []
    while path.left:
        kind, size = (path.u8("type"), path.u8("subtype")), path.u16("size")
        if size < 4:
            raise Malformed("path.size", "a node is shorter than its head")
        node = path.take(size - 4, "node")
        if kind == _PATH_NODE:
            names.append(node.decode("utf-16-le").rstrip("\0"))
        elif kind[0] == _END_NODE:
            break
    return Image(_shown("".join(names)))


def _words(data: bytes) -> Words:
    text = _text(data)
    for label in _LABELS:
        if text.startswith(label):
            return Words(label.rstrip(": "), text.removeprefix(label))
    return Words("", text)


def _text(data: bytes) -> str:
    """ASCII or UTF-16 up to the first NUL; a byte of what lay in memory behind it may follow, and is no part of it."""
    if len(data) > _MAX_WORDS:
        raise Malformed("words", f"at most {_MAX_WORDS} bytes, got {len(data)}")
    if len(data) >= 4 and len(data) % 2 == 0 and not any(data[1:8:2]):
        text = data.decode("utf-16-le")
    else:
        text = data.partition(b"\0")[0].decode("utf-8")
    return _shown(text.partition("\0")[0])


def _shown(text: str) -> str:
    """What is shown to people must not move their cursor."""
    if not text.isprintable():
        raise Malformed("words", "not printable")
    return text


def _printable(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return data.hex()
    return text if text.isprintable() else data.hex()
