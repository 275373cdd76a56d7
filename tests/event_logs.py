"""Event logs as firmware, boot loaders and applications write them, one event at a time."""

import hashlib
import json
from uuid import UUID

from intaglio.wire.ccel import RUNTIME_EVENT, EventType

__all__ = ["GLOBAL", "boot_log", "event", "header", "image", "runtime_log", "sha384", "tagged", "variable"]

GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_SHA384 = 0x000C


def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def header(
    *, register: int = 1, algorithms: tuple[tuple[int, int], ...] = ((_SHA384, 48),), vendor: bytes = b""
) -> bytes:
    """The first event: the specification id."""
    listed = b"".join(number.to_bytes(2, "little") + size.to_bytes(2, "little") for number, size in algorithms)
    content = b"Spec ID Event03\0" + bytes(4) + b"\0\2\0\2" + len(algorithms).to_bytes(4, "little") + listed
    content += b"\x07td-shim"
    return register.to_bytes(4, "little") + _u32(EventType.EV_NO_ACTION) + bytes(20) + _u32(len(content)) + content


def event(register: int, kind: int, data: bytes, covered: bytes | None = None, *, others: bytes = b"") -> bytes:
    """One event of measurement register `register` (RTMR0 is 1). Its digest is over `covered`, or over `data`."""
    digest = sha384(data if covered is None else covered)
    digests = others + _SHA384.to_bytes(2, "little") + digest
    count = 1 + (1 if others else 0)
    return _u32(register) + _u32(kind) + _u32(count) + digests + _u32(len(data)) + data


def variable(name: str, content: bytes, vendor: UUID = GLOBAL) -> bytes:
    spelled = name.encode("utf-16-le")
    return vendor.bytes_le + len(name).to_bytes(8, "little") + len(content).to_bytes(8, "little") + spelled + content


def image(path: str) -> bytes:
    """A load event: where the image lies, and a device path of one file."""
    name = path.encode("utf-16-le") + b"\0\0"
    device_path = b"\4\4" + (4 + len(name)).to_bytes(2, "little") + name if path else b""
    device_path += b"\x7f\xff\4\0"
    return bytes(24) + len(device_path).to_bytes(8, "little") + device_path


def tagged(tag: int, text: bytes) -> bytes:
    return _u32(tag) + _u32(len(text)) + text


def boot_log(*events: bytes, unused: bytes = b"\xff" * 64) -> bytes:
    """A whole log in its area: by default what a small distribution with GRUB leaves."""
    return header() + b"".join(events or _boot()) + unused


def runtime_log(*events: tuple[str, bytes], rtmr: int = 3, digests: bool = True) -> bytes:
    """A JSON log of an application's events."""
    return json.dumps([
        {
            "imr": rtmr, "event_type": RUNTIME_EVENT, "event": name, "event_payload": payload.hex(),
            "digest": sha384(b":".join((_u32(RUNTIME_EVENT), name.encode(), payload))).hex() if digests else "",
        }
        for name, payload in events
    ]).encode()  # fmt: skip


def _boot() -> tuple[bytes, ...]:
    command_line = b"/vmlinuz root=/dev/vda1 ro"
    order = variable("BootOrder", b"\0\0")
    return (
        event(1, EventType.EV_EFI_HANDOFF_TABLES2, b"\x08TdxTable" + bytes(8), b"tables"),
        event(1, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, variable("SecureBoot", b"\1")),
        event(1, EventType.EV_SEPARATOR, bytes(4)),
        event(1, EventType.EV_EFI_VARIABLE_BOOT, order, b"\0\0"),
        event(2, EventType.EV_EFI_ACTION, b"Calling EFI Application from Boot Option"),
        event(2, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, image("\\EFI\\BOOT\\BOOTX64.EFI"), b"a boot loader"),
        event(3, EventType.EV_IPL, b"grub_cmd: linux " + command_line + b"\0", b"linux " + command_line),
        event(3, EventType.EV_IPL, b"kernel_cmdline: " + command_line + b"\0", command_line),
        event(3, EventType.EV_EVENT_TAG, tagged(0x8F3B22EC, b"Linux initrd\0"), b"an initial file system"),
        event(0, EventType.EV_NO_ACTION, b"SP800-155 Event3"),
        event(2, EventType.EV_EFI_ACTION, b"Exit Boot Services Invocation"),
    )


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")
