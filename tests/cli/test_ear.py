"""`verify --ear` and `ear show`: from evidence to a token that somebody else can check."""

from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from intaglio.cli.app import app
from intaglio.cli.ear_text import meaning
from intaglio.gateway.keystore import Keystore
from intaglio.gateway.sealed_file import KeyFile
from intaglio.sim.draft import Draft
from intaglio.sim.loader import image_of
from intaglio.sim.world import Lab
from intaglio.wire.ear import Claim
from tests.cli.conftest import NOON, Ran, run


class Place(NamedTuple):
    """A data centre with evidence of a lab's enclave, for which it has a policy."""

    folder: Path
    lab: Path

    def verify(self, *more: object) -> Ran:
        given = ["verify", self.folder / "quote.bin", "--collateral", self.folder / "collateral.json", "--at", NOON]
        return run(*given, "--lab", self.lab / "root.pem", "--policy", self.folder / "policy.toml", *more)

    def signed(self, form: str, *more: object) -> Path:
        """The token in a file: its bytes, which `run` would read as text."""
        given: list[object] = ["verify", self.folder / "quote.bin", "--collateral", self.folder / "collateral.json"]
        given += ["--at", NOON, "--lab", self.lab / "root.pem", "--policy", self.folder / "policy.toml"]
        arguments = [str(argument) for argument in (*given, *self.key(form), *more)]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        path = self.folder / f"ear.{form}"
        path.write_bytes(result.stdout_bytes)
        return path

    def key(self, form: str) -> list[object]:
        return ["--ear", form, "--sign-with", self.folder / "dc.key", "--key-file", self.folder / "dc.secret"]

    @property
    def pin(self) -> list[object]:
        return ["--pin", self.folder / "dc.pub"]


@pytest.fixture
def place(workshop: Path, lab_folder: Path) -> Place:
    made = Draft.of(Lab.open(lab_folder), image_of(workshop / "meter.py"), NOON).build()
    (workshop / "quote.bin").write_bytes(made.quote)
    (workshop / "collateral.json").write_bytes(made.collateral.encode_json())
    (workshop / "policy.toml").write_text(run("measure", workshop / "meter.py").out)
    return Place(workshop, lab_folder)


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intaglio.cli.ear.time.time", lambda: float(NOON))


@pytest.mark.parametrize("form", ["jwt", "cwt"])
def test_a_token_is_written_and_shown(place: Place, noon: None, form: str) -> None:
    token = place.signed(form)
    ran = run("ear", "show", token, *place.pin)
    assert (ran.status, ran.err) == (0, "")
    assert "signed by the pinned data centre" in ran.out
    # A lab's evidence is accepted here, and still proves nothing about hardware.
    assert "CONTRAINDICATED" in ran.out
    assert "hardware              96  contraindicated: recognised, and not trustworthy" in ran.out
    assert "executables            3  affirming: only approved code at boot" in ran.out
    shown = run("ear", "show", token, *place.pin, "--json").json
    assert (shown["form"], shown["checked"], shown["reason"], shown["status"]) == (form, True, None, "contraindicated")
    assert shown["claims"]["submods"]["sgx"]["ear_veraison_policy_claims"]["workload"] == "meter"
    assert shown["claims"]["iss"] == "dc"


@pytest.mark.parametrize("form", ["jwt", "cwt"])
def test_an_anonymous_token(place: Place, noon: None, form: str) -> None:
    claims = run("ear", "show", place.signed(form, "--anonymous"), "--json").json["claims"]["submods"]["sgx"]
    assert "ear_veraison_annotated_evidence" not in claims
    assert "eat_nonce" not in claims


def test_without_a_pin_nothing_is_believed(place: Place, noon: None) -> None:
    ran = run("ear", "show", place.signed("jwt"))
    assert ran.status == 0
    assert "NOT CHECKED" in ran.out


def test_a_token_of_another_data_centre_is_refused(place: Place, noon: None, tmp_path: Path) -> None:
    token = place.signed("cwt")
    assert run("keygen", "other", "--out", tmp_path, "--key-file", tmp_path / "other.secret").status == 0
    ran = run("ear", "show", token, "--pin", tmp_path / "other.pub")
    assert ran.status == 1
    assert "RESULT_SIGNATURE" in ran.out
    assert run("ear", "show", token, "--pin", tmp_path / "other.pub", "--json").json["reason"] == "RESULT_SIGNATURE"


def test_an_expired_token_is_refused(place: Place) -> None:
    token = place.signed("jwt")  # issued now, of evidence judged as of NOON, which is over
    ran = run("ear", "show", token, *place.pin, "--json")
    assert (ran.status, ran.json["reason"]) == (1, "RESULT_EXPIRED")
    assert "it has expired" in run("ear", "show", token).err


def test_tokens_in_other_armour(place: Place, noon: None) -> None:
    token = place.signed("cwt").read_bytes()
    assert run("ear", "show", "-", *place.pin, stdin=token.hex().encode()).status == 0
    assert run("ear", "show", "-", *place.pin, stdin=b"\n" + place.signed("jwt").read_bytes() + b"\n").status == 0


@pytest.mark.parametrize("form", ["jwt", "cwt"])
def test_whoever_takes_a_token_for_evidence_is_told_so(place: Place, noon: None, form: str) -> None:
    token = place.signed(form)
    assert f"attestation result ({form.upper()}), which is no evidence" in run("verify", token).err
    ran = run("inspect", token, "--json")
    assert ran.status == 0
    assert "contraindicated" in ran.out


def test_the_verdict_still_decides_the_exit_status(place: Place) -> None:
    assert place.verify(*place.key("jwt"), "--at", NOON + 400 * 86400).status == 1
    assert run("verify", place.folder / "quote.bin", *place.key("jwt")).status in (1, 3)


def test_what_does_not_go_together_is_a_usage_error(place: Place, tmp_path: Path) -> None:
    key = place.key("jwt")
    for given in (["--ear", "jwt"], [*key, "--json"], ["--sign-with", "dc.key"], ["--anonymous"], place.key("xml"),
                  ["--ear", "jwt", "--sign-with", tmp_path / "absent", *key[-2:]]):  # fmt: skip
        ran = place.verify(*given)
        assert (ran.status, ran.out) == (2, ""), given
        assert ran.err


def test_an_operational_key_signs_no_results(place: Place, tmp_path: Path) -> None:
    secret = KeyFile(place.folder / "dc.secret")
    delegated = tmp_path / "delegated.key"
    Keystore.open(place.folder / "dc.key", secret).delegate(delegated, secret, epoch_from=0, epoch_to=2**40)
    ran = place.verify("--ear", "jwt", "--sign-with", delegated, "--key-file", place.folder / "dc.secret")
    assert ran.status == 1
    assert "the identity key is not in this keystore" in ran.err


@pytest.mark.parametrize("data", [b"", b"a.b.c", b"hello", b"\xd2\x84", bytes(100), b"e30.e30.e30"])
def test_what_is_no_token(data: bytes) -> None:
    ran = run("ear", "show", "-", stdin=data)
    assert (ran.status, ran.out) == (1, "")
    assert "Traceback" not in ran.err


def test_every_value_has_words() -> None:
    for claim in Claim:
        for value in range(-128, 128):
            assert meaning(claim, value)
