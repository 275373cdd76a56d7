"""Machines that run confidential VMs or Nitro enclaves for others: what they must offer to their guests."""

from collections.abc import Iterator

from intaglio.cli.doctor.facts import cpu_flags
from intaglio.cli.doctor.finding import Finding, good, warning
from intaglio.cli.doctor.machine import Machine

__all__ = ["is_host", "probe"]

_TDX = "/sys/module/kvm_intel/parameters/tdx"
_SNP = "/sys/module/kvm_amd/parameters/sev_snp"
_NITRO = "/dev/nitro_enclaves"
_ON = ("Y", "1")


def is_host(machine: Machine) -> bool:
    flags = cpu_flags(machine)
    return "tdx_host_platform" in flags or "sev_snp" in flags or machine.look(_NITRO) is not None


def probe(machine: Machine) -> Iterator[Finding]:
    flags = cpu_flags(machine)
    if "tdx_host_platform" in flags:
        yield _switch(
            machine, "TDX host", _TDX, "TDs can't be started here",
            "enable TDX in the BIOS, run a kernel from 6.16 on (or a distribution's with TDX) and load kvm_intel with "
            "tdx=1",
        )  # fmt: skip
    if "sev_snp" in flags:
        yield _switch(
            machine, "SEV-SNP host", _SNP, "SNP guests can't be started here",
            "enable SNP and the RMP table in the BIOS, run a kernel from 6.11 on and load kvm_amd with sev_snp=1",
        )  # fmt: skip
    if machine.look(_NITRO) is not None:
        yield good(_NITRO, "a parent instance: attestation documents are made inside its enclaves (/dev/nsm there)")


def _switch(machine: Machine, name: str, path: str, without: str, remedy: str) -> Finding:
    value = (machine.read(path) or "").strip()
    if value in _ON:
        return good(name, f"{path} is {value}")
    return warning(name, f"{path} is {value or 'missing'}", without, remedy)
