"""Starting an enclave as a process of its own.

The command decides what the enclave runs in (a real TEE's runner, the simulator's); the host only holds one end of a
socket.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from intaglio.host.connection import DEFAULT_TIMEOUT, EnclaveConnection

__all__ = ["EnclaveProcess", "launch"]

_GRACE = 5.0
"""Seconds that an enclave gets to end after its pipe is closed, before it is killed."""


def launch(
    script: str | os.PathLike[str],
    *,
    command: Sequence[str] | None = None,
    stdio: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
    state: str | os.PathLike[str] | None = None,
) -> "EnclaveProcess":
    """Starts `script` as an enclave.

    `command` is the runner's, without script and socket: ``[*command, script, "--fd", N]`` is what runs. By default it
    is the SDK's own, which demands a real TEE. `timeout` (seconds) holds for each request. `state`: the file of an
    enclave that keeps a sealed state, see `EnclaveConnection.restore`.

    With `stdio` the pipe is the process's standard input and output, and `command` runs as it is, where one is given:
    an image that measures its own arguments (Gramine's manifest) takes none from the host. `script` then only names
    the enclave in errors.

    Raises OSError where the command can't be started; with `state` as `restore`.
    """
    runner = [sys.executable, "-P", "-m", "intaglio.enclave"] if command is None else list(command)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    if stdio:
        options = [os.fspath(script), "--listen", "stdio"] if command is None else []
    else:
        options = [os.fspath(script), "--fd", str(theirs.fileno())]
    try:
        with theirs:
            child = subprocess.Popen(  # noqa: S603 - the caller's own command, no shell
                [*runner, *options],
                stdin=theirs.fileno() if stdio else subprocess.DEVNULL,
                stdout=theirs.fileno() if stdio else None,
                pass_fds=() if stdio else (theirs.fileno(),),
                process_group=0,  # Ctrl-C is for the application, which then ends the enclave in good order
            )
    except OSError:
        ours.close()
        raise
    enclave = EnclaveProcess(Path(script).name, child, ours, timeout)
    return enclave if state is None else enclave.restored(state)


class EnclaveProcess(EnclaveConnection):
    """An enclave in a child process, which ends with this object."""

    def __init__(self, name: str, child: subprocess.Popen[bytes], stream: socket.socket, timeout: float) -> None:
        super().__init__(name, stream, timeout)
        self._child = child

    @property
    def pid(self) -> int:
        return self._child.pid

    def close(self) -> None:
        """Closes the pipe, which ends the enclave, and waits for its process; kills it where it does not end."""
        super().close()
        try:
            self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._kill()

    def _reap(self) -> int | None:
        try:
            return self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return None

    def _kill(self) -> None:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL)
            self._child.wait()
