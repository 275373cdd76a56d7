"""The procedure for SEV-SNP reports: its steps and their documentation."""

from intaglio.verify.snp import PROCEDURE
from tests.conftest import ROOT


def test_steps_are_numbered_in_their_order() -> None:
    assert [step.number for step in PROCEDURE] == [f"S{number}" for number in (*range(1, 22),)]
    assert len(PROCEDURE) == len(set(PROCEDURE))


def test_the_documentation_lists_every_check_with_its_sentence() -> None:
    text = (ROOT / "docs" / "verification.md").read_text()
    for step in PROCEDURE:
        assert f"| {step.number} | {step.name} | {step.expected} |" in text
