"""What every program that runs an enclave's script shares: the options for its pipe, and a process that is not read by
accident. `python -m intaglio.enclave` runs real TEEs, the simulator's runners pretend to be one."""

import argparse
import ctypes
import os
import socket

from intaglio.enclave.transport import MakeSocket, Stream, accept, kernel_socket
from intaglio.errors import Malformed
from intaglio.wire.address import Address, parse_address

__all__ = ["abandoned", "add_pipe_options", "connect", "make_undumpable"]

_PR_SET_DUMPABLE = 4


def add_pipe_options(parser: argparse.ArgumentParser) -> None:
    """`--fd`, `--socket` and `--listen`, one of which must be given."""
    pipe = parser.add_mutually_exclusive_group(required=True)
    pipe.add_argument("--fd", type=int, help="a connected stream socket that this process inherits")
    pipe.add_argument("--socket", type=_path, dest="listen", metavar="PATH", help="the same as --listen unix:PATH")
    pipe.add_argument("--listen", type=_address, metavar="ADDRESS",
                      help="one connection at unix:PATH or vsock:CID:PORT (CID may be any), or stdio")  # fmt: skip


def connect(options: argparse.Namespace, make: MakeSocket = kernel_socket) -> Stream:
    """The connected socket that was inherited, or the first connection to the address. Raises OSError."""
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    return accept(options.listen, make)


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except Malformed as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _path(text: str) -> Address:
    return _address(f"unix:{text}")


def abandoned(fd: int | None) -> bool:
    """Whether the host at the other end of an inherited socket has gone. It was interrupted while it started us, and
    has cleared away what we were to load: there is nobody to complain to."""
    if fd is None:
        return False
    try:
        with socket.socket(fileno=os.dup(fd)) as stream:
            return stream.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except ConnectionError:
        return True
    except OSError:  # nothing to read yet, or no socket at all: somebody is there
        return False


def make_undumpable() -> None:
    """No core dumps, no ptrace by others of this user. Linux only; elsewhere nothing happens."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
