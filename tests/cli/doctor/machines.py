"""Machines that never existed, for the doctor's probes: what lies where, and who asks."""

from dataclasses import dataclass, field

from intaglio.cli.doctor.finding import Finding, Level
from intaglio.cli.doctor.machine import Kind, Node

SGX_GROUP, PROVISION_GROUP = 990, 991
STATUS = "Name:\tpython\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000 {groups}\n"
GROUPS = f"root:x:0:\nsgx:x:{SGX_GROUP}:\nsgx_prv:x:{PROVISION_GROUP}:\n"


@dataclass
class FakeMachine:
    """`texts` are files, `nodes` everything else. A folder is there if anything lies below it."""

    texts: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    clock: bool | None = True

    def look(self, path: str) -> Node | None:
        if path in self.nodes:
            return self.nodes[path]
        if path in self.texts:
            return Node(Kind.FILE, 0o644, 0, 0)
        below = any(each.startswith(f"{path}/") for each in (*self.texts, *self.nodes))
        return Node(Kind.FOLDER, 0o755, 0, 0) if below else None

    def read(self, path: str) -> str | None:
        return self.texts.get(path)

    def names(self, path: str) -> tuple[str, ...]:
        below = [each[len(path) + 1 :] for each in (*self.texts, *self.nodes) if each.startswith(f"{path}/")]
        return tuple(sorted({each.partition("/")[0] for each in below}))

    def synchronised(self) -> bool | None:
        return self.clock

    def now(self) -> float:
        return 0.0


def device(mode: int, gid: int = 0) -> Node:
    return Node(Kind.DEVICE, mode, 0, gid)


def cpuinfo(vendor: str, flags: str) -> str:
    return f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: X\nflags\t\t: fpu vme {flags} sse\n\nprocessor\t: 1\n"


def machine(
    *, vendor: str = "GenuineIntel", flags: str = "", kernel: str = "6.8.0-45-generic", groups: str = ""
) -> FakeMachine:
    """A machine with Linux on it and nothing else; user 1000 asks, who is in these further groups."""
    return FakeMachine(
        {
            "/proc/cpuinfo": cpuinfo(vendor, flags),
            "/proc/sys/kernel/osrelease": f"{kernel}\n",
            "/proc/mounts": "udev /dev devtmpfs rw,nosuid 0 0\nconfigfs /sys/kernel/config configfs rw 0 0\n",
            "/proc/self/status": STATUS.format(groups=groups),
            "/etc/group": GROUPS,
        }
    )


def sgx_host() -> FakeMachine:
    """An SGX host as it should be."""
    made = machine(flags="sgx sgx_lc", groups=str(PROVISION_GROUP))
    made.nodes |= {
        "/dev/sgx_enclave": device(0o666, SGX_GROUP),
        "/dev/sgx_provision": device(0o660, PROVISION_GROUP),
        "/run/aesmd/aesm.socket": Node(Kind.SOCKET, 0o666, 0, 0),
    }
    made.texts |= {
        "/usr/lib/x86_64-linux-gnu/libdcap_quoteprov.so.1": "",
        "/etc/sgx_default_qcnl.conf": '{\n  // the PCCS\n  "pccs_url": "https://pccs.example:8081/sgx/certification/v4/"\n}\n',
    }
    return made


def of(level: Level, findings: tuple[Finding, ...]) -> list[str]:
    """The subjects of the findings of one level."""
    return [finding.subject for finding in findings if finding.level is level]
