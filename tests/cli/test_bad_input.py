"""What people give a command by mistake: one line on stderr, the right exit status, nothing half done."""

import socket
from pathlib import Path

import pytest

from intaglio.cli.failure import Usage
from intaglio.cli.run import parse_call
from tests.cli.conftest import Ran, run


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
    assert "WRONG_MEASUREMENT?" in line


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
