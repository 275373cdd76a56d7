"""An SGX host: can it start an enclave, and can it make an ECDSA quote?"""

from collections.abc import Iterator

from intaglio.cli.doctor.devices import usable
from intaglio.cli.doctor.facts import Mount, cpu_flags, kernel, mounts
from intaglio.cli.doctor.finding import Finding, good, problem, warning
from intaglio.cli.doctor.machine import Machine

__all__ = ["is_sgx", "probe"]

ENCLAVE = "/dev/sgx_enclave"
PROVISION = "/dev/sgx_provision"
_AESM = ("/var/run/aesmd/aesm.socket", "/run/aesmd/aesm.socket")
_OLD_DEVICES = ("/dev/isgx", "/dev/sgx/enclave")
_FIRST_KERNEL = (5, 11)
"""Linux has its own SGX driver since then."""


def is_sgx(machine: Machine) -> bool:
    """Whether this machine has, or should have, SGX."""
    return "sgx" in cpu_flags(machine) or machine.look(ENCLAVE) is not None or any(map(machine.look, _OLD_DEVICES))


def probe(machine: Machine) -> Iterator[Finding]:
    if not is_sgx(machine):
        return
    flags = cpu_flags(machine)
    if "sgx" in flags and "sgx_lc" not in flags:
        yield warning(
            "CPU", "sgx without sgx_lc",
            "no flexible launch control: Linux's own driver does not start enclaves on this CPU or BIOS setting",
            "enable launch control (FLC, unlocked) in the BIOS; a CPU without it can't make ECDSA quotes",
        )  # fmt: skip
    elif "sgx" in flags:
        yield good("CPU", "sgx, sgx_lc")
    yield from _enclave(machine)
    yield from _provision(machine)
    yield from _aesm(machine)


def _enclave(machine: Machine) -> Iterator[Finding]:
    if machine.look(ENCLAVE) is None:
        yield _no_enclave_device(machine)
        return
    yield from usable(machine, ENCLAVE, without="no enclave can be started by this user")
    dev = _mount_of(machine, "/dev")
    if dev is not None and "noexec" in dev.options:
        yield problem(
            "/dev", "mounted noexec", "enclaves are mapped from /dev/sgx_enclave as code, which noexec forbids",
            "mount -o remount,exec /dev, and let systemd do so at each start (a drop-in for the dev mount)",
        )  # fmt: skip


def _no_enclave_device(machine: Machine) -> Finding:
    for old in _OLD_DEVICES:
        if machine.look(old) is not None:
            return problem(
                old, "the device of a driver outside of the kernel",
                "it was made for EPID or for an early DCAP; current runtimes look for /dev/sgx_enclave",
                "remove that driver, run a kernel from 5.11 on, and use /dev/sgx_enclave",
            )  # fmt: skip
    running = kernel(machine)
    if running is not None and running < _FIRST_KERNEL:
        return problem(
            ENCLAVE, f"missing; kernel {running[0]}.{running[1]}", "this kernel has no SGX driver",
            f"run a kernel from {_FIRST_KERNEL[0]}.{_FIRST_KERNEL[1]} on",
        )  # fmt: skip
    return problem(
        ENCLAVE, "missing", "the CPU has SGX, but no enclave can be started here",
        "in a container: docker run --device /dev/sgx_enclave; on the machine itself: enable SGX in the BIOS (enabled, "
        "not software controlled) and a kernel with CONFIG_X86_SGX; dmesg | grep -i sgx says what it misses",
    )  # fmt: skip


def _provision(machine: Machine) -> Iterator[Finding]:
    if machine.look(ENCLAVE) is None:
        return
    if machine.look(PROVISION) is None:
        yield warning(
            PROVISION, "missing", "quotes can't be made inside the process, only by aesmd outside of it",
            "pass it into the container (--device /dev/sgx_provision), or let aesmd on the host make the quotes",
        )  # fmt: skip
        return
    for finding in usable(machine, PROVISION, without="quotes can't be made inside this user's process, only by aesmd"):
        yield finding.lowered() if finding.remedy.startswith("usermod") else finding


def _aesm(machine: Machine) -> Iterator[Finding]:
    socket = next((path for path in _AESM if machine.look(path) is not None), None)
    if socket is not None:
        yield good("aesmd", f"listens at {socket}")
        return
    yield warning(
        "aesmd", "no socket at /var/run/aesmd/aesm.socket",
        "who lets aesmd make quotes (Gramine, and applications with SGX_AESM_ADDR) gets 0xe040 or 0xe00d",
        "install sgx-aesm-service with libsgx-aesm-ecdsa-plugin and libsgx-aesm-quote-ex-plugin; in a container mount "
        "/var/run/aesmd; who quotes in the process needs none of it",
    )  # fmt: skip


def _mount_of(machine: Machine, point: str) -> Mount | None:
    """The last mount at a point is the one that is seen."""
    return next((mount for mount in reversed(mounts(machine)) if mount.point == point), None)
