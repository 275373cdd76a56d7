"""`measure` writes policy that `policy check` and the gateway read."""

from pathlib import Path

import pytest

from intaglio.sim.loader import measure
from intaglio.sim.signing import EnclaveTerms, generate_vendor_key, sign_enclave
from intaglio.types import Measurement
from intaglio.verify.policy import Policy
from intaglio.verify.rules.rule import OneOf
from tests.cli.conftest import NOON, run


def test_what_measure_prints_is_a_policy_that_names_the_measurement(workshop: Path) -> None:
    ran = run("measure", workshop / "meter.py")
    assert ran.status == 0
    workload = Policy.parse(ran.out).workload("meter")
    named = workload.rule("mr_enclave")
    assert isinstance(named, OneOf)
    assert named.allowed.values == {measure(workshop / "meter.py")}
    assert workload.dangers == []
    assert "dc.pub" in ran.err


def test_every_measured_file_counts(workshop: Path) -> None:
    before = run("measure", workshop / "meter.py").out
    (workshop / "tariffs.json").write_text("{}")
    trusted = run("measure", workshop / "meter.py", "--trust", workshop / "tariffs.json").out
    (workshop / "dc.pub").write_text("another pin")
    assert len({before, trusted, run("measure", workshop / "meter.py").out}) == 3


def test_a_missing_pin_is_pointed_out(workshop: Path) -> None:
    (workshop / "dc.pub").unlink()
    ran = run("measure", workshop / "meter.py")
    assert ran.status == 0
    assert "no dc.pub is measured" in ran.err


def test_a_sigstruct_must_sign_this_measurement(workshop: Path) -> None:
    key, signature = generate_vendor_key(), workshop / "meter.sig"
    right = measure(workshop / "meter.py")
    for mr_enclave, status in ((right, 0), (Measurement(bytes(32)), 2)):
        signed = sign_enclave(key, mr_enclave, EnclaveTerms(), now=NOON)
        signature.write_bytes(signed.encode())
        ran = run("measure", workshop / "meter.py", "--sigstruct", signature)
        assert ran.status == status
        assert (signed.mr_signer.hex() in ran.out) == (status == 0)
    signature.write_bytes(b"no signature")
    assert run("measure", workshop / "meter.py", "--sigstruct", signature).status == 2


@pytest.mark.parametrize(
    "arguments", [["nowhere.py"], ["meter.py", "--name", "two words"], ["meter.py", "--trust", "x"]]
)
def test_what_cannot_be_measured_is_a_usage_error(
    workshop: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workshop)
    ran = run("measure", *arguments)
    assert ran.status == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1


def test_a_good_policy_is_valid(workshop: Path) -> None:
    policy = workshop / "policy.toml"
    policy.write_text(run("measure", workshop / "meter.py").out)
    assert run("policy", "check", policy).status == 0
    shown = run("policy", "check", policy, "--json")
    assert shown.json["valid"]
    assert shown.json["hash"] == Policy.parse(policy.read_bytes()).hash.hex()


def test_every_problem_of_a_policy_is_listed(workshop: Path) -> None:
    policy = workshop / "policy.toml"
    text = run("measure", workshop / "meter.py").out
    policy.write_text(text.replace("debug = false", "").replace("heartbeat", "hartbeat"))
    ran = run("policy", "check", policy)
    assert ran.status == 1
    for problem in ("debug: missing", "heartbeat: missing", "hartbeat: unknown key"):
        assert problem in ran.out
    assert len(run("policy", "check", policy, "--json").json["problems"]) == 3


def test_what_weakens_a_policy_is_pointed_out(workshop: Path) -> None:
    policy = workshop / "policy.toml"
    text = run("measure", workshop / "meter.py").out
    policy.write_text(text.replace("debug = false", "dangerous_allow_debug = true"))
    ran = run("policy", "check", policy)
    assert ran.status == 0
    assert "dangerous_allow_debug" in ran.out


def test_a_missing_policy_is_a_usage_error(tmp_path: Path) -> None:
    assert run("policy", "check", tmp_path / "none.toml").status == 2
