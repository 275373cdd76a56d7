"""TDX on the command line: a quote's fields, an event log's events, and what booted beside a verdict."""

from pathlib import Path

import pytest

from intaglio.sim.td import TdDraft
from intaglio.sim.world import Lab
from intaglio.verify.event_log import replay
from intaglio.wire.ccel import EventLog
from tests.cli.conftest import NOON, run
from tests.event_logs import boot_log, runtime_log


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TD that booted as ccel.bin and app.json say, with its collateral and the lab's root."""
    folder = tmp_path_factory.mktemp("td")
    lab = Lab.create(None, NOON)
    (folder / "ccel.bin").write_bytes(boot_log())
    (folder / "app.json").write_bytes(runtime_log(("app-id", b"\1\2"), ("ready", b"")))
    logs = EventLog.parse(boot_log()), EventLog.parse_json((folder / "app.json").read_bytes())
    draft = TdDraft.of(lab, NOON)
    registers = replay([event for log in logs for event in log.events])
    draft.change(**{f"rtmr{number}": value for number, value in enumerate(registers)})
    made = draft.build()
    (folder / "quote.bin").write_bytes(made.quote)
    (folder / "collateral.json").write_bytes(made.collateral.encode_json())
    (folder / "root.pem").write_text(lab.root_pem)
    return folder


def verify(folder: Path, *more: object) -> list[object]:
    given = ["--collateral", folder / "collateral.json", "--lab", folder / "root.pem", "--at", NOON]
    return ["verify", folder / "quote.bin", *given, *more]


def test_what_booted_is_told_beside_the_verdict(evidence: Path) -> None:
    logs = ["--event-log", evidence / "ccel.bin", "--event-log", evidence / "app.json"]
    ran = run(*verify(evidence, *logs, "--json"))
    assert (ran.status, ran.json["genuine"]) == (0, True)
    boot = ran.json["boot"]
    assert (boot["reason"], boot["silent"], boot["registers"]) == (None, [], [0, 1, 2, 3])
    assert (boot["secure_boot"], boot["command_lines"]) == (True, ["/vmlinuz root=/dev/vda1 ro"])
    told = run(*verify(evidence, *logs)).out
    for text in (
        "BOOT: the event log gives",
        "secure boot          on",
        "/vmlinuz root",
        "BOOTX64.EFI",
        "app-id: 0102",
    ):
        assert text in told


def test_registers_without_a_log_are_named(evidence: Path) -> None:
    ran = run(*verify(evidence, "--event-log", evidence / "ccel.bin"))
    assert ran.status == 0
    assert "no log for           RTMR3" in ran.out


def test_a_log_of_another_boot_is_refused(evidence: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    spoilt = bytearray(boot_log())
    spoilt[100] ^= 1
    other.write_bytes(bytes(spoilt))
    ran = run(*verify(evidence, "--event-log", other, "--json"))
    assert (ran.status, ran.json["genuine"]) == (1, True)
    assert ran.json["boot"]["reason"] == "EVENT_LOG_MISMATCH"
    assert "BOOT: EVENT_LOG_MISMATCH" in run(*verify(evidence, "--event-log", other)).out


def test_a_log_beside_a_verdict_that_is_not_genuine_says_nothing(evidence: Path) -> None:
    ran = run("verify", evidence / "quote.bin", "--event-log", evidence / "ccel.bin", "--at", NOON, "--json")
    assert ran.status == 3
    assert ran.json["boot"]["reason"] == "ROOT_UNTRUSTED"


def test_a_file_that_is_no_log_is_a_usage_error(evidence: Path) -> None:
    ran = run(*verify(evidence, "--event-log", evidence / "root.pem"))
    assert ran.status == 2
    assert "not an event log" in ran.err


@pytest.mark.parametrize(("name", "kind"), [("ccel.bin", "event log (CCEL)"), ("app.json", "event log (JSON)")])
def test_a_log_is_shown(evidence: Path, name: str, kind: str) -> None:
    ran = run("inspect", evidence / name, "--json")
    assert (ran.status, ran.json["kind"]) == (0, kind)
    assert ran.json["facts"]["replay"]
    assert run("inspect", evidence / name).out.count("RTMR") >= 2


def test_a_quote_and_its_collateral_are_shown(evidence: Path) -> None:
    quote = run("inspect", evidence / "quote.bin", "--json").json
    assert (quote["kind"], quote["facts"]["tee"]) == ("quote", "tdx")
    assert quote["facts"]["report"]["attributes_set"] == ["SEPT_VE_DISABLE"]
    collateral = run("inspect", evidence / "collateral.json", "--json").json
    assert collateral["kind"] == "TDX collateral"
    assert any(line.startswith("TDX_01: UpToDate") for line in collateral["facts"]["tcb_info"]["tdx_modules"])


def test_a_quote_whose_certificates_cannot_be_read_is_shown_all_the_same(evidence: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "quote.bin"
    spoilt.write_bytes((evidence / "quote.bin").read_bytes().replace(b"BEGIN CERT", b"BEGIN XXXX", 1))
    shown = run("inspect", spoilt, "--json")
    assert shown.status == 0
    assert "can't be read" in shown.json["facts"]["certification"]["certificates"]
