"""Where an enclave and its host meet, as text that both sides write alike.

    unix:PATH          a Unix stream socket; the enclave makes it
    vsock:CID:PORT     a socket between a virtual machine and what runs it; CID `any` is for listening only
    stdio              the enclave's standard input and output

The enclave listens (or holds its stdio), the host connects. No address is a secret, and nothing that a host could reach
through another one protects a message: whoever connects is the untrusted host.
"""

from dataclasses import dataclass

from intaglio.errors import Malformed

__all__ = ["ANY_CID", "Address", "Stdio", "Unix", "Vsock", "parse_address"]

ANY_CID = 0xFFFFFFFF
"""VMADDR_CID_ANY: whatever the context ids of this machine are."""
_ANY_PORT = 0xFFFFFFFF
"""VMADDR_PORT_ANY: the kernel would choose one, of which nobody would learn."""
_MAX_PATH = 107
"""Bytes of a Unix socket's path on Linux, without the zero at its end."""


@dataclass(frozen=True, slots=True)
class Unix:
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class Vsock:
    """`cid`: of the machine that listens; `ANY_CID` where it listens at all of its own."""

    cid: int
    port: int

    def __str__(self) -> str:
        return f"vsock:{'any' if self.cid == ANY_CID else self.cid}:{self.port}"


@dataclass(frozen=True, slots=True)
class Stdio:
    def __str__(self) -> str:
        return "stdio"


Address = Unix | Vsock | Stdio


def parse_address(text: str) -> Address:
    """Raises `Malformed` for anything but the three forms above."""
    kind, _, rest = text.partition(":")
    match kind:
        case "unix":
            return _unix(rest)
        case "vsock":
            return _vsock(rest)
        case "stdio" if text == "stdio":
            return Stdio()
    raise Malformed("address", f"need unix:PATH, vsock:CID:PORT or stdio, found {text[:80]!r}")


def _unix(path: str) -> Unix:
    try:
        size = len(path.encode())
    except UnicodeEncodeError as error:
        raise Malformed("address", "the path is not Unicode text") from error
    if not 1 <= size <= _MAX_PATH or "\0" in path:
        raise Malformed("address", f"need a path of 1 to {_MAX_PATH} bytes without a zero, found {size} bytes")
    return Unix(path)


def _vsock(rest: str) -> Vsock:
    cid, _, port = rest.partition(":")
    where = ANY_CID if cid == "any" else _number(cid, "cid", ANY_CID - 1)
    return Vsock(where, _number(port, "port", _ANY_PORT - 1))


def _number(text: str, name: str, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= highest):
        raise Malformed("address", f"vsock {name}: need a number from 1 to {highest}, found {text[:20]!r}")
    return int(text)
