"""`python -m intaglio.sim.run SCRIPT --lab DIR --platform NAME --fd N`: an enclave in a process of its own.

Loads the image, has it signed with the lab's vendor key (a real vendor signs once, elsewhere), launches it on
the simulated platform and hands attester and byte pipe to the enclave SDK. The process makes itself undumpable
where the system lets it, so that a debugger of the same user does not read it by accident; a simulator keeps no
secret from the machine's owner.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from intaglio.enclave import runtime
from intaglio.enclave.runner import abandoned, add_pipe_options, connect, make_undumpable
from intaglio.errors import IntaglioError
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.loader import image_of
from intaglio.sim.machine import Machine, PlatformRecord
from intaglio.sim.signing import EnclaveTerms, load_vendor_key, sign_enclave
from intaglio.types import UnixTime

__all__ = ["load", "main"]

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
        stream = connect(options)
    except (IntaglioError, OSError, ValueError) as error:
        if not abandoned(options.fd):
            sys.stderr.write(f"intaglio.sim.run: {error}\n")
        return _REFUSED
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
    add_pipe_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
