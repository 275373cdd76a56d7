"""The kits' files: each as it was read and approved (golden/), and each good for the program that reads it."""

import base64
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from intaglio.cli.kits import command
from intaglio.enclave.__main__ import parser
from intaglio.wire.address import Stdio, Vsock, parse_address
from intaglio.wire.identity import Pin, PublicKeys, Suite
from tests.cli.conftest import METER, run
from tests.test_documents import parse

GOLDEN = Path(__file__).parent / "golden"
KITS = tuple(command.KITS)
PIN = Pin(Suite.ED25519, "dc.example", (PublicKeys(bytes(range(32)), None),))
VERSIONS = {"cbor2": "6.3.0", "cffi": "2.1.1", "cryptography": "50.0.2", "intaglio": "0.1.0", "pycparser": "3.12"}

_RUNS = re.compile(r'"?-m"?,? "?intaglio\.enclave"?,? (.*?)(?:,?$|\]$)', re.MULTILINE)


def source(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meter.py").write_text(METER, "utf-8")
    (folder / "dc.pub").write_text(PIN.to_text(), "ascii")
    return folder / "meter.py"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes a kit and gives its folder."""
    monkeypatch.setattr(command, "version", VERSIONS.__getitem__)
    script = source(tmp_path / "source")

    def make(kit: str) -> Path:
        ran = run(kit, "init", script, "--out", tmp_path / kit)
        assert ran.status == 0, ran.err
        assert len(ran.out.splitlines()) == len(command.KITS[kit]) + 3
        return tmp_path / kit

    return make


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kit", KITS)
def test_a_kit_is_as_it_was_approved(made: Callable[[str], Path], kit: str) -> None:
    """To approve a change: run with APPROVE_KITS=1, and read the difference before you commit it."""
    folder = made(kit)
    if os.environ.get("APPROVE_KITS") == "1":
        shutil.rmtree(GOLDEN / kit, ignore_errors=True)
        shutil.copytree(folder, GOLDEN / kit, ignore=shutil.ignore_patterns("app"))
    written = {name: text for name, text in contents(folder).items() if not name.startswith("app/")}
    assert written == contents(GOLDEN / kit)


@pytest.mark.parametrize("kit", KITS)
def test_nothing_is_left_to_fill_in(made: Callable[[str], Path], kit: str) -> None:
    folder = made(kit)
    for name, text in contents(folder).items():
        assert not re.search(r"@[A-Z_0-9]+@", name + text), name
    assert (folder / "app" / "meter.py").read_text() == METER
    assert (folder / "app" / "dc.pub").read_text() == PIN.to_text()
    assert "intaglio==0.1.0\n" in (folder / "requirements.txt").read_text()


@pytest.mark.parametrize("kit", KITS)
def test_the_commands_of_its_readme_parse(made: Callable[[str], Path], kit: str) -> None:
    folder = made(kit)
    text = (folder / "README.md").read_text() + (folder / "Makefile").read_text().replace("$(NAME)", "meter")
    typed = re.findall(r"(?:^|\| )\s*@?intaglio (\S.*?)(?: [|>]+ .*)?$", text, re.MULTILINE)
    assert len(typed) >= 2
    for line in typed:
        assert parse(shlex.split(line)) is None, line
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(block, kit, "exec")


@pytest.mark.parametrize("kit", KITS)
def test_the_enclave_is_started_with_options_that_it_has(made: Callable[[str], Path], kit: str) -> None:
    """On the transport that this TEE has, with an attester of it."""
    folder = made(kit)
    file = {"gramine": "meter.manifest.template", "vm": "meter.service", "nitro": "Dockerfile"}[kit]
    (found,) = _RUNS.findall((folder / file).read_text())
    options = parser("enclave").parse_args(shlex.split(found.replace('",', '"')))
    assert options.script.name == "meter.py"
    expected = {"gramine": (Stdio(), "gramine"), "vm": (parse_address("vsock:any:5005"), None)}
    assert (options.listen, options.attester) == expected.get(kit, (parse_address("vsock:any:5005"), "nsm"))
    assert isinstance(options.listen, Stdio | Vsock)


def test_the_manifest_leaves_nothing_to_the_host(made: Callable[[str], Path]) -> None:
    text = (made("gramine") / "meter.manifest.template").read_text()
    manifest = tomllib.loads(
        text.replace("{{ gramine.libos }}", "/g/libos").replace("{{ gramine.runtimedir() }}", "/g/l")
    )
    sgx = manifest["sgx"]
    assert (sgx["debug"], sgx["remote_attestation"], sgx["file_check_policy"]) == (False, "dcap", "strict")
    assert "allowed_files" not in sgx
    assert "insecure__" not in text
    assert "passthrough" not in text
    assert manifest["loader"]["argv"][0] == "python3"
    assert {manifest["fs"]["root"]["uri"], *(mount["uri"] for mount in manifest["fs"]["mounts"])} == {
        "file:image",
        "file:/g/l",
    }
    assert sgx["trusted_files"] == ["file:/g/libos", "file:/g/l/", "file:image/"]


def test_what_the_host_launches_a_guest_with(made: Callable[[str], Path]) -> None:
    launch = tomllib.loads((made("vm") / "launch.toml").read_text())
    assert bytes.fromhex(launch["pin_hash"]) == PIN.hash
    mrconfigid, host_data = bytes.fromhex(launch["tdx"]["mrconfigid"]), bytes.fromhex(launch["snp"]["host_data"])
    assert mrconfigid == PIN.hash + bytes(16)
    assert host_data == PIN.hash
    for section, value in (("tdx", mrconfigid), ("snp", host_data)):
        encoded = base64.b64encode(value).decode()
        assert launch[section]["qemu"].endswith(f"={encoded}")
        assert f">{encoded}<" in launch[section]["libvirt"]
        assert tomllib.loads(launch[section]["policy"])["pin"] in {"mrconfigid", "host_data"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_unit_is_one_that_systemd_reads(made: Callable[[str], Path]) -> None:
    unit = made("vm") / "meter.service"
    unit.write_text(unit.read_text().replace("/usr/bin/python3", sys.executable))
    ran = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    about = [line for line in ran.stderr.splitlines() if "meter.service" in line]
    assert (ran.returncode, about) == (0, []), ran.stderr


def tool(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{folder / 'tools'}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


def with_wheel(folder: Path, content: str = "X = 1\n", *, hashed: bool = True) -> None:
    """A wheel that was downloaded already."""
    (folder / "wheels").mkdir(exist_ok=True)
    (folder / "tools").mkdir(exist_ok=True)
    wheel = folder / "wheels" / "small-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(zipfile.ZipInfo("small/__init__.py"), content)
    if hashed:
        (folder / "wheels.sha256").write_text(f"{sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n")


def small_python(folder: Path) -> str:
    """An interpreter with a standard library of three files, one of them a test's."""
    stdlib = folder / "lib" / "python3.99"
    (stdlib / "test").mkdir(parents=True)
    (stdlib / "json" / "__pycache__").mkdir(parents=True)
    for name in ("os.py", "test/test_os.py", "json/__init__.py", "json/__pycache__/x.pyc"):
        (stdlib / name).write_text(name)
    script = (
        f'#!/bin/sh\ncase "$2" in *sys.executable*) echo {shutil.which("env")};; *sysconfig*) echo {stdlib};; '
        f'*) exec {sys.executable} "$@";; esac\n'
    )
    return f"PYTHON={tool(folder / 'python', script)}"


NEEDS_MAKE = pytest.mark.skipif(not all(map(shutil.which, ("make", "ldd", "tar"))), reason="no build tools here")


@NEEDS_MAKE
def test_two_builds_of_an_image_are_the_same(tmp_path: Path, made: Callable[[str], Path]) -> None:
    first, second = made("gramine"), tmp_path / "elsewhere" / "copy"
    shutil.copytree(first, second)
    trees = []
    for folder in (first, second):
        with_wheel(folder)
        ran = make(folder, "image", "PIP=true", small_python(folder.parent / f"{folder.name}-python"[:40]))
        assert ran.returncode == 0, ran.stderr
        image = folder / "image"
        files = [path for path in image.rglob("*") if path.is_file()]
        trees.append({str(path.relative_to(image)): path.read_bytes() for path in files})
    assert trees[0] == trees[1]
    names = set(trees[0])
    assert {"app/meter.py", "app/dc.pub", "site/small/__init__.py", "python/bin/python3"} < names
    assert {name for name in names if name.startswith("python/lib")} == {
        "python/lib/python3.99/os.py",
        "python/lib/python3.99/json/__init__.py",
    }
    assert not any("libc.so" in name or "ld-linux" in name for name in names), "Gramine's own"


@NEEDS_MAKE
@pytest.mark.parametrize("kit", KITS)
def test_a_wheel_with_another_hash_is_not_built_in(made: Callable[[str], Path], kit: str) -> None:
    folder = made(kit)
    with_wheel(folder)
    assert make(folder, ".site", "PIP=true").returncode == 0
    for content, hashed, extra in (("X = 2\n", False, False), ("X = 1\n", True, True)):
        (folder / ".wheels").unlink(missing_ok=True)
        with_wheel(folder, content, hashed=hashed)
        if extra:
            shutil.copy(folder / "wheels" / "small-1-py3-none-any.whl", folder / "wheels" / "unknown.whl")
        assert make(folder, ".site", "PIP=true").returncode != 0
    (folder / "wheels" / "unknown.whl").unlink()
    (folder / "wheels.sha256").unlink()
    assert make(folder, ".site", "PIP=true").returncode == 0
    assert (folder / "wheels.sha256").read_text().endswith("  small-1-py3-none-any.whl\n")


@NEEDS_MAKE
def test_what_belongs_into_a_guest(made: Callable[[str], Path]) -> None:
    folder = made("vm")
    with_wheel(folder)
    ran = make(folder, "PIP=true", f"PYTHON={sys.executable}")
    assert ran.returncode == 0, ran.stderr
    root = folder / "root"
    wanted = root / "usr/lib/systemd/system/multi-user.target.wants/meter.service"
    assert wanted.read_text() == (folder / "meter.service").read_text()
    unit = wanted.read_text()
    for path in ("/usr/lib/meter/app/meter.py", "/usr/lib/meter/site"):
        assert path in unit
        assert (root / path.lstrip("/")).exists()
    assert (root / "usr/lib/meter/app/dc.pub").is_file()


@NEEDS_MAKE
def test_an_image_of_nitro_is_measured_as_the_readme_says(made: Callable[[str], Path]) -> None:
    folder = made("nitro")
    with_wheel(folder)
    registers = ", ".join(f'"PCR{number}": "{"0f" * 48}"' for number in range(3))
    said = f'{{"Measurements": {{"HashAlgorithm": "Sha384 {{ ... }}", {registers}}}}}'
    tool(folder / "tools" / "docker", '#!/bin/sh\necho "$@" >> docker.log\n')
    tool(folder / "tools" / "nitro-cli", f"#!/bin/sh\necho 'Start building the Enclave Image...'\necho '{said}'\n")
    ran = make(folder, "PIP=true", f"PYTHON={sys.executable}", "BASE=python@sha256:11")
    assert ran.returncode == 0, ran.stderr
    assert (folder / "docker.log").read_text() == "build --build-arg BASE=python@sha256:11 --tag meter:latest .\n"
    measured = run("measure", folder / "meter.json")
    assert measured.status == 0, measured.err
    assert "0f" * 48 in measured.out


@pytest.mark.skipif(shutil.which("gramine-direct") is None, reason="no Gramine here")
def test_the_sdk_loads_in_gramine_and_refuses_to_run_outside_of_sgx(tmp_path: Path) -> None:
    script = source(tmp_path)
    assert run("gramine", "init", script, "--out", tmp_path / "kit").status == 0
    assert make(tmp_path / "kit", "meter.manifest").returncode == 0
    ran = subprocess.run(
        ["gramine-direct", "meter"],
        cwd=tmp_path / "kit", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 69, ran.stderr
    assert "no evidence can be made" in ran.stderr


@pytest.mark.parametrize("name", ["Meter.py", "my meter.py", "meter", "-m.py", "a" * 33 + ".py", "_x.py", "a__b.py"])
def test_a_name_that_is_no_units_name(tmp_path: Path, name: str) -> None:
    source(tmp_path).rename(tmp_path / name)
    ran = run("vm", "init", "--out", tmp_path / "kit", "--", tmp_path / name)
    assert (ran.status, ran.out) == (2, "")
    assert "a script's name" in ran.err
    assert not (tmp_path / "kit").exists()


def test_nothing_is_written_where_something_is_missing(tmp_path: Path) -> None:
    script, kit = source(tmp_path), tmp_path / "kit"
    given = ("nitro", "init", script, "--out", kit)
    (tmp_path / "dc.pub").write_text("no pin\n")
    assert "not a data centre's identity" in run(*given).err
    (tmp_path / "dc.pub").write_bytes(b"\xff")
    assert "not a data centre's identity" in run(*given).err
    (tmp_path / "dc.pub").unlink()
    assert "intaglio keygen" in run(*given).err
    (tmp_path / "other.pub").write_text(PIN.to_text())
    script.write_text("def")
    assert "not a Python script" in run(*given, "--pin", tmp_path / "other.pub").err
    assert not kit.exists()
    script.write_text(METER)
    assert run(*given, "--pin", tmp_path / "other.pub").status == 0
    assert (kit / "app" / "dc.pub").read_text() == PIN.to_text()


def test_a_kit_overwrites_nothing(tmp_path: Path) -> None:
    script, kit = source(tmp_path), tmp_path / "kit"
    assert run("vm", "init", script, "--out", kit).status == 0
    (kit / "README.md").write_text("mine")
    ran = run("vm", "init", script, "--out", kit)
    assert ran.status == 2
    assert "never overwrites" in ran.err
    assert (kit / "README.md").read_text() == "mine"
    assert "never overwrites" in run("vm", "init", script, "--out", script).err


def test_the_templates_are_in_the_package() -> None:
    folder = Path(command.__file__).parent
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    templates = {template for kit in command.KITS.values() for template in kit}
    assert {path for path in found if not path.endswith((".py", ".pyc"))} == templates
