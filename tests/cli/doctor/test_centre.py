"""The doctor's look at a data centre: policy, keystore, collateral, disk, and the service it fetches from."""

import shutil
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

import pytest

from intaglio.cli.doctor.centre import Centre, examine_centre
from intaglio.cli.doctor.finding import Finding, Level
from intaglio.cli.doctor.pccs import probe
from intaglio.collateral.http import Response
from intaglio.errors import Unavailable
from intaglio.gateway.sealed_file import KeyFile
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from tests.cli.conftest import NOON, run
from tests.cli.doctor.machines import of

DAY = 86400


@pytest.fixture
def centre(workshop: Path, lab_folder: Path) -> Centre:
    """A data centre as it should be, with collateral of today."""
    (workshop / "policy.toml").write_text(run("measure", workshop / "meter.py").out, "utf-8")
    store = workshop / "store"
    (store / "collateral").mkdir(parents=True)
    (store / "gateway.db").touch()
    (store / "collateral" / "alpha.json").write_bytes(Lab.open(lab_folder).copy().collateral("alpha", NOON))
    secret = KeyFile(workshop / "dc.secret")
    return Centre(workshop / "policy.toml", workshop / "dc.key", secret, store)


def examined(centre: Centre, at: int = NOON) -> tuple[Finding, ...]:
    return tuple(examine_centre(centre, UnixTime(at)))


def remarkable(centre: Centre, at: int = NOON) -> list[tuple[Level, str]]:
    found = [each for each in examined(centre, at) if each.level is not Level.OK]
    assert all(each.meaning and each.remedy for each in found)
    return [(each.level, each.subject.partition(" ")[0]) for each in found]


def test_a_good_data_centre_has_nothing_to_do(centre: Centre) -> None:
    assert remarkable(centre) == []
    assert any("opens; audience dc" in finding.found for finding in examined(centre))
    assert any("not opened" in finding.found for finding in examined(centre._replace(secret=None)))


def test_a_broken_policy_shows_every_problem(centre: Centre) -> None:
    assert centre.policy is not None
    text = centre.policy.read_text()
    centre.policy.write_text(text.replace("debug", "debugg", 1))
    assert len(remarkable(centre)) >= 2
    centre.policy.write_text(text.replace("debug = false", "dangerous_allow_debug = true"))
    assert remarkable(centre) == [(Level.WARNING, "policy")]
    centre.policy.unlink()
    assert remarkable(centre) == [(Level.PROBLEM, "policy")]
    assert remarkable(centre._replace(policy=Path("/dev/zero"))) == [(Level.PROBLEM, "policy")], "it has no end"


def test_a_keystore_that_others_may_read_is_a_problem(centre: Centre) -> None:
    assert centre.keystore is not None
    centre.keystore.chmod(0o644)
    for secret in (None, centre.secret):
        assert remarkable(centre._replace(secret=secret)) == [(Level.PROBLEM, "keystore")]
    centre.keystore.chmod(0o600)
    centre.keystore.write_bytes(centre.keystore.read_bytes()[:-1])
    assert remarkable(centre) == [(Level.PROBLEM, "keystore")]


@pytest.mark.parametrize(("days", "level"), [(0, None), (28, Level.WARNING), (31, Level.PROBLEM), (400, Level.PROBLEM)])
def test_collateral_that_nobody_refreshes(centre: Centre, days: int, level: Level | None) -> None:
    expected = [] if level is None else [(level, "collateral")]
    assert remarkable(centre, NOON + days * DAY) == expected


def test_collateral_that_cannot_be_read(centre: Centre) -> None:
    assert centre.store is not None
    (centre.store / "collateral" / "broken.json").write_text("{")
    assert remarkable(centre) == [(Level.PROBLEM, "collateral")]
    shutil.rmtree(centre.store / "collateral")
    assert remarkable(centre) == [(Level.WARNING, "collateral")]


class _Disk(NamedTuple):
    free: int


@pytest.mark.parametrize(("free", "level"), [(1 << 30, Level.WARNING), (1 << 20, Level.PROBLEM)])
def test_a_disk_that_is_nearly_full(centre: Centre, monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    monkeypatch.setattr("intaglio.cli.doctor.centre.shutil.disk_usage", lambda _: _Disk(free))
    assert remarkable(centre) == [(level, "disk")]


def test_a_store_that_is_none(centre: Centre, tmp_path: Path) -> None:
    assert centre.store is not None
    (centre.store / "gateway.db").unlink()
    assert remarkable(centre) == [(Level.WARNING, "store")]
    assert (Level.PROBLEM, "store") in remarkable(centre._replace(store=tmp_path / "absent"))


def test_the_command_examines_a_data_centre(centre: Centre, tmp_path: Path) -> None:
    given = ["--policy", centre.policy, "--keystore", centre.keystore, "--store", centre.store]
    ran = run("doctor", "--data-centre", *given, "--json")
    subjects = [each["subject"].partition(" ")[0] for each in ran.json["data_centre"]]
    assert subjects[:3] == ["policy", "keystore", "disk"]
    assert "clock" in subjects
    assert "host" not in ran.json
    assert run("doctor", "--data-centre", "--store", tmp_path / "absent").status == 1


# -- the PCCS --------------------------------------------------------------------------------------------------------

IDENTITY = b'{"enclaveIdentity":{"id":"QE"},"signature":"00"}'


def asked(answer: Response | Exception, url: str = "https://pccs.example:8081") -> tuple[list[str], list[Finding]]:
    """What was asked for, and what the probe found, at the time 1,000,000."""
    targets: list[str] = []

    def ask(base: str, target: str) -> Response:
        targets.append(base + target)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return targets, list(probe(url, lambda: 1_000_000.0, ask))


def at(seconds: float) -> Response:
    return Response({"date": formatdate(1_000_000 + seconds, usegmt=True)}, IDENTITY)


@pytest.mark.parametrize(
    "url",
    ["https://pccs.example:8081", "https://pccs.example:8081/", "https://pccs.example:8081/sgx/certification/v4/",
     "https://pccs.example:8081/sgx/certification/v3"],
)  # fmt: skip
def test_every_spelling_of_the_address_is_asked_the_same(url: str) -> None:
    targets, found = asked(at(0), url)
    assert targets == ["https://pccs.example:8081/sgx/certification/v4/qe/identity"]
    assert of(Level.OK, tuple(found)) == ["PCCS", "clock against the PCCS"]


@pytest.mark.parametrize(
    ("seconds", "level", "text"),
    [(30, Level.OK, "agree"), (120, Level.WARNING, "120 s behind"), (-7200, Level.PROBLEM, "7,200 s ahead of")],
)
def test_clocks_are_compared(seconds: int, level: Level, text: str) -> None:
    finding = asked(at(seconds))[1][-1]
    assert (finding.level, text in finding.found) == (level, True)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_server_without_a_date_is_not_compared(date: str) -> None:
    assert [each.subject for each in asked(Response({"date": date}, IDENTITY))[1]] == ["PCCS"]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("SSLCertVerificationError [SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", "install its CA"),
        ("SSLError [SSL: WRONG_VERSION_NUMBER]", "is it https"),
        ("HTTP 401 Unauthorized", "a key or a login"),
        ("HTTP 404 Not Found", "API v4"),
        ("gaierror [Errno -2] Name or service not known", "DNS"),
        ("ConnectionRefusedError [Errno 111] Connection refused", "firewalls"),
    ],
)
def test_a_service_that_does_not_answer(error: str, remedy: str) -> None:
    (finding,) = asked(Unavailable(error))[1]
    assert (finding.level, remedy in finding.remedy) == (Level.PROBLEM, True)


def test_something_else_answers() -> None:
    assert of(Level.PROBLEM, tuple(asked(Response({}, b"<html>"))[1])) == ["PCCS"]
    assert of(Level.PROBLEM, tuple(asked(ValueError("x: not http(s)://host[:port][/path]"))[1])) == ["PCCS"]


def test_nothing_listens() -> None:
    ran = run("doctor", "--data-centre", "--pccs", "http://127.0.0.1:9", "--json")
    assert (ran.status, [each["level"] for each in ran.json["network"]]) == (1, ["problem"])
