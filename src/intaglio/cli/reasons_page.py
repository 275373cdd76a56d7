"""`python -m intaglio.cli.reasons_page` prints docs/reasons.md: every reason on one page. A test holds it current."""

import sys
from collections.abc import Iterator

from intaglio.reasons import Area, Reason

__all__ = ["reasons_page"]

_INTRODUCTION = """\
# Reasons

Whatever Intaglio refuses, it refuses for a reason of this list. The names are stable: they stand in JSON, in quarantine
and in metrics. A host is told no more than the names of a hello's reasons; everything else is for the data centre.

`intaglio verify --explain` and `intaglio quarantine ID` print what stands here beside what was found. A retry helps
where the same bytes may pass later without anybody changing them. In commands, words in capitals are yours to replace.
This page is made by `python -m intaglio.cli.reasons_page`.
"""

_TITLES = {
    Area.HANDSHAKE: "Handshake: offers, hellos and Accepts",
    Area.FRAMES: "Frames: what a session carries",
    Area.EVIDENCE: "Evidence: is it genuine?",
    Area.POLICY: "Policy: is it the one that we want?",
    Area.RESULTS: "Attestation results: tokens for others",
    Area.LOCAL: "Local attestation: two enclaves on one machine",
    Area.SEALING: "Sealing: what an enclave keeps",
}


def reasons_page() -> str:
    """The whole page."""
    return "\n".join((_INTRODUCTION, *_index(), *(part for area in Area for part in _section(area))))


def _index() -> Iterator[str]:
    yield "| area | reasons |\n|---|---|"
    for area in Area:
        links = ", ".join(f"[{reason.name}](#{reason.name.lower()})" for reason in Reason if reason.area is area)
        yield f"| {area.name.lower()} | {links} |"
    yield ""


def _section(area: Area) -> Iterator[str]:
    yield f"## {_TITLES[area]}\n"
    for reason in Reason:
        if reason.area is area:
            yield _entry(reason)


def _entry(reason: Reason) -> str:
    known = reason.explanation
    rows = [
        ("usual cause", known.cause),
        ("who must act", known.actor.value),
        ("retry", "helps" if known.retryable else "does not help"),
        ("what to do", known.remedy),
    ]
    if known.command is not None:
        rows.append(("command", f"`{known.command}`"))
    table = "\n".join(f"| {name} | {text} |" for name, text in rows)
    return f"### {reason.name}\n\n{known.summary[0].upper()}{known.summary[1:]}.\n\n| | |\n|---|---|\n{table}\n"


if __name__ == "__main__":
    sys.stdout.write(reasons_page())
