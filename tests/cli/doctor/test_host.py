"""The doctor's probes of a host: break one thing, expect that finding."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from intaglio.cli.doctor.finding import Finding, Level
from intaglio.cli.doctor.host import examine_host
from intaglio.cli.doctor.machine import Kind, LocalMachine, Node
from tests.cli.conftest import run
from tests.cli.doctor.machines import PROVISION_GROUP, FakeMachine, device, machine, of, sgx_host

CONF = "/etc/sgx_default_qcnl.conf"
PROVIDER = "/usr/lib/x86_64-linux-gnu/libdcap_quoteprov.so.1"


def examined(each: FakeMachine) -> tuple[Finding, ...]:
    return tuple(examine_host(each))


def test_a_good_sgx_host_has_nothing_to_do() -> None:
    found = examined(sgx_host())
    assert {finding.level for finding in found} == {Level.OK}
    assert {"CPU", "/dev/sgx_enclave", "/dev/sgx_provision", "aesmd", "pccs_url", "clock"} <= {f.subject for f in found}


def lacks(path: str) -> Callable[[FakeMachine], None]:
    def act(each: FakeMachine) -> None:
        each.nodes.pop(path, None)
        each.texts.pop(path, None)

    return act


def text(path: str, content: str) -> Callable[[FakeMachine], None]:
    return lambda each: each.texts.__setitem__(path, content)


def node(path: str, what: Node) -> Callable[[FakeMachine], None]:
    return lambda each: each.nodes.__setitem__(path, what)


def conf(**settings: str) -> Callable[[FakeMachine], None]:
    url = settings.pop("pccs_url", '"https://pccs.example:8081/sgx/certification/v4/"')
    rest = "".join(f', "{name}": {value}' for name, value in settings.items())
    return text(CONF, f'{{"pccs_url": {url}{rest}}}')


BROKEN_SGX = [
    (lacks("/dev/sgx_enclave"), Level.PROBLEM, "/dev/sgx_enclave", "enable SGX in the BIOS"),
    (node("/dev/sgx_enclave", device(0o660, 990)), Level.PROBLEM, "/dev/sgx_enclave", "usermod -aG sgx USER"),
    (node("/dev/sgx_enclave", device(0o600)), Level.PROBLEM, "/dev/sgx_enclave", "udev rule"),
    (node("/dev/sgx_enclave", Node(Kind.FOLDER, 0o755, 0, 0)), Level.PROBLEM, "/dev/sgx_enclave", "--device"),
    (text("/proc/mounts", "udev /dev devtmpfs rw,noexec 0 0\n"), Level.PROBLEM, "/dev", "remount,exec"),
    (lacks("/dev/sgx_provision"), Level.WARNING, "/dev/sgx_provision", "--device /dev/sgx_provision"),
    (text("/proc/self/status", "Uid:\t7\t7\t7\t7\n"), Level.WARNING, "/dev/sgx_provision", "usermod -aG sgx_prv USER"),
    (lacks("/run/aesmd/aesm.socket"), Level.WARNING, "aesmd", "install sgx-aesm-service"),
    (lacks(PROVIDER), Level.WARNING, "quote provider", "libsgx-dcap-default-qpl"),
    (lacks(CONF), Level.WARNING, CONF, "pccs_url"),
    (text(CONF, '{\n"pccs_url": "x"\n"use_secure_cert": true}'), Level.PROBLEM, CONF, "correct this line"),
    (text(CONF, "[" * 100_000), Level.PROBLEM, "pccs_url", "/sgx/certification/v4/"),
    (text(CONF, '{"pccs_url": ' + "[" * 100_000), Level.PROBLEM, CONF, "correct this line"),
    (text(CONF, "{}"), Level.PROBLEM, "pccs_url", "/sgx/certification/v4/"),
    (conf(pccs_url='"http://[half"'), Level.PROBLEM, "pccs_url", "/sgx/certification/v4/"),
    (conf(pccs_url='"https://pccs.example:8081/"'), Level.PROBLEM, "pccs_url", "end it in"),
    (conf(pccs_url='"http://pccs.example/sgx/certification/v4/"'), Level.WARNING, "pccs_url", "use https"),
    (conf(use_secure_cert="false"), Level.WARNING, "use_secure_cert", "set use_secure_cert to true"),
    (conf(local_cache_only="true"), Level.WARNING, "local_cache_only", "fill the cache"),
    (lambda each: setattr(each, "clock", False), Level.WARNING, "clock", "timedatectl"),
    (lambda each: setattr(each, "clock", None), Level.WARNING, "clock", "timedatectl"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "level", "subject", "remedy"), BROKEN_SGX)
def test_one_thing_broken_is_one_finding(
    act: Callable[[FakeMachine], None], level: Level, subject: str, remedy: str
) -> None:
    broken = sgx_host()
    act(broken)
    (finding,) = [each for each in examined(broken) if each.level is not Level.OK]
    assert (finding.level, finding.subject) == (level, subject)
    assert remedy in finding.remedy
    assert finding.meaning


def test_the_line_of_a_broken_configuration_is_named() -> None:
    broken = sgx_host()
    broken.texts[CONF] = '{\n  // "a comment"\n  "pccs_url": "https://pccs.example/"\n  "use_secure_cert": true\n}\n'
    (finding,) = [each for each in examined(broken) if each.level is Level.PROBLEM]
    assert "line 4" in finding.found


def test_the_old_form_of_the_configuration_is_read() -> None:
    old = sgx_host()
    old.texts[CONF] = "# old\nPCCS_URL=https://localhost:8081/sgx/certification/v3/\nUSE_SECURE_CERT=FALSE\n"
    found = examined(old)
    assert of(Level.PROBLEM, found) == []
    assert of(Level.WARNING, found) == ["use_secure_cert"]


def test_an_old_kernel_and_an_old_driver_are_named() -> None:
    old = machine(flags="sgx sgx_lc", kernel="5.4.0-150-generic")
    (finding,) = [each for each in examined(old) if each.subject == "/dev/sgx_enclave"]
    assert "kernel 5.4" in finding.found
    old.nodes["/dev/isgx"] = device(0o666)
    assert "/dev/isgx" in of(Level.PROBLEM, examined(old))


def test_a_cpu_without_launch_control_is_named() -> None:
    found = examined(machine(flags="sgx"))
    assert "CPU" in of(Level.WARNING, found)


def test_a_machine_without_any_tee_is_told_so() -> None:
    (finding,) = [each for each in examined(machine()) if each.level is Level.PROBLEM]
    assert finding.subject == "TEE"
    assert "GenuineIntel" in finding.found
    (finding,) = [each for each in examined(FakeMachine()) if each.level is Level.PROBLEM]
    assert "unknown CPU" in finding.found


@pytest.mark.parametrize(
    ("kind", "level", "remedy"),
    [("dcap", Level.OK, ""), ("none", Level.PROBLEM, "sgx.remote_attestation"), ("epid", Level.PROBLEM, "dcap"),
     ("", Level.PROBLEM, "gramine-sgx")],
)  # fmt: skip
def test_gramine(kind: str, level: Level, remedy: str) -> None:
    inside = machine()
    inside.texts |= {"/dev/attestation/quote": "", "/dev/attestation/user_report_data": ""}
    if kind:
        inside.texts["/dev/attestation/attestation_type"] = kind
    (finding,) = [each for each in examined(inside) if each.subject == "/dev/attestation"]
    assert (finding.level, remedy in finding.remedy) == (level, True)


def test_gramine_without_its_files_is_a_problem() -> None:
    inside = machine()
    inside.texts["/dev/attestation/attestation_type"] = "dcap\n"
    assert of(Level.PROBLEM, examined(inside)) == ["/dev/attestation"]


def tdx_guest(kernel: str = "6.16.0") -> FakeMachine:
    guest = machine(flags="tdx_guest", kernel=kernel)
    guest.nodes["/dev/tdx_guest"] = device(0o666)
    guest.texts["/sys/kernel/config/tsm/report/mine/provider"] = "tdx_guest\n"
    guest.texts["/sys/class/misc/tdx_guest/measurements/rtmr3:sha384"] = ""
    return guest


def test_a_good_tdx_guest() -> None:
    found = examined(tdx_guest())
    assert {finding.level for finding in found} == {Level.OK}
    assert any("provider tdx_guest" in finding.found for finding in found)


@pytest.mark.parametrize(
    ("path", "kernel", "level", "subject", "remedy"),
    [
        ("/dev/tdx_guest", "6.16.0", Level.PROBLEM, "/dev/tdx_guest", "modprobe tdx_guest"),
        ("/dev/tdx_guest", "5.19.0", Level.PROBLEM, "/dev/tdx_guest", "kernel from 6.2"),
        ("/sys/kernel/config/tsm/report/mine/provider", "6.16.0", Level.PROBLEM, "configfs-tsm", "CONFIG_TSM_REPORTS"),
        ("/sys/kernel/config/tsm/report/mine/provider", "6.2.0", Level.WARNING, "configfs-tsm", "kernel from 6.7"),
        ("/sys/class/misc/tdx_guest/measurements/rtmr3:sha384", "6.8.0", Level.WARNING, "RTMRs", "6.16"),
    ],
)
def test_a_tdx_guest_that_lacks_one_thing(path: str, kernel: str, level: Level, subject: str, remedy: str) -> None:
    guest = tdx_guest(kernel)
    lacks(path)(guest)
    (finding,) = [each for each in examined(guest) if each.level is not Level.OK]
    assert (finding.level, finding.subject) == (level, subject)
    assert remedy in finding.remedy


def test_configfs_that_is_not_mounted() -> None:
    guest = tdx_guest()
    lacks("/sys/kernel/config/tsm/report/mine/provider")(guest)
    guest.texts["/proc/mounts"] = ""
    (finding,) = [each for each in examined(guest) if each.level is not Level.OK]
    assert "mount -t configfs" in finding.remedy


def test_an_early_tdx_driver_is_named() -> None:
    guest = machine(flags="tdx_guest")
    guest.nodes["/dev/tdx-guest"] = device(0o666)
    assert "/dev/tdx-guest" in of(Level.PROBLEM, examined(guest))


def test_an_snp_guest_whose_device_is_for_root_only() -> None:
    guest = machine(vendor="AuthenticAMD")
    guest.nodes["/dev/sev-guest"] = device(0o600)
    guest.texts["/sys/kernel/config/tsm/report/x/inblob"] = ""
    found = examined(guest)
    assert of(Level.PROBLEM, found) == ["/dev/sev-guest"]
    assert any("not known before" in finding.found for finding in found)


def test_a_nitro_enclave_and_its_parent() -> None:
    inside, parent = machine(), machine()
    inside.nodes["/dev/nsm"] = device(0o666)
    parent.nodes["/dev/nitro_enclaves"] = device(0o660)
    for each in (inside, parent):
        assert of(Level.PROBLEM, examined(each)) == []


@pytest.mark.parametrize(
    ("flag", "path"),
    [
        ("tdx_host_platform", "/sys/module/kvm_intel/parameters/tdx"),
        ("sev_snp", "/sys/module/kvm_amd/parameters/sev_snp"),
    ],
)
def test_a_host_of_confidential_vms(flag: str, path: str) -> None:
    host = machine(flags=flag)
    host.texts[path] = "Y\n"
    assert of(Level.WARNING, examined(host)) == []
    host.texts[path] = "N\n"
    assert len(of(Level.WARNING, examined(host))) == 1


# -- the tree of another machine, through the command ----------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """`sgx_host` as files below a folder."""
    for path, content in sgx_host().texts.items():
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    for name, mode in (("sgx_enclave", 0o666), ("sgx_provision", 0o666)):
        file = tmp_path / "dev" / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
        file.chmod(mode)
    timesync = tmp_path / "run" / "systemd" / "timesync"
    timesync.mkdir(parents=True)
    (timesync / "synchronized").touch()
    return tmp_path


def listening(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True)
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    return made


def test_the_tree_of_another_machine(tree: Path) -> None:
    with listening(tree / "run" / "aesmd" / "aesm.socket"):
        ran = run("doctor", "--root", tree, "--json")
    assert (ran.status, ran.json["problems"], ran.json["warnings"]) == (0, 0, 0)
    (tree / "dev" / "sgx_enclave").unlink()
    ran = run("doctor", "--host", "--root", tree)
    assert ran.status == 1
    assert "PROBLEM  /dev/sgx_enclave: missing" in ran.out
    assert "what to do" in ran.out


def test_a_link_out_of_the_tree_leads_nowhere(tree: Path) -> None:
    (tree / "etc" / "sgx_default_qcnl.conf").unlink()
    (tree / "etc" / "sgx_default_qcnl.conf").symlink_to("/etc/passwd")
    seen = LocalMachine(tree)
    assert seen.look(CONF) is None
    assert seen.read(CONF) is None
    assert seen.synchronised() is None


def test_what_is_no_plain_file_is_not_waited_for(tree: Path) -> None:
    (tree / "etc" / "group").unlink()
    os.mkfifo(tree / "etc" / "group")
    assert LocalMachine(tree).read("/etc/group") is None
    assert LocalMachine(tree).names("/nowhere") == ()
    assert LocalMachine(tree).look("/dev/" + "x" * 5000) is None


def test_this_machine_can_be_examined() -> None:
    ran = run("doctor", "--json")
    assert ran.status in (0, 1)
    assert ran.json["host"][0]["subject"] == "kernel"
    assert run("doctor", "--root", "/nowhere").status == 2


def test_group_rights_decide_before_those_of_others() -> None:
    strict = sgx_host()
    strict.nodes["/dev/sgx_provision"] = device(0o606, PROVISION_GROUP)
    assert "/dev/sgx_provision" in (of(Level.PROBLEM, examined(strict)) + of(Level.WARNING, examined(strict)))
