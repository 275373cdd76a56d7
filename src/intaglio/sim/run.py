"""`python -m intaglio.sim.run SCRIPT --lab DIR --platform NAME --fd N`: an enclave in a process of its own.

Loads the image, has it signed with the lab's vendor key (a real vendor signs once, elsewhere), launches it on
the simulated platform and hands attester and byte pipe to the enclave SDK. The process makes itself undumpable
where the system lets it, so that a debugger of the same user does not read it by accident; a simulator keeps no
secret from the machine's owner.
"""

import argparse
import ctypes
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from intaglio.enclave import runtime
from intaglio.errors import IntaglioError
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.loader import image_of
from intaglio.sim.machine import Machine, PlatformRecord
from intaglio.sim.signing import EnclaveTerms, load_vendor_key, sign_enclave
from intaglio.types import UnixTime

__all__ = ["load", "main"]

_PR_SET_DUMPABLE = 4
_REFUSED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the enclave until its pipe closes. Returns the exit status: the SDK's, or 1 where the launch was
    refused."""
    options = _parser().parse_args(arguments)
    make_undumpable()
    try:
        attester = load(
            options.script,
            lab=options.lab,
            platform=options.platform,
            signer=options.signer,
            trusted=options.trust,
            debug=options.debug,
            terms=EnclaveTerms(isv_prod_id=options.isv_prod_id, isv_svn=options.isv_svn),
            now=UnixTime(int(time.time())),
        )
    except (IntaglioError, OSError, ValueError) as error:
        if not _abandoned(options.fd):
            sys.stderr.write(f"intaglio.sim.run: {error}\n")
        return _REFUSED
    with _pipe(options) as stream:
        return runtime.run(options.script, attester, stream)


def load(
    script: Path,
    *,
    lab: Path,
    platform: str,
    now: UnixTime,
    signer: Path | None = None,
    trusted: Sequence[Path] = (),
    debug: bool = False,
    terms: EnclaveTerms | None = None,
) -> SimulatedAttester:
    """Builds, signs and launches the image of `script`. `signer` None: the lab's vendor key.

    Raises `SgxFault` where EINIT refuses, FileNotFoundError for what is not there, `ValueError` for an unusable
    key or image.
    """
    image = image_of(script, trusted)
    key = load_vendor_key(signer or lab / "vendor.key")
    sigstruct = sign_enclave(key, image.mr_enclave(), terms or EnclaveTerms(), now=now)
    machine = Machine.boot(PlatformRecord.load(lab / "platforms" / f"{platform}.json"))
    return SimulatedAttester(machine, machine.launch(image, sigstruct.encode(), LaunchOptions(debug=debug)))


def make_undumpable() -> None:
    """No core dumps, no ptrace by others of this user. Linux only; elsewhere nothing happens."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _abandoned(fd: int | None) -> bool:
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


def _pipe(options: argparse.Namespace) -> socket.socket:
    """The connected socket that was inherited, or the first connection to a Unix socket at the given path."""
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(options.socket))
        try:
            options.socket.chmod(0o600)
            listener.listen(1)
            connection, _ = listener.accept()
        finally:
            options.socket.unlink(missing_ok=True)
    return connection


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m intaglio.sim.run", description="Run an enclave on a simulated platform."
    )
    parser.add_argument("script", type=Path, help="the enclave's program")
    parser.add_argument("--lab", type=Path, required=True, help="the lab's folder")
    parser.add_argument("--platform", default="alpha", help="the platform's name (default: alpha)")
    parser.add_argument("--signer", type=Path, help="the vendor's RSA-3072 key (default: the lab's)")
    parser.add_argument("--trust", type=Path, action="append", default=[], metavar="FILE",
                        help="a file that is measured and that the enclave may read; may be repeated")  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="launch in debug mode, as a hostile host would")
    parser.add_argument("--isv-prod-id", type=int, default=1)
    parser.add_argument("--isv-svn", type=int, default=1)
    pipe = parser.add_mutually_exclusive_group(required=True)
    pipe.add_argument("--fd", type=int, help="a connected stream socket that this process inherits")
    pipe.add_argument("--socket", type=Path, help="listen here for one connection")
    return parser


if __name__ == "__main__":
    sys.exit(main())
