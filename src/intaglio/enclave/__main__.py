"""``python -m intaglio.enclave SCRIPT --fd N``: runs a script inside the TEE that this process is in.

It refuses to run without one, and says what it looked for: an enclave without evidence would only pretend. Evidence is
made once before the script is loaded, so that a platform that can't quote is noticed while there is somebody to tell.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from intaglio.attest.errors import CannotAttest, WrongEvidence
from intaglio.attest.probe import INTERFACES, find_attester
from intaglio.attest.system import KERNEL, System
from intaglio.enclave import runtime
from intaglio.enclave.runner import add_pipe_options, connect, make_undumpable

__all__ = ["EXIT_NO_ATTESTER", "EXIT_NO_HOST", "main", "parser", "run"]

EXIT_NO_ATTESTER = 69
"""EX_UNAVAILABLE."""
EXIT_NO_HOST = 71
"""Nobody can connect at the address: it is in use, not allowed, or of a kind that this system lacks (EX_OSERR)."""


def main(arguments: Sequence[str] | None = None, system: System = KERNEL) -> int:
    """Runs the enclave until its pipe closes. Returns the exit status: the SDK's, 69 where there is no evidence, or 71
    where no host can connect."""
    return run(parser("python -m intaglio.enclave").parse_args(arguments), system)


def run(options: argparse.Namespace, system: System) -> int:
    """The same, with options that `parser` has read."""
    script: Path = options.script
    make_undumpable()
    try:
        attester = find_attester(str(script.absolute().parent), options.attester, vmpl=options.vmpl, system=system)
    except (CannotAttest, WrongEvidence) as error:
        sys.stderr.write(f"intaglio enclave: {script.name}: no evidence can be made, so nothing is run\n  {error}\n")
        return EXIT_NO_ATTESTER
    try:
        stream = connect(options)
    except OSError as error:
        sys.stderr.write(f"intaglio enclave: {script.name}: no host can connect ({error.strerror or error})\n")
        return EXIT_NO_HOST
    return runtime.run(script, attester, stream)


def parser(name: str) -> argparse.ArgumentParser:
    """The options, for this program and for those that stand in for it."""
    made = argparse.ArgumentParser(prog=name, description="Runs an enclave's script.")
    made.add_argument("script", type=Path, help="the enclave's script, part of the measured image")
    made.add_argument("--attester", choices=INTERFACES,
                      help="the interface that makes evidence (default: the first that works)")  # fmt: skip
    made.add_argument("--vmpl", type=int, metavar="N",
                      help="the privilege level that an SEV-SNP report shall state")  # fmt: skip
    add_pipe_options(made)
    return made


if __name__ == "__main__":
    sys.exit(main())
