"""Confidential VMs and Nitro enclaves from inside: TDX and SEV-SNP guests, the interface that makes their reports."""

from collections.abc import Iterator
from typing import NamedTuple

from intaglio.cli.doctor.devices import usable
from intaglio.cli.doctor.facts import Version, cpu_flags, kernel, mounts
from intaglio.cli.doctor.finding import Finding, good, problem, warning
from intaglio.cli.doctor.machine import Machine

__all__ = ["is_guest", "probe"]

CONFIGFS = "/sys/kernel/config"
TSM = f"{CONFIGFS}/tsm/report"
_TSM_KERNEL = (6, 7)
_RTMR = "/sys/class/misc/tdx_guest/measurements"
_RTMR_KERNEL = (6, 16)


class _Guest(NamedTuple):
    """One kind of guest. `old`: names that the device had before the driver was part of Linux."""

    name: str
    device: str
    flag: str
    module: str
    since: Version
    old: tuple[str, ...]


TDX = _Guest("TDX guest", "/dev/tdx_guest", "tdx_guest", "tdx_guest", (6, 2), ("/dev/tdx-guest", "/dev/tdx-attest"))
SNP = _Guest("SEV-SNP guest", "/dev/sev-guest", "", "sev-guest", (5, 19), ())
NITRO = _Guest("Nitro enclave", "/dev/nsm", "", "nsm", (6, 8), ())
_GUESTS = (TDX, SNP, NITRO)


def is_guest(machine: Machine) -> bool:
    return any(_is(machine, guest) for guest in _GUESTS)


def probe(machine: Machine) -> Iterator[Finding]:
    for guest in _GUESTS:
        if _is(machine, guest):
            yield from _device(machine, guest)
    if _is(machine, TDX) or _is(machine, SNP):
        yield from _tsm(machine)
    if _is(machine, TDX):
        yield from _rtmr(machine)


def _is(machine: Machine, guest: _Guest) -> bool:
    return guest.flag in cpu_flags(machine) or any(machine.look(path) for path in (guest.device, *guest.old))


def _device(machine: Machine, guest: _Guest) -> Iterator[Finding]:
    if machine.look(guest.device) is not None:
        yield from usable(machine, guest.device, without=f"this user can't make reports of this {guest.name}")
        return
    old = next((path for path in guest.old if machine.look(path) is not None), None)
    running = kernel(machine)
    if old is not None:
        yield problem(
            old, f"the device of a driver from before {guest.device}", "current libraries do not look for it",
            f"run a kernel from {guest.since[0]}.{guest.since[1]} on",
        )  # fmt: skip
    elif running is not None and running < guest.since:
        yield problem(
            guest.device, f"missing; kernel {running[0]}.{running[1]}", f"this kernel has no driver for a {guest.name}",
            f"run a kernel from {guest.since[0]}.{guest.since[1]} on",
        )  # fmt: skip
    else:
        yield problem(
            guest.device, "missing", f"this is a {guest.name}, but nothing makes its reports",
            f"modprobe {guest.module}; in a container: --device {guest.device}, or mount {CONFIGFS}",
        )  # fmt: skip


def _tsm(machine: Machine) -> Iterator[Finding]:
    """configfs-tsm: one interface for both kinds of guest, which needs neither vsock nor ioctls."""
    running = kernel(machine)
    if machine.look(TSM) is not None:
        yield good("configfs-tsm", f"{TSM}, provider {_provider(machine)}")
    elif running is not None and running < _TSM_KERNEL:
        yield warning(
            "configfs-tsm", f"not in kernel {running[0]}.{running[1]}",
            "reports can only be had through the device and, for TDX, a vsock to the host's quoting service",
            f"run a kernel from {_TSM_KERNEL[0]}.{_TSM_KERNEL[1]} on",
        )  # fmt: skip
    elif not any(mount.kind == "configfs" for mount in mounts(machine)):
        yield problem(
            "configfs-tsm", "configfs is not mounted", "the kernel's interface for reports can't be reached",
            f"mount -t configfs none {CONFIGFS}; in a container: -v {CONFIGFS}:{CONFIGFS}",
        )  # fmt: skip
    else:
        yield problem(
            "configfs-tsm", f"configfs is mounted, {TSM} is missing", "no driver offers reports there",
            "modprobe tdx_guest or modprobe sev-guest; the kernel needs CONFIG_TSM_REPORTS",
        )  # fmt: skip


def _provider(machine: Machine) -> str:
    """Only an entry says who provides reports, and the doctor makes none."""
    for name in machine.names(TSM):
        provider = machine.read(f"{TSM}/{name}/provider")
        if provider:
            return provider.strip()
    return "not known before somebody makes an entry"


def _rtmr(machine: Machine) -> Iterator[Finding]:
    if machine.look(_RTMR) is not None:
        yield good("RTMRs", f"{_RTMR}: the guest can read and extend them")
        return
    yield warning(
        "RTMRs", "not offered by the kernel",
        "what is loaded after boot can't be measured into RTMR 2 and 3 with standard means; quotes work all the same",
        f"run a kernel from {_RTMR_KERNEL[0]}.{_RTMR_KERNEL[1]} on if the policy names RTMR 3",
    )  # fmt: skip
