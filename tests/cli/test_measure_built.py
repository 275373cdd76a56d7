"""`measure` of what other tools have built: a SIGSTRUCT with Gramine's manifest, and an image of AWS Nitro."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from intaglio.sim.signing import EnclaveTerms, generate_vendor_key, resign, sign_enclave
from intaglio.types import Measurement
from intaglio.verify.policy import Policy
from intaglio.verify.rules.rule import OneOf
from intaglio.wire.sgx import AttributeFlag, Attributes
from intaglio.wire.sigstruct import Sigstruct
from tests.cli.conftest import NOON, run

MEASURED = Measurement(bytes(range(32)))

MANIFEST = """\
loader.argv = ["python3", "-m", "intaglio.enclave"]
loader.env.PYTHONHOME = "/usr"
sgx.debug = false
sgx.remote_attestation = "dcap"
sgx.isvprodid = 1
sgx.isvsvn = 1

[[sgx.trusted_files]]
uri = "file:image/app/meter.py"
sha256 = "11"

[[sgx.trusted_files]]
uri = "file:image/app/dc.pub"
sha256 = "{pin}"
"""


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return generate_vendor_key()


@pytest.fixture(scope="module")
def signed(key: rsa.RSAPrivateKey) -> Sigstruct:
    return sign_enclave(key, MEASURED, EnclaveTerms(isv_prod_id=1, isv_svn=1), now=NOON)


@pytest.fixture
def built(tmp_path: Path, signed: Sigstruct) -> Path:
    """The folder of a build: SIGSTRUCT, manifest, and the file that it pins."""
    (tmp_path / "image" / "app").mkdir(parents=True)
    (tmp_path / "image" / "app" / "dc.pub").write_bytes(b"pin")
    (tmp_path / "meter.sig").write_bytes(signed.encode())
    (tmp_path / "meter.manifest.sgx").write_text(MANIFEST.format(pin=sha256(b"pin").hexdigest()))
    return tmp_path


def named(text: str, key: str) -> frozenset[bytes]:
    rule = Policy.parse(text).workload("meter").rule(key)
    assert isinstance(rule, OneOf)
    return rule.allowed.values


def refusal(*arguments: object) -> str:
    ran = run("measure", *arguments)
    assert (ran.status, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    return line


def test_a_sigstruct_is_a_table(built: Path, signed: Sigstruct) -> None:
    ran = run("measure", built / "meter.sig", "--manifest", built / "meter.manifest.sgx")
    assert ran.status == 0, ran.err
    assert named(ran.out, "mr_enclave") == {MEASURED}
    assert Policy.parse(ran.out).workload("meter").dangers == []
    assert f"# signed by {signed.mr_signer.hex()}, product 1, SVN 1" in ran.out
    assert sha256(b"pin").hexdigest() in ran.err


def test_without_the_manifest_nobody_knows_what_is_measured(built: Path) -> None:
    ran = run("measure", built / "meter.sig")
    assert ran.status == 0
    assert named(ran.out, "mr_enclave") == {MEASURED}
    assert "--manifest" in ran.err


def test_a_changed_sigstruct_is_refused(built: Path, signed: Sigstruct, key: rsa.RSAPrivateKey) -> None:
    other = Measurement(bytes(32))
    broken = {
        "its signature does not hold": replace(signed, enclave_hash=other),
        "its q1 and q2 do not follow": replace(signed, q1=signed.q1 + 1),
        "not signed with RSA of 3072 bits and exponent 3": replace(signed, exponent=65537),
        "not signed with RSA": replace(signed, modulus=signed.modulus >> 8, signature=0, q1=0, q2=0),
    }
    for says, sigstruct in broken.items():
        (built / "meter.sig").write_bytes(sigstruct.encode())
        assert says in refusal(built / "meter.sig")
    even = replace(signed, modulus=(1 << 3071) + 2).signed(signed.signature % (1 << 3000))
    (built / "meter.sig").write_bytes(even.encode())
    assert "its signature does not hold" in refusal(built / "meter.sig")
    (built / "meter.sig").write_bytes(signed.encode()[:4] + bytes(1804))
    assert "not a SIGSTRUCT" in refusal(built / "meter.sig")


def test_a_debug_enclave_is_refused(built: Path, signed: Sigstruct, key: rsa.RSAPrivateKey) -> None:
    attributes = Attributes(signed.attributes.flags | AttributeFlag.DEBUG, signed.attributes.xfrm)
    (built / "meter.sig").write_bytes(resign(key, replace(signed, attributes=attributes)).encode())
    assert "debug enclave" in refusal(built / "meter.sig")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sgx.debug = false", "sgx.debug = true", "sgx.debug is not false"),
        ('"dcap"', '"none"', "sgx.remote_attestation"),
        ('sgx.remote_attestation = "dcap"\n', "", "sgx.remote_attestation"),
        ("sgx.isvsvn = 1", "sgx.isvsvn = 2", "the SIGSTRUCT says 1"),
        ("sgx.isvprodid = 1\n", "", "sgx.isvprodid is 0, the SIGSTRUCT says 1"),
        ("sgx.debug", 'sgx.file_check_policy = "allow_all_but_log"\nsgx.debug', "sgx.file_check_policy"),
        ("sgx.debug", 'sgx.allowed_files = ["file:x"]\nsgx.debug', "sgx.allowed_files"),
        (
            "sgx.debug",
            "loader.insecure__use_cmdline_argv = true\nsgx.debug",
            "loader.insecure__use_cmdline_argv is set",
        ),
        ("sgx.debug", 'fs.insecure__keys.default = "00"\nsgx.debug', "fs.insecure__keys is set"),
        ('PYTHONHOME = "/usr"', "PYTHONPATH = { passthrough = true }", "PYTHONPATH is passed through"),
        ("image/app/dc.pub", "image/app/dc2.pub", "need one dc.pub"),
        ("image/app/meter.py", "image/old/dc.pub", "found 2"),
        (
            "sgx.debug",
            'fs.mounts = [{ path = "/shared", type = "untrusted_shm", uri = "dev:/dev/shm" }]\nsgx.debug',
            "fs mounts /shared from a device or shared memory",
        ),
        ("sgx.debug", 'fs.mounts = [{ path = "/app", uri = "dev:/dev/app" }]\nsgx.debug', "fs mounts /app"),
        ("sgx.debug", 'fs.root = { uri = "dev:/dev/root" }\nsgx.debug', "fs mounts / from a device"),
        ("sgx.debug", 'fs.mount.a = { path = "/a", type = "untrusted_shm" }\nsgx.debug', "fs mounts /a"),
        ('sha256 = "11"', 'sha256 = "', "not a manifest"),
        ("isvsvn = 1", "isvsvn = " + "1" * 5000, "not a manifest"),
        ("sgx.debug", "a." * 5000 + "insecure__x = 1\nsgx.debug", "insecure__x is set"),
    ],
)
def test_a_manifest_that_leaves_a_choice_is_refused(built: Path, old: str, new: str, says: str) -> None:
    manifest = built / "meter.manifest.sgx"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    assert says in refusal(built / "meter.sig", "--manifest", manifest)


@pytest.mark.parametrize("text", ["", "sgx = 1", 'sgx = { debug = false, remote_attestation = "dcap" }', "\0"])
def test_what_is_no_manifest(built: Path, text: str) -> None:
    (built / "m").write_text(text)
    assert str(built / "m") in refusal(built / "meter.sig", "--manifest", built / "m")


def test_a_manifest_of_another_pin_is_refused(built: Path) -> None:
    (built / "image" / "app" / "dc.pub").write_bytes(b"another pin")
    arguments = (built / "meter.sig", "--manifest", built / "meter.manifest.sgx")
    assert "pins another dc.pub" in refusal(*arguments)
    (built / "image" / "app" / "dc.pub").unlink()
    assert run("measure", *arguments).status == 0


def output(**more: object) -> dict[str, object]:
    registers = {f"PCR{number}": f"{number:x}f" * 48 for number in (0, 1, 2)}
    return {"Measurements": {"HashAlgorithm": "Sha384 { ... }", **registers}, **more}


@pytest.mark.parametrize("before", ["", "Start building the Enclave Image...\nEnclave Image successfully created.\n"])
def test_what_nitro_cli_printed_is_a_table(tmp_path: Path, before: str) -> None:
    (tmp_path / "meter.json").write_text(before + json.dumps(output(CheckCRC=True), indent=2) + "\n")
    ran = run("measure", tmp_path / "meter.json")
    assert ran.status == 0, ran.err
    assert named(ran.out, "pcr0") == {bytes([0x0F] * 48)}
    assert "PCR2 " + "2f" * 48 in ran.err


def test_a_signed_image_says_by_whom() -> None:
    said = output(IsSigned=True, SignatureCheck=True)
    measured = said["Measurements"]
    assert isinstance(measured, dict)
    measured["PCR8"] = "8F" * 48
    ran = run("measure", "-", "--name", "meter", stdin=json.dumps(said).encode())
    assert ran.status == 0, ran.err
    assert f"# signed: PCR8 {'8f' * 48}" in ran.out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"CheckCRC": False}, "CheckCRC is false"),
        ({"SignatureCheck": False}, "signature does not hold"),
        ({"Measurements": None}, 'no "Measurements"'),
        ({"Measurements": {"PCR0": "00" * 48}}, "PCR0 is zero"),
        ({"Measurements": {"PCR0": "0f" * 48, "PCR1": "0f" * 47}}, "PCR1: need 96"),
        ({"Measurements": {"PCR0": 5}}, "PCR0: need 96"),
        ({"Measurements": {"HashAlgorithm": "Sha256"}}, "need SHA-384"),
    ],
)
def test_output_that_says_nothing_good(tmp_path: Path, change: dict[str, object], says: str) -> None:
    (tmp_path / "meter.json").write_text(json.dumps({**output(), **change}))
    assert says in refusal(tmp_path / "meter.json")


def test_garbage_around_the_measurements(tmp_path: Path) -> None:
    for text in ('"Measurements" }', "{" * 100_000 + '"Measurements"}', '{"Measurements": \udcff}'):
        (tmp_path / "meter.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        assert "not what nitro-cli prints" in refusal(tmp_path / "meter.json")


def test_options_that_belong_to_another_kind(built: Path, workshop: Path) -> None:
    assert "for scripts" in refusal(built / "meter.sig", "--trust", built / "meter.sig")
    assert "need the SIGSTRUCT" in refusal(workshop / "meter.py", "--manifest", built / "meter.manifest.sgx")
    assert "need the SIGSTRUCT" in refusal(built / "meter.manifest.sgx", "--manifest", built / "meter.manifest.sgx")
