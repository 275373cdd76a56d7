"""Is the clock right? Certificates, revocation lists and offers are judged by it."""

from collections.abc import Iterator

from intaglio.cli.doctor.finding import Finding, good, warning
from intaglio.cli.doctor.machine import Machine

__all__ = ["probe"]

_TIMESYNCD = "/run/systemd/timesync/synchronized"
_ENABLE = "timedatectl set-ntp true, or start chronyd; in a VM give it the host's clock (ptp_kvm)"


def probe(machine: Machine) -> Iterator[Finding]:
    state = machine.synchronised()
    if state or machine.look(_TIMESYNCD) is not None:
        yield good("clock", "synchronised")
    elif state is None:
        yield warning(
            "clock", "not known whether anything keeps it right",
            "with a wrong clock good certificates look expired, and expired collateral looks good", _ENABLE,
        )  # fmt: skip
    else:
        yield warning(
            "clock", "the kernel says that nothing synchronises it",
            "with a wrong clock good certificates look expired, and expired collateral looks good", _ENABLE,
        )  # fmt: skip
