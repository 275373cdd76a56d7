"""docs/reasons.md is the enumeration, and what a reason says to type can be typed."""

import re
import shlex

from intaglio.cli.reasons_page import reasons_page
from intaglio.reasons import Area, Reason
from tests.conftest import ROOT
from tests.test_documents import parse


def test_the_page_is_current() -> None:
    written = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
    assert written == reasons_page(), "run: python -m intaglio.cli.reasons_page > docs/reasons.md"


def test_every_reason_has_its_entry_and_its_link() -> None:
    page = reasons_page()
    for reason in Reason:
        assert page.count(f"\n### {reason.name}\n") == 1
        assert page.count(f"[{reason.name}](#{reason.name.lower()})") == 1


def test_sections_follow_each_other_as_in_the_enumeration() -> None:
    areas = [reason.area for reason in Reason]
    assert list(dict.fromkeys(areas)) == list(Area)
    assert areas == sorted(areas, key=list(Area).index)
    assert (Reason.REPLAY.area, Reason.QUOTE_SIGNATURE.area) == (Area.FRAMES, Area.EVIDENCE)


def test_no_text_breaks_out_of_its_table() -> None:
    for reason in Reason:
        known = reason.explanation
        for text in (known.summary, known.cause, known.remedy, known.command or "x"):
            assert not re.search(r"[|\n`<]", text), reason


def test_every_command_that_a_reason_names_exists() -> None:
    named = [(reason, reason.explanation.command) for reason in Reason if reason.explanation.command]
    assert len(named) >= 15
    for reason, command in named:
        program, *arguments = shlex.split(command)
        assert program == "intaglio", reason
        problem = parse(arguments)
        assert problem is None, f"{reason.name}: {command}: {problem}"
