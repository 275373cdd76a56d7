"""MRENCLAVE of an image, computed as the hardware does it: SHA-256 over the log of ECREATE, EADD and EEXTEND.

The rule is Intel's SDM vol. 3D (ECREATE, EADD, EEXTEND; section 38.4.1): each instruction appends one 64-byte
record, and EEXTEND also the 256 bytes it measures. What is ours is the image: an ordered list of named files,
laid out in 4 KiB pages behind manifest pages that name them with their sizes, then one thread control page and
its state save area. So a change to any file, name, order or size changes MRENCLAVE.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from intaglio.types import Measurement

__all__ = ["PAGE_SIZE", "Image", "Page", "TrustedFile", "measure_image"]

PAGE_SIZE = 4096
CHUNK_SIZE = 256
SSA_FRAME_PAGES = 1
_MANIFEST_MAGIC = b"intaglio/1 image\n"
_READ, _WRITE, _EXECUTE = 1, 2, 4
_PT_TCS, _PT_REG = 1 << 8, 2 << 8
MAX_IMAGE_SIZE = 64 << 20
"""An image is loaded whole into memory; 64 MiB is a hundred times the SDK."""


@dataclass(frozen=True, slots=True)
class TrustedFile:
    """One file of an image: `name` is what the enclave asks for, never a path on the host."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """4,096 bytes at `offset` from the enclave's base, with SECINFO flags (permissions and page type)."""

    offset: int
    flags: int
    content: bytes

    @property
    def security_info(self) -> bytes:
        """SECINFO, 64 bytes; EADD measures the first 48."""
        return self.flags.to_bytes(8, "little") + bytes(56)


@dataclass(frozen=True, slots=True)
class Image:
    """What is measured. Raises `ValueError` for names that are empty, repeated or not printable, and oversized
    images."""

    files: tuple[TrustedFile, ...]

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("image: two files of one name")
        if not all(name and name.isprintable() for name in names):
            raise ValueError("image: a file name is empty or not printable")
        if sum(len(file.content) for file in self.files) > MAX_IMAGE_SIZE:
            raise ValueError(f"image: larger than {MAX_IMAGE_SIZE} bytes")

    @property
    def manifest(self) -> bytes:
        """One line a file: size in decimal, a space, the name. Sizes come first so that a name can hold
        anything printable."""
        lines = (f"{len(file.content)} {file.name}\n".encode() for file in self.files)
        return _MANIFEST_MAGIC + b"".join(lines)

    def pages(self) -> list[Page]:
        """Manifest, files in order, then TCS and SSA; page after page from offset 0."""
        pages: list[Page] = []
        _append(pages, self.manifest, _READ | _PT_REG)
        for file in self.files:
            code = _EXECUTE if file.name.endswith(".py") else 0
            _append(pages, file.content, _READ | code | _PT_REG)
        tcs_offset = len(pages) * PAGE_SIZE
        _append(pages, _thread_control(ssa_offset=tcs_offset + PAGE_SIZE), _PT_TCS)
        _append(pages, bytes(PAGE_SIZE * SSA_FRAME_PAGES), _READ | _WRITE | _PT_REG)
        return pages

    def mr_enclave(self) -> Measurement:
        """SHA-256 of the log that ECREATE, EADD and EEXTEND leave when this image is loaded."""
        pages = self.pages()
        log = sha256(ecreate_record(enclave_size(pages)))
        for record in add_records(pages):
            log.update(record)
        return Measurement(log.digest())

    def content(self, name: str) -> bytes:
        """The measured bytes of the file `name`. Raises FileNotFoundError."""
        for file in self.files:
            if file.name == name:
                return file.content
        raise FileNotFoundError(f"{name} is not part of the measured image")


def measure_image(files: Sequence[TrustedFile]) -> Measurement:
    """MRENCLAVE of an image of `files`: what `intaglio measure` prints and EINIT will find, on any platform."""
    return Image(tuple(files)).mr_enclave()


def enclave_size(pages: Sequence[Page]) -> int:
    """SECS.SIZE: the smallest power of two that holds all pages."""
    return 1 << (len(pages) * PAGE_SIZE - 1).bit_length()


def ecreate_record(size: int) -> bytes:
    """What ECREATE appends: tag, SSAFRAMESIZE, SIZE, zeros."""
    return b"ECREATE\0" + SSA_FRAME_PAGES.to_bytes(4, "little") + size.to_bytes(8, "little") + bytes(44)


def add_records(pages: Iterable[Page]) -> Iterator[bytes]:
    """What EADD and sixteen EEXTENDs append for each page, in load order."""
    for page in pages:
        yield b"EADD\0\0\0\0" + page.offset.to_bytes(8, "little") + page.security_info[:48]
        for start in range(0, PAGE_SIZE, CHUNK_SIZE):
            yield b"EEXTEND\0" + (page.offset + start).to_bytes(8, "little") + bytes(48)
            yield page.content[start : start + CHUNK_SIZE]


def _append(pages: list[Page], content: bytes, flags: int) -> None:
    """Adds `content` on fresh pages, the last one filled with zeros. An empty file takes no page; the manifest
    names it."""
    for start in range(0, len(content), PAGE_SIZE):
        page = content[start : start + PAGE_SIZE].ljust(PAGE_SIZE, b"\0")
        pages.append(Page(len(pages) * PAGE_SIZE, flags, page))


def _thread_control(*, ssa_offset: int) -> bytes:
    """A TCS: OSSA at 16, NSSA at 28, OENTRY at 32 (SDM table 35-8); FSLIMIT and GSLIMIT at 64 and 68."""
    tcs = bytearray(PAGE_SIZE)
    tcs[16:24] = ssa_offset.to_bytes(8, "little")
    tcs[28:32] = SSA_FRAME_PAGES.to_bytes(4, "little")
    tcs[64:68] = tcs[68:72] = (0xFFF).to_bytes(4, "little")
    return bytes(tcs)
