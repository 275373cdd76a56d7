"""The rules of the house that a linter can't see: what loads, what the package says of itself, what the core reads."""

import re
import subprocess
import sys
from pathlib import Path

import intaglio
from intaglio.reasons import Reason
from tests.conftest import ROOT

SOURCES = sorted((ROOT / "src" / "intaglio").rglob("*.py"))


def _modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_loads_nothing_that_opens_a_message() -> None:
    loaded = _modules_after("import intaglio")
    assert not {m for m in loaded if m.startswith(("intaglio.", "cryptography", "cbor2"))}


def test_every_public_name_resolves() -> None:
    for name in intaglio.__all__:
        assert getattr(intaglio, name) is not None


def test_the_host_loads_nothing_that_opens_a_message() -> None:
    loaded = _modules_after("import intaglio.host; from intaglio.host import Relay, launch")
    forbidden = ("intaglio.session", "intaglio.verify", "intaglio.attest", "intaglio.enclave", "cryptography")
    assert not {m for m in loaded if m.startswith(forbidden)}


def test_every_reason_says_what_happened_and_what_to_do() -> None:
    summaries = set()
    for reason in Reason:
        told = reason.explanation
        for text in (told.summary, told.cause, told.remedy):
            assert text, reason
            assert text == text.strip(), reason
            assert not text.endswith("."), reason
        summaries.add(told.summary)
    assert len(summaries) == len(list(Reason)), "two reasons with one summary can't be told apart"


def test_the_core_reads_no_clock() -> None:
    clock = re.compile(r"\b(now|utcnow|today|time_ns|monotonic|perf_counter)\(")
    for path in SOURCES:
        if path.relative_to(ROOT / "src" / "intaglio").parts[0] in {"wire", "verify", "session", "sigma", "ratls"}:
            assert not clock.search(path.read_text(encoding="utf-8")), path


def test_no_file_and_no_function_has_outgrown_its_idea() -> None:
    long = [str(p.relative_to(ROOT)) for p in SOURCES if len(p.read_text(encoding="utf-8").splitlines()) > 400]
    # The enumeration of reasons is one table; it is long because it is complete.
    assert set(long) <= {"src/intaglio/reasons.py"}


def test_versions_agree() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{intaglio.__version__}"' in project


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    for path in SOURCES:
        found = marks.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path}: {found}"


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / Path(target)).exists(), f"{page.name}: {target}"
