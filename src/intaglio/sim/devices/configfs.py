"""configfs-tsm as Linux 6.13 has it (drivers/virt/coco/guest/report.c, fs/configfs/file.c): every folder below
`tsm/report` is a request.

What matters here: `inblob` is taken when its file is closed, and what is wrong with it then is told to nobody;
`generation` counts what was taken; evidence is made at the first read after a change and kept until the next; a file
that was written is not read and the other way round; attributes that a provider does not have do not exist.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from intaglio.sim.devices.kernel import Content, Handle, Node, fail

__all__ = ["ConfigfsTsmDevice", "Made", "Provider"]

INBLOB_MAX = 64
OUTBLOB_MAX = 32 * 1024
PRIVLEVEL_MAX = 3


@dataclass(frozen=True, slots=True)
class Made:
    """What a provider made for one request. `auxblob` is what the host put beside it."""

    outblob: bytes
    auxblob: bytes = b""


@dataclass(frozen=True, slots=True)
class Provider:
    """`make` gets the 64 bytes and the privilege level, and raises OSError where a driver would fail."""

    name: str
    make: Callable[[bytes, int], Made]
    privlevel_floor: int = 0

    @property
    def has_levels(self) -> bool:
        return self.name == "sev_guest"


@dataclass
class _Item:
    """One folder."""

    inblob: bytes = b""
    privlevel: int = 0
    written: int = 0
    read: int = 0
    made: Made | None = None


@dataclass
class ConfigfsTsmDevice:
    """The subtree. `provider` None: no driver is loaded. `after_write` is called once with the folder's name when an
    attribute has been taken: where a test lets somebody else write."""

    provider: Provider | None
    items: dict[str, _Item] = field(default_factory=dict)
    made: int = 0
    after_write: Callable[[str], None] | None = None

    def exists(self, name: str) -> bool:
        folder, _, attribute = name.partition("/")
        return not folder or (folder in self.items and (not attribute or attribute in self._attributes()))

    def mkdir(self, name: str) -> None:
        if self.provider is None:
            raise fail(errno.ENXIO, name)
        if "/" in name:
            raise fail(errno.EPERM, name)
        if name in self.items:
            raise fail(errno.EEXIST, name)
        self.items[name] = _Item()

    def rmdir(self, name: str) -> None:
        if self.items.pop(name, None) is None:
            raise fail(errno.ENOENT, name)

    def open(self, name: str, flags: int) -> Handle:
        folder, _, attribute = name.partition("/")
        if folder not in self.items or attribute not in self._attributes():
            raise fail(errno.ENOENT, name)
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        if writes != (attribute in ("inblob", "privlevel")):
            raise fail(errno.EACCES, name)
        match attribute:
            case "inblob":
                return _Inblob(self, folder, name)
            case "privlevel":
                return _Privlevel(self, folder, name)
            case "outblob" | "auxblob":
                return _Blob(self, folder, name, attribute)
        return Content(name, self._text(folder, attribute))

    def take(self, folder: str, **change: object) -> None:
        """A write that the kernel takes: the item changes and its generation goes up."""
        item = self.items.get(folder)
        if item is None:
            return
        for attribute, value in change.items():
            setattr(item, attribute, value)
        item.written += 1
        if self.after_write is not None:
            then, self.after_write = self.after_write, None
            then(folder)

    def blob(self, folder: str, attribute: str, path: str) -> bytes:
        """What a read of evidence gives; made anew where something was written since the last one."""
        item, provider = self.items.get(folder), self.provider
        if item is None:
            raise fail(errno.ENOENT, path)
        if not item.inblob:
            raise fail(errno.EINVAL, path)
        if item.made is None or item.read != item.written:
            if provider is None:
                raise fail(errno.ENXIO, path)
            if len(item.inblob) != INBLOB_MAX:
                raise fail(errno.EINVAL, path)
            item.made = None
            item.made = provider.make(item.inblob, item.privlevel)
            item.read = item.written
            self.made += 1
        content = item.made.outblob if attribute == "outblob" else item.made.auxblob
        if len(content) > OUTBLOB_MAX:
            raise fail(errno.EFBIG, path)
        return content

    def _attributes(self) -> frozenset[str]:
        common = frozenset(("inblob", "outblob", "generation", "provider"))
        if self.provider is not None and self.provider.has_levels:
            return common | {"auxblob", "privlevel", "privlevel_floor"}
        return common

    def _text(self, folder: str, attribute: str) -> bytes:
        if attribute == "generation":
            return b"%d\n" % self.items[folder].written
        if self.provider is None:
            raise fail(errno.ENXIO, attribute)
        if attribute == "provider":
            return f"{self.provider.name}\n".encode()
        return b"%d\n" % self.provider.privlevel_floor


class _Inblob(Node):
    """Writes gather until the file is closed."""

    def __init__(self, device: ConfigfsTsmDevice, folder: str, path: str) -> None:
        self._device = device
        self._folder = folder
        self.path = path
        self._written = b""

    def write(self, data: bytes) -> int:
        if len(self._written) + len(data) > INBLOB_MAX:
            raise fail(errno.EFBIG, self.path)
        self._written += data
        return len(data)

    def close(self) -> None:
        if self._written:
            self._device.take(self._folder, inblob=self._written)


class _Privlevel(Node):
    """Taken, or refused, at the write."""

    def __init__(self, device: ConfigfsTsmDevice, folder: str, path: str) -> None:
        self._device = device
        self._folder = folder
        self.path = path

    def write(self, data: bytes) -> int:
        provider = self._device.provider
        if provider is None:
            raise fail(errno.ENXIO, self.path)
        text = data.strip()
        if not text.isdigit() or not provider.privlevel_floor <= int(text) <= PRIVLEVEL_MAX:
            raise fail(errno.EINVAL, self.path)
        self._device.take(self._folder, privlevel=int(text))
        return len(data)


class _Blob(Node):
    """Filled at the first read."""

    def __init__(self, device: ConfigfsTsmDevice, folder: str, path: str, attribute: str) -> None:
        self._device = device
        self._folder = folder
        self.path = path
        self._attribute = attribute
        self._content: Content | None = None

    def read(self, size: int) -> bytes:
        if self._content is None:
            self._content = Content(self.path, self._device.blob(self._folder, self._attribute, self.path), 4096)
        return self._content.read(size)
