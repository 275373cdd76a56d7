"""Runs an enclave's script until its host closes the pipe. Whoever calls `run` has made the attester: a runner of a
real TEE, or the simulator's.

One process, one script, one host, one request after another: a call that hangs blocks its own enclave and no other.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from intaglio.attest.base import Attester
from intaglio.enclave.loading import ScriptFailed, loaded
from intaglio.enclave.pipe import Pipe
from intaglio.enclave.serving import Service
from intaglio.enclave.transport import Stream
from intaglio.errors import RemoteProtocolError

__all__ = ["EXIT_FAULT", "EXIT_HOST", "EXIT_OK", "EXIT_SCRIPT", "run"]

EXIT_OK = 0
"""The host closed the pipe."""
EXIT_SCRIPT = 65
"""The script can't be run (EX_DATAERR)."""
EXIT_FAULT = 70
"""An error that nobody foresaw (EX_SOFTWARE)."""
EXIT_HOST = 76
"""The host broke the pipe's rules (EX_PROTOCOL)."""


def run(script: Path, attester: Attester, stream: Stream) -> int:
    """Serves `stream` until its end and gives the process's exit status. `stream` is closed then.

    What goes wrong is said in one line on stderr, which the host reads: no text of the script's own errors.
    """
    with stream:
        try:
            with _no_texts_of_errors(), loaded(script, attester) as enclave:
                return _serve(Pipe(stream), Service(enclave, attester, os.urandom, script.name))
        except ScriptFailed as error:
            sys.stderr.write(f"intaglio enclave: {error}\n")
            return EXIT_SCRIPT
        except BaseException as error:  # noqa: BLE001 - Python would print a traceback, and the host would read it
            sys.stderr.write(f"intaglio enclave: {type(error).__name__}\n")
            return EXIT_FAULT


@contextmanager
def _no_texts_of_errors() -> Iterator[None]:
    """What escapes from the script's threads and finalisers: Python would print it with its text."""

    def say(error: "threading.ExceptHookArgs | sys.UnraisableHookArgs") -> None:
        sys.stderr.write(f"intaglio enclave: {error.exc_type.__name__} outside any call\n")

    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook = sys.unraisablehook = say
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks


def _serve(pipe: Pipe, service: Service) -> int:
    try:
        while (request := pipe.receive()) is not None:
            pipe.send(service.answer(request))
    except RemoteProtocolError as error:
        sys.stderr.write(f"intaglio enclave: {error}\n")
        return EXIT_HOST
    except OSError:
        pass  # the host is gone; that is how most enclaves end
    return EXIT_OK
