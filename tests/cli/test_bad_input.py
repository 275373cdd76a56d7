"""What people give a command by mistake: one line on stderr, the right exit status, nothing half done."""

import errno
import socket
import sys
import tracemalloc
from pathlib import Path

import pytest
import typer

from intaglio.cli.failure import Usage
from intaglio.cli.reading import dearmoured, read_bytes
from intaglio.cli.run import parse_call
from tests.cli.conftest import Ran, run
from tests.cli.test_service import service


def one_line(ran: Ran, status: int) -> str:
    """The line on stderr; the command must have ended with this status, and said nothing else."""
    assert ran.status == status, ran
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert line.startswith("intaglio: ")
    return line


@pytest.mark.parametrize("url", ["http://[", "http://dc:99999", "http://a b", "http://user:secret@dc"])
def test_an_address_that_is_none_is_a_usage_error(workshop: Path, lab_folder: Path, url: str) -> None:
    given = ("run", workshop / "meter.py", "-d", url, "--lab", lab_folder, "--call", "get_size")
    for ran in (run("offer", url), run(*given)):
        line = one_line(ran, 2)
        assert "need http(s)://host" in line
        assert "secret" not in line


def test_a_trusted_file_that_is_missing_is_named_before_the_launch(workshop: Path, lab_folder: Path) -> None:
    given = ("run", workshop / "meter.py", "-d", "http://127.0.0.1:9", "--lab", lab_folder, "--call", "get_size")
    assert "gone.json: no such file" in one_line(run(*given, "--trust", workshop / "gone.json"), 2)


@pytest.mark.parametrize("command", ["verify", "inspect", "measure", "policy check", "offer", "records --store"])
def test_a_name_that_no_file_can_have_is_a_usage_error(command: str) -> None:
    one_line(run(*command.split(), "x" * 300), 2)


def test_a_file_that_the_disk_withholds_is_not_evidence_that_failed() -> None:
    assert "/proc/self/mem: input/output error" in one_line(run("verify", "/proc/self/mem"), 2)


def test_an_endless_file_is_not_measured(workshop: Path) -> None:
    assert "/dev/zero: more than" in one_line(run("measure", workshop / "meter.py", "--trust", "/dev/zero"), 2)


def test_a_reason_that_does_not_exist_is_not_an_empty_quarantine(tmp_path: Path) -> None:
    line = one_line(run("quarantine", "--reason", "wrong_measurment", "--store", tmp_path), 2)
    assert "is it WRONG_MEASUREMENT" in line


def test_an_empty_address_of_a_pcs_is_not_intels(workshop: Path) -> None:
    (workshop / "policy.toml").write_text(run("measure", workshop / "meter.py").out)
    given = ["--policy", workshop / "policy.toml", "--keystore", workshop / "dc.key", "--store", workshop / "store"]
    assert "--pcs" in one_line(run("serve", *given, "--key-file", workshop / "dc.secret", "--pcs", ""), 2)
    assert not (workshop / "store").exists()


def test_a_lab_that_can_not_listen_names_the_address(lab_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"{address}: address already in use" in one_line(run("lab", "pcs", lab_folder, "--listen", address), 2)


def test_arguments_of_any_depth_are_a_usage_error() -> None:
    with pytest.raises(Usage):
        parse_call("get_size " + "[" * 200_000)


@pytest.mark.parametrize("content", [b"\x00\xff", b"def (", b"[" * 300_000, b"mr_enclave = ['\n"])
def test_what_no_enclave_would_run_is_not_measured(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "meter.py").write_bytes(content)
    assert "not a Python script" in one_line(run("measure", tmp_path / "meter.py"), 2)


def test_a_file_in_a_folders_place_is_named(workshop: Path, lab_folder: Path) -> None:
    script, policy = workshop / "meter.py", workshop / "policy.toml"
    policy.write_text(run("measure", script).out)
    served = ("serve", "--policy", policy, "--keystore", workshop / "dc.key", "--key-file", workshop / "dc.secret")
    ran = ("run", script, "-d", "http://127.0.0.1:9", "--lab", lab_folder, "--call", "get_size", "--spool", script)
    for arguments in ((*served, "--store", script), ran, ("lab", "init", script)):
        assert f"{script}: not a folder" in one_line(run(*arguments), 2)


@pytest.mark.parametrize("damage", ["junk", "cut short", "altered"])
def test_a_damaged_keystore_is_called_one(workshop: Path, damage: str) -> None:
    keystore = workshop / "dc.key"
    whole = keystore.read_bytes()
    keystore.write_bytes(
        {"junk": b"\xfe" * 90, "cut short": whole[:-9], "altered": whole[:-1] + bytes((whole[-1] ^ 1,))}[damage]
    )
    (workshop / "policy.toml").write_text(run("measure", workshop / "meter.py").out)
    given = ["--policy", workshop / "policy.toml", "--keystore", keystore, "--key-file", workshop / "dc.secret"]
    line = one_line(run("serve", *given, "--store", workshop / "store", "--collateral", workshop), 2)
    assert f"{keystore}: not a keystore, or damaged" in line


def test_an_interrupted_keygen_is_not_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("keygen", "dc", "--out", tmp_path, "--key-file", tmp_path / "dc.secret")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        one_line(run(*given), 1)
    assert not (tmp_path / "dc.key").exists()
    assert run(*given).status == 0


def test_an_unfinished_lab_says_so(tmp_path: Path) -> None:
    (tmp_path / "lab" / "authority").mkdir(parents=True)
    assert "not finished; remove it" in one_line(run("lab", "init", tmp_path / "lab"), 2)


def test_run_says_why_a_message_waits(workshop: Path, lab_folder: Path) -> None:
    """The commonest mistake of all: nobody serves the collateral."""
    policy, nothing = workshop / "policy.toml", workshop / "nothing"
    policy.write_text(run("measure", workshop / "meter.py").out)
    nothing.mkdir()
    given = ["--policy", policy, "--keystore", workshop / "dc.key", "--key-file", workshop / "dc.secret"]
    given += ["--store", workshop / "store", "--collateral", nothing, "--lab", lab_folder / "root.pem"]
    with service("serve", *given, "--listen", "127.0.0.1:0") as (url, _):
        spool = ("--lab", lab_folder, "--spool", workshop / "spool")
        ran = run("run", workshop / "meter.py", "-d", url, *spool, "--call", "get_size")
    assert ran.status == 0
    assert "1 frame waits in the spool" in ran.err
    assert "because: hello: answered 503 undecidable" in ran.err
    assert "in the log of intaglio serve" in run("quarantine", "--store", workshop / "store").err


def test_interrupted_while_a_passphrase_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise typer.Abort

    monkeypatch.setattr("intaglio.cli.keygen.keystore_secret", interrupted)
    assert run("keygen", "dc", "--out", tmp_path) == (130, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_is_not_decoded_as_base64(tmp_path: Path) -> None:
    pem = tmp_path / "root.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\nMIICjzCCAjSgAwIBAgIUImUM1lqdNInzg7SV\n-----END CERTIFICATE-----\n")
    ran = run("verify", pem)
    assert ran.status == 1
    assert "(raw, " in ran.out


def test_much_hexadecimal_is_read_in_memory_of_its_size() -> None:
    text = b"ab" * (1 << 20)
    tracemalloc.start()
    try:
        assert dearmoured(text) == (b"\xab" * (1 << 20), "hexadecimal")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(text)


@pytest.mark.parametrize(
    "arguments",
    [("verify", "x"), ("collateral", "status"), ("policy", "explain", "x"), ("policy", "try", "x")],
    ids=" ".join,
)
@pytest.mark.parametrize("moment", [-1, 2**53, 10**400])
def test_a_moment_that_no_format_can_hold_is_a_usage_error(arguments: tuple[str, ...], moment: int) -> None:
    ran = run(*arguments, f"--at={moment}")
    assert (ran.status, ran.out) == (2, "")
    assert "--at" in ran.err


def test_more_records_than_can_be_counted_is_a_usage_error() -> None:
    ran = run("records", "--limit", 2**70, "--name", "x")
    assert (ran.status, "--limit" in ran.err) == (2, True)


def test_without_standard_input_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Usage, match="no standard input"):
        read_bytes(Path("-"))
