"""The ProVerif models: what is expected of them is complete, a broken protocol is expected to fail, and where ProVerif
is on this machine the results are these."""

import re
import subprocess
import sys

import pytest

from proofs import run
from tests.conftest import ROOT

MODELS = run.models()
RESULTS = {"true", "false", "cannot be proved"}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_is_made_of_what_exists_and_expects_something_of_each_query(model: run.Model) -> None:
    text = run.composed(model)
    assert len(re.findall(r"^query ", text, re.MULTILINE)) == len(model.expect) > 0
    assert set(model.expect.values()) <= RESULTS


def test_every_query_rule_and_variant_is_used() -> None:
    swaps = [(rule, variant) for model in MODELS for rule, variant in model.swap.items()]
    assert {name for model in MODELS for name in model.expect} == run.named("queries.pv").keys()
    assert {rule for rule, _ in swaps} == run.named("rules.pv").keys()
    assert {variant for _, variant in swaps} == run.named("broken.pv").keys()


def test_every_broken_variant_fails_a_query_that_the_protocol_passes() -> None:
    passed = {name for model in MODELS if not model.swap for name, result in model.expect.items() if result == "true"}
    broken = [model for model in MODELS if model.name.startswith("broken_")]
    assert {v for model in broken for v in model.swap.values()} == run.named("broken.pv").keys() - {"late_leaks"}
    for model in broken:
        assert any(model.expect[name] == "false" for name in passed & model.expect.keys()), model.name


def test_what_must_be_false_says_so_and_nothing_else_of_the_protocol_is() -> None:
    text = (run.HERE / "queries.pv").read_text(encoding="utf-8")
    said = {
        name
        for name, why in re.findall(r"^\(\* (\w+): (.*?)\*\)", text, re.MULTILINE | re.DOTALL)
        if "ust be false" in why
    }
    ours = [model for model in MODELS if not model.name.startswith("broken_")]
    assert {name for model in ours for name, result in model.expect.items() if result != "true"} == said


def test_every_query_and_model_is_explained() -> None:
    page = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
    for name in [*run.named("queries.pv"), *run.named("broken.pv"), *run.named("rules.pv")]:
        assert f"`{name}`" in page, name


def test_without_proverif_nothing_is_claimed() -> None:
    code = [sys.executable, "-m", "proofs.run"]
    environment = {"PROVERIF": "no-such-program", "PATH": ""}
    ran = subprocess.run(code, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == run.NO_PROVERIF
    assert ran.stdout.startswith("NOTHING WAS PROVED")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_proverif_agrees(model: run.Model) -> None:
    binary = run.proverif()
    if binary is None:  # no package carries it, so CI can't ask for it
        pytest.skip("proverif is not on PATH")
    assert run.outcomes(model, binary) == dict(model.expect)
