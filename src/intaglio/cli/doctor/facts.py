"""What several probes need to know of a machine: its CPU's flags, its kernel's version, its mounts, and who asks."""

import re
from typing import NamedTuple

from intaglio.cli.doctor.machine import Machine, User

__all__ = ["Mount", "Version", "cpu_flags", "cpu_vendor", "group_name", "kernel", "mounts", "user"]

Version = tuple[int, int]
"""A kernel's major and minor number."""

_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})")


class Mount(NamedTuple):
    """One line of /proc/mounts."""

    kind: str
    point: str
    options: frozenset[str]


def cpu_flags(machine: Machine) -> frozenset[str]:
    """The flags of the first CPU; empty where /proc is not there."""
    return frozenset(_cpu(machine, "flags").split())


def cpu_vendor(machine: Machine) -> str:
    """ "GenuineIntel" or "AuthenticAMD"; empty where it is not known."""
    return _cpu(machine, "vendor_id")


def kernel(machine: Machine) -> Version | None:
    """The running kernel's version."""
    found = _RELEASE.match(machine.read("/proc/sys/kernel/osrelease") or "")
    return (int(found[1]), int(found[2])) if found else None


def mounts(machine: Machine) -> tuple[Mount, ...]:
    rows = [line.split() for line in (machine.read("/proc/mounts") or "").splitlines()]
    return tuple(Mount(row[2], row[1], frozenset(row[3].split(","))) for row in rows if len(row) >= 4)


def user(machine: Machine) -> User:
    """Who runs this, by /proc/self/status: of a tree that has none, nobody in particular."""
    numbers: dict[str, list[int]] = {}
    for line in (machine.read("/proc/self/status") or "").splitlines():
        name, _, rest = line.partition(":")
        if name in ("Uid", "Gid", "Groups"):
            numbers[name] = [int(word) for word in rest.split() if word.isdecimal()]
    uids, gids = numbers.get("Uid", []), numbers.get("Gid", [])
    # real, effective, saved, file system: the effective one decides
    return User(uids[1] if len(uids) > 1 else -1, frozenset((*gids[1:2], *numbers.get("Groups", []))))


def group_name(machine: Machine, gid: int) -> str:
    """A group's name, or its number where /etc/group has none."""
    for line in (machine.read("/etc/group") or "").splitlines():
        name, _, rest = line.partition(":")
        if rest.split(":")[1:2] == [str(gid)]:
            return name
    return str(gid)


def _cpu(machine: Machine, wanted: str) -> str:
    for line in (machine.read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == wanted:
            return value.strip()
    return ""
