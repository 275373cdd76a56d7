"""Inside Gramine: what its pseudo-files say of attestation."""

from collections.abc import Iterator

from intaglio.cli.doctor.finding import Finding, good, problem
from intaglio.cli.doctor.machine import Machine

__all__ = ["is_gramine", "probe"]

FOLDER = "/dev/attestation"
_NEEDED = ("user_report_data", "quote")
_MANIFEST = 'write sgx.remote_attestation = "dcap" into the manifest, sign it again, and measure it again'


def is_gramine(machine: Machine) -> bool:
    return machine.look(FOLDER) is not None


def probe(machine: Machine) -> Iterator[Finding]:
    if not is_gramine(machine):
        return
    kind = (machine.read(f"{FOLDER}/attestation_type") or "").strip()
    if kind == "dcap":
        missing = [name for name in _NEEDED if machine.look(f"{FOLDER}/{name}") is None]
        if missing:
            yield problem(
                FOLDER, f"no {' and no '.join(missing)}", "this enclave can't make a quote",
                "run a current Gramine; the files appear only inside gramine-sgx, not in gramine-direct",
            )  # fmt: skip
        else:
            yield good(FOLDER, "Gramine, DCAP quotes")
    elif kind == "epid":
        yield problem(
            FOLDER, "Gramine, EPID quotes", "Intel ended the EPID attestation service: nobody can verify these quotes",
            _MANIFEST,
        )  # fmt: skip
    elif kind == "none":
        yield problem(FOLDER, "Gramine without remote attestation", "this enclave can't prove what it is", _MANIFEST)
    else:
        yield problem(
            FOLDER, "no attestation_type", "this is Gramine without SGX (gramine-direct), which can't prove anything",
            "start it with gramine-sgx",
        )  # fmt: skip
