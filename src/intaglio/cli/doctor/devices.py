"""A device node that attestation needs: there, a device, and usable by whoever asks."""

from collections.abc import Iterator

from intaglio.cli.doctor.facts import group_name, user
from intaglio.cli.doctor.finding import Finding, good, problem
from intaglio.cli.doctor.machine import Kind, Machine, Node

__all__ = ["usable"]


def usable(machine: Machine, path: str, *, without: str) -> Iterator[Finding]:
    """What there is to say of a node that exists. `without`: what can't be done by who may not use it."""
    node = machine.look(path)
    if node is None:
        return
    if node.kind is not Kind.DEVICE:
        yield problem(
            path, f"a {node.kind.value}, not a device", "something put another thing in the device's place",
            f"delete it, and pass the device into the container (docker run --device {path})",
        )  # fmt: skip
        return
    who = user(machine)
    if who.may_use(node):
        yield good(path, f"usable ({_rights(machine, node)})")
        return
    found = f"user {who.uid} may not use it ({_rights(machine, node)})"
    yield problem(path, found, without, _remedy(machine, node, path))


def _rights(machine: Machine, node: Node) -> str:
    return f"mode {node.mode:04o}, owner {node.uid}, group {group_name(machine, node.gid)}"


def _remedy(machine: Machine, node: Node, path: str) -> str:
    if node.gid != 0 and node.mode & 0o060 == 0o060:
        return f"usermod -aG {group_name(machine, node.gid)} USER, and log in again"
    return f"give its group read and write permission by a udev rule for {path}, and add the user to that group"
