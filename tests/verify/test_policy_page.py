"""docs/policy.md names every key, every line of a verdict and every reason, and its tables are policies."""

import re

import pytest

from intaglio.reasons import Reason
from intaglio.types import Tee
from intaglio.verify.policy import Policy, rules_of
from tests.conftest import ROOT
from tests.verify.policies import SUBJECTS, Subject
from tests.verify.test_policy_properties import asked_keys

PAGE = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
_TOML = re.compile(r"^```toml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SECTIONS = {Tee.SGX: "## SGX", Tee.TDX: "## TDX", Tee.SNP: "## SEV-SNP", Tee.NITRO: "## Nitro"}


def test_the_tables_of_the_page_are_policies() -> None:
    blocks = [block for block in _TOML.findall(PAGE) if block.startswith("[[accept]]")]
    policies = [Policy.parse(block) for block in blocks]
    assert {workload.tee for policy in policies for workload in policy.workloads} == set(Tee)
    assert all(workload.dangers == [] for policy in policies for workload in policy.workloads)


def test_the_list_with_windows_fits_into_a_table() -> None:
    (windows,) = (block for block in _TOML.findall(PAGE) if block.startswith("mr_enclave"))
    table = next(block for block in _TOML.findall(PAGE) if block.startswith("[[accept]]"))
    first = table.partition("\n[[accept]]")[0]
    (workload,) = Policy.parse(
        re.sub(r"^mr_enclave = .*\n", windows.replace("\\", r"\\"), first, flags=re.MULTILINE)
    ).workloads
    assert [window.note for rule in workload.rules for window in rule.windows][:2] == ["1.5", "1.4"]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.tee.value)
def test_every_key_is_on_the_page(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    own = PAGE[PAGE.index(_SECTIONS[subject.tee]) :]
    common = PAGE[: PAGE.index("## SGX")]
    for key in asked_keys(subject, monkeypatch):
        name = key.rpartition(".")[2]
        assert f"`{name}`" in own or f"`{name}`" in common or re.fullmatch(r"pcr\d+", name), key


@pytest.mark.parametrize("tee", Tee)
def test_every_line_of_a_verdict_is_on_the_page(tee: Tee) -> None:
    for step in rules_of(tee):
        assert f"| {step.number} | {step.name} | {step.expected} |" in PAGE


def test_the_page_names_only_reasons_that_exist() -> None:
    named = set(re.findall(r"`([A-Z]{3,}_[A-Z_]+)`", PAGE))
    assert len(named) >= 25
    assert named - set(Reason.__members__) <= {"PROVISION_KEY"}
