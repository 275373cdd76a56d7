"""Every probe of a host, in the order in which a person would look: what is this machine, and what does it lack?"""

from collections.abc import Iterator

from intaglio.cli.doctor import clock, gramine, guests, hosts, qcnl, sgx
from intaglio.cli.doctor.facts import cpu_vendor, kernel
from intaglio.cli.doctor.finding import Finding, good, problem
from intaglio.cli.doctor.machine import Machine

__all__ = ["examine_host"]


def examine_host(machine: Machine) -> Iterator[Finding]:
    running = kernel(machine)
    yield good("kernel", f"{running[0]}.{running[1]}" if running else "not Linux, or /proc is not mounted")
    if not any((sgx.is_sgx(machine), gramine.is_gramine(machine), guests.is_guest(machine), hosts.is_host(machine))):
        yield _nothing(machine)
    for each in (sgx, gramine, guests, hosts):
        yield from each.probe(machine)
    if sgx.is_sgx(machine):
        yield from qcnl.probe(machine)
    yield from clock.probe(machine)


def _nothing(machine: Machine) -> Finding:
    return problem(
        "TEE", f"none found ({cpu_vendor(machine) or 'unknown CPU'})",
        "neither SGX, nor a TDX or SEV-SNP guest, nor a Nitro enclave: nothing on this machine can be attested",
        "enable SGX in the BIOS, or start a confidential VM; in a container pass the TEE's device into it; without "
        "such hardware, intaglio lab init LAB makes a simulated platform",
    )  # fmt: skip
