"""From keys to records as a stranger would do it: lab, serve, offer, run, and then reading what was stored."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from intaglio.cli.run import parse_call, simulated
from intaglio.host.data_centre import DataCentre
from intaglio.host.errors import HelloRejected
from intaglio.host.process import launch
from intaglio.wire.frame import parse_frame
from tests.cli.conftest import METER, Ran, run

MORE = """

@enclave.call
def add(left: int, right: int) -> int:
    return left + right


@enclave.call
def fail() -> None:
    raise CallError("\\x1b[2Jthe tank is empty")
"""


@contextmanager
def service(*arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`intaglio ...` in a process of its own; yields the first line it prints. It is ended by SIGTERM."""
    command = [sys.executable, "-m", "intaglio", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line, process.communicate()[1]
            yield line, process
        finally:
            process.send_signal(signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Story:
    """What happened before the tests, and where it is stored."""

    folder: Path
    offer: Ran
    stranger: Ran
    ran: Ran
    listed: Ran
    unknown: Ran
    rejected: Ran
    refused: str | None
    serve_status: int
    serve_log: str
    lost: int
    session: str

    @property
    def store(self) -> Path:
        return self.folder / "store"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, lab_folder: Path) -> Story:
    """One data centre: an honest run, one frame that never arrived, a replay, an edited frame, a debug enclave."""
    folder = tmp_path_factory.mktemp("story")
    script, lab = folder / "meter.py", lab_folder
    script.write_text(METER.replace("import Enclave", "import CallError, Enclave") + MORE)
    for name in ("dc", "stranger"):
        assert run("keygen", name, "--out", folder, "--key-file", folder / f"{name}.secret").status == 0
    (folder / "policy.toml").write_text(run("measure", script).out)
    given: list[object] = ["--policy", folder / "policy.toml", "--store", folder / "store", "--listen", "127.0.0.1:0"]
    given += ["--keystore", folder / "dc.key", "--key-file", folder / "dc.secret", "--lab", lab / "root.pem"]
    pcs_command = ("lab", "pcs", lab, "--listen", "127.0.0.1:0")
    with service(*pcs_command) as (pcs, _), service("serve", *given, "--pcs", pcs) as (url, server):
        offer = run("offer", url, "--pin", folder / "dc.pub", "--json")
        stranger = run("offer", url, "--pin", folder / "stranger.pub")
        call = ("run", script, "--data-centre", url, "--lab", lab)
        calls = ["get_size", "add [40, 2]", 'add {"left": 1, "right": 2}', "fail"]
        ran = run(*call, *[part for each in calls for part in ("--call", each)], "--every", "0", "--count", "2")
        listed, unknown = run(*call), run(*call, "--call", "conjure")
        (folder / "other.py").write_text(METER)
        rejected = run("run", folder / "other.py", "-d", url, "--lab", lab, "--call", "get_size")
        lost, session = misbehave(url, script, lab)
        refused = debug_hello(url, script, lab)
        server.send_signal(signal.SIGTERM)
        _, log = server.communicate(timeout=20)
    return Story(
        folder, offer, stranger, ran, listed, unknown, rejected, refused, server.returncode, log, lost, session
    )


def misbehave(url: str, script: Path, lab: Path) -> tuple[int, str]:
    """Drops a frame, replays another, edits a third; gives the number of the lost one, and the session."""
    centre = DataCentre(url)
    with launch(script, command=simulated(lab, "alpha", [])) as enclave:
        frames = enclave.accept(centre.deliver_hello(enclave.hello(centre.offer())))
        lost = parse_frame(enclave.call("get_size"))
        sent = enclave.call("get_size")
        for body in ([*frames], [sent], [sent], [sent[:-1] + bytes((sent[-1] ^ 1,))]):
            centre.deliver_frames(body)
    centre.close()
    return lost.sequence, lost.session.hex()


def debug_hello(url: str, script: Path, lab: Path) -> str | None:
    """The quarantine entry of a debug enclave's hello."""
    centre = DataCentre(url)
    command = [*simulated(lab, "alpha", []), "--debug"]
    with launch(script, command=command) as enclave, pytest.raises(HelloRejected) as caught:
        centre.deliver_hello(enclave.hello(centre.offer()))
    centre.close()
    return caught.value.id


def test_serve_ends_in_good_order_and_warns_of_the_lab(story: Story) -> None:
    assert story.serve_status == 0
    assert "LAB MODE" in story.serve_log
    assert story.serve_log.rstrip().endswith("everything that was acknowledged is stored")
    assert str(story.store / "api.token") in story.serve_log
    assert stat.S_IMODE((story.store / "api.token").stat().st_mode) == 0o600
    assert "Traceback" not in story.serve_log


def test_an_offer_is_checked_against_a_pin(story: Story) -> None:
    assert story.offer.status == 0
    assert story.offer.json["offer"]["audience"] == "dc"
    assert story.stranger.status == 1
    assert "OFFER_SIGNATURE" in story.stranger.out + story.stranger.err


def test_run_says_where_each_message_is_and_never_what_it_says(story: Story) -> None:
    assert story.ran.status == 0, story.ran.err
    assert story.ran.out.count("stored by the data centre") == 8
    assert not {"100", "42"} & set(story.ran.out.split())
    assert story.listed.out.split() == ["CALLS", "add", "fail", "get_size"]
    assert story.unknown.status == 2
    assert "add, fail, get_size" in story.unknown.err


def test_run_explains_a_rejection(story: Story) -> None:
    assert story.rejected.status == 1
    assert "WRONG_MEASUREMENT" in story.rejected.err
    assert "what to do" in story.rejected.out


def test_records_are_shown_with_their_origin(story: Story) -> None:
    shown = run("records", "--store", story.store, "--json")
    rows = [json.loads(line) for line in shown.out.splitlines()]
    first = [row for row in rows if row["session"] == rows[0]["session"]]
    error = {"type": "CallError", "message": "\x1b[2Jthe tank is empty"}
    assert [row["decoded"] for row in first] == [100, 42, 3, error] * 2
    assert [row["sequence"] for row in first] == sorted(row["sequence"] for row in first)
    assert {(row["workload"], row["tee"], row["simulated"], row["status"]) for row in rows} == {
        ("meter", "sgx", True, "ACCEPTED")
    }
    assert len(rows) == 9


def test_records_can_be_chosen(story: Story) -> None:
    def names(*options: object) -> list[str]:
        out = run("records", "--store", story.store, "--json", *options).out
        return [json.loads(line)["name"] for line in out.splitlines()]

    assert names("--name", "add") == ["add"] * 4
    assert names("--name", "add", "--limit", 3) == ["add"] * 3
    assert names("--limit", 2) == ["fail", "get_size"]
    assert names("--session", story.session) == ["get_size"]
    assert len(names("--limit", 0)) == 9
    assert names("--name", "nothing") == []


def test_records_for_people_are_one_line_each_and_can_do_no_harm(story: Story) -> None:
    shown = run("records", env={"INTAGLIO_STORE": str(story.store)})
    assert shown.status == 0
    assert len(shown.out.splitlines()) == 10
    assert shown.out.count("SIMULATED") == 9
    assert "\x1b" not in shown.out
    assert "raised CallError: \\x1b[2Jthe tank is empty" in shown.out


def test_records_follow_what_arrives(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    ran = run("records", "--store", story.store, "--follow", "--limit", 1)
    assert (ran.status, len(looks), len(ran.out.splitlines())) == (130, 3, 2)


def test_sessions_name_what_is_missing(story: Story) -> None:
    listed = run("sessions", "--store", story.store, "--json").json
    mine = next(row for row in listed if row["session"] == story.session)
    assert (mine["missing"], mine["replays"], mine["records"], mine["state"]) == (1, 1, 1, "live")
    one = run("sessions", story.session, "--store", story.store, "--json").json
    assert one["gaps"] == [[story.lost, story.lost]]
    assert one["verdict"]["genuine"] is True
    shown = run("sessions", story.session, "--store", story.store).out
    assert f"missing sequence numbers: {story.lost}" in shown
    assert story.session in run("sessions", "--store", story.store).out
    assert run("sessions", "ab" * 16, "--store", story.store).status == 2
    assert run("sessions", "xyz", "--store", story.store).status == 2


def test_quarantine_says_why_and_what_to_do(story: Story) -> None:
    listed = run("quarantine", "--store", story.store, "--json").json
    assert [entry["reasons"] for entry in listed["entries"]] == [
        ["WRONG_MEASUREMENT"],
        ["FRAME_AUTHENTICATION"],
        ["DEBUG_ENCLAVE"],
    ]
    assert {"reason": "REPLAY", "session": story.session, "count": 1} in listed["counted_only"]
    shown = run("quarantine", story.refused, "--store", story.store).out
    for text in ("DEBUG_ENCLAVE", "launch the enclave in production mode", "who must act", "check 30 debug"):
        assert text in shown
    told = run("quarantine", story.refused, "--store", story.store, "--json").json
    assert told["explanations"][0]["who_must_act"] == "host operator"
    assert told["detail"]["verdict"]["identity"]["debug"] is True
    assert str(story.refused) in run("quarantine", "--store", story.store, "--reason", "DEBUG_ENCLAVE").out
    assert (
        run("quarantine", "--store", story.store, "--session", story.session, "--json").json["entries"][0]["what"]
        == "frame"
    )


def test_the_refused_bytes_can_be_had(story: Story, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "intaglio", "quarantine", str(story.refused), "--raw", "--store", str(story.store)]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    (tmp_path / "hello").write_bytes(raw)
    assert run("inspect", tmp_path / "hello", "--json").json["kind"] == "hello"


@pytest.mark.parametrize("command", ["records", "sessions", "quarantine"])
def test_a_store_that_is_not_there_is_a_usage_error(tmp_path: Path, command: str) -> None:
    ran = run(command, "--store", tmp_path)
    assert (ran.status, ran.out) == (2, "")
    assert "--store" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_reading_a_store_changes_nothing_in_it(story: Story) -> None:
    before = (story.store / "gateway.db").read_bytes()
    for command in ("records", "sessions", "quarantine"):
        run(command, "--store", story.store)
    assert (story.store / "gateway.db").read_bytes() == before


def test_a_pipe_that_closes_early_is_no_traceback(story: Story) -> None:
    command = f"{sys.executable} -m intaglio records --limit 0 --json --store {story.store} | head -n 1"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - our own text
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--keystore", "absent.key"], "intaglio keygen absent"),
        (["--policy", "absent.toml"], "absent.toml"),
        (["--key-file", "stranger.secret"], "wrong key file"),
        (["--listen", "nowhere"], "HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "HOST:PORT"),
        (["--offer-lifetime", "soon"], "duration"),
        (["--epoch0-limit", "few"], "unlimited"),
        (["--collateral", "absent"], "absent"),
        (["--pcs", "ftp://pcs"], "ftp://pcs"),
        (["--lab", "LAB/root.pem"], "--pcs"),
        (["--lab", "dc.pub", "--pcs", "http://127.0.0.1:1"], "root certificate"),
    ],
)
def test_serve_starts_with_everything_right_or_not_at_all(
    story: Story, lab_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: list[str], says: str
) -> None:
    monkeypatch.chdir(story.folder)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    given = {"--policy": "policy.toml", "--keystore": "dc.key", "--key-file": "dc.secret", "--listen": "127.0.0.1:0"}
    change = [part.replace("LAB", str(lab_folder)) for part in change]
    given |= dict(zip(change[::2], change[1::2], strict=True))
    ran = run("serve", "--store", tmp_path / "store", *[part for pair in given.items() for part in pair])
    assert (ran.status, ran.out) == (2, ""), ran.err
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


def test_run_needs_what_it_names(workshop: Path, lab_folder: Path) -> None:
    script, nowhere = workshop / "meter.py", "http://127.0.0.1:1"
    for given, status in (
        (["absent.py", "-d", nowhere, "--lab", lab_folder], 2),
        ([script, "-d", nowhere, "--lab", workshop], 2),
        ([script, "-d", nowhere, "--lab", lab_folder, "--platform", "omega"], 2),
        ([script, "-d", nowhere, "--lab", lab_folder, "--call", "get_size [1"], 2),
        ([script, "-d", nowhere, "--lab", lab_folder, "--call", "get_size 1"], 2),
        ([script, "-d", nowhere, "--lab", lab_folder, "--call", "get_size"], 1),
        ([script, "-d", "nonsense", "--lab", lab_folder, "--call", "get_size"], 2),
        ([script], 2),
    ):
        ran = run("run", *given)
        assert ran.status == status, (given, ran.err)
        assert "Traceback" not in ran.err


def test_calls_are_a_name_and_json() -> None:
    assert parse_call("get_size") == ("get_size", [], {})
    assert parse_call(' add [1, "a b"] ') == ("add", [1, "a b"], {})
    assert parse_call('set {"size": 3}') == ("set", [], {"size": 3})


def test_a_lab_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    assert run("lab", "init", folder, "--platform", "one", "--platform", "two").status == 0
    assert sorted(path.stem for path in (folder / "platforms").iterdir()) == ["one", "two"]
    before = (folder / "root.pem").read_bytes()
    again = run("lab", "init", folder)
    assert (again.status, (folder / "root.pem").read_bytes()) == (2, before)
    assert run("lab", "init", tmp_path / "other", "--platform", "../x").status == 2
    assert run("lab", "pcs", tmp_path / "other").status == 2


def test_an_offer_from_a_file(story: Story, tmp_path: Path) -> None:
    assert run("offer", tmp_path / "absent").status == 2
    garbage = tmp_path / "garbage"
    garbage.write_bytes(os.urandom(200))
    assert run("offer", garbage).status == 1
    assert run("offer", garbage, "--json").json["reason"] == "MALFORMED_MESSAGE"
    assert run("offer", "http://127.0.0.1:1").status == 1
