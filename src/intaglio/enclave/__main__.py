"""``python -m intaglio.enclave SCRIPT --fd N``: runs a script inside the TEE that this process is in.

It refuses to run without one, and says what it looked for: an enclave without evidence would only pretend.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EXIT_NO_ATTESTER", "find_tee", "main"]

EXIT_NO_ATTESTER = 69
"""EX_UNAVAILABLE."""


@dataclass(frozen=True, slots=True)
class Interface:
    """How a kind of TEE shows itself to the process inside."""

    path: str
    tee: str


INTERFACES = (
    Interface("/dev/attestation/quote", "Intel SGX under Gramine"),
    Interface("/sys/kernel/config/tsm/report", "Intel TDX or AMD SEV-SNP (configfs-tsm)"),
    Interface("/dev/nsm", "AWS Nitro Enclaves"),
)


def find_tee(root: Path = Path("/")) -> Interface | None:
    """The first interface that exists under `root`."""
    return next((known for known in INTERFACES if (root / known.path.lstrip("/")).exists()), None)


def main(arguments: list[str] | None = None, root: Path = Path("/")) -> int:
    parser = argparse.ArgumentParser(prog="python -m intaglio.enclave", description="Runs an enclave's script.")
    parser.add_argument("script", type=Path, help="the enclave's script, part of the measured image")
    parser.add_argument("--fd", type=int, required=True, help="the inherited socket on which the host is served")
    script: Path = parser.parse_args(arguments).script
    found = find_tee(root)
    if found is not None:
        sys.stderr.write(
            f"intaglio enclave: {script.name}: found {found.path} ({found.tee}), "
            "but this version has no attester for it: no evidence can be made, so nothing is run\n"
        )
        return EXIT_NO_ATTESTER
    looked = "; ".join(f"{known.path} ({known.tee})" for known in INTERFACES)
    sys.stderr.write(
        f"intaglio enclave: {script.name}: not inside a TEE, so no evidence can be made and nothing is run\n"
        f"  looked for: {looked}\n"
        "  without such hardware, use the simulator: python -m intaglio.sim.run\n"
    )
    return EXIT_NO_ATTESTER


if __name__ == "__main__":
    sys.exit(main())
