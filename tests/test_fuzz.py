"""Every fuzz target, briefly and the same each time; and no reader without one."""

import ast
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import pytest

from fuzz.forge import Forgery, forge, script_of
from fuzz.forge_dcap import dcap_forgeries
from fuzz.forge_others import ias_forgeries, local_forgeries, nitro_forgeries, snp_forgeries
from fuzz.mutation import mutations
from fuzz.registry import ALL
from fuzz.verifiers import judge, policies
from intaglio.verify.verdict import Decision
from tests.conftest import ROOT

WIRE = ROOT / "src" / "intaglio" / "wire"
READER_NAMES = ("parse", "read", "from_", "loads", "decode", "split_", "members", "signed_body", "detect", "open")

FORGERIES = (dcap_forgeries, snp_forgeries, nitro_forgeries, ias_forgeries, local_forgeries)


@pytest.mark.parametrize("name", ALL)
def test_the_invariant_holds_for_seeds_and_mutations(name: str) -> None:
    each = ALL[name]
    seeds = each.seeds()
    assert seeds
    for data in mutations(seeds, each.short_run, zlib.crc32(name.encode())):
        each.run(data)


def test_every_target_states_its_invariant() -> None:
    stated = [each.invariant for each in ALL.values()]
    assert [line for line in stated if len(line) < 20 or not line.endswith(".")] == []
    assert len(set(stated)) == len(stated)


@pytest.mark.parametrize("forgeries", FORGERIES, ids=lambda each: each.__name__)
def test_what_nobody_edited_is_genuine_and_acceptable(forgeries: Callable[[], Sequence[Forgery]]) -> None:
    """Otherwise edits of it would say nothing."""
    accepted = False
    for which in range(len(forgeries())):
        made = forge(forgeries(), script_of(forgeries(), which))
        verdict = judge(*made)
        assert verdict is not None
        assert verdict.genuine is True
        for chain in policies():
            decided = [policy.appraise(verdict, report_data=None, pin_hash=None).decision for policy in chain]
            accepted = accepted or Decision.ACCEPTED in decided
    assert accepted == (forgeries not in (ias_forgeries, local_forgeries)), "policies speak of four TEEs"


def test_mutations_are_the_same_each_time() -> None:
    seeds = [bytes(range(100)), b"", b"{}"]
    assert list(mutations(seeds, 200, 7)) == list(mutations(seeds, 200, 7))


def public_readers() -> Iterator[tuple[str, int, str]]:
    """File, line and name of each public function and method of intaglio.wire that is named like a reader."""
    for path in sorted(WIRE.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        owned = [("", tree.body), *((f"{each.name}.", each.body) for each in classes if each.name[0] != "_")]
        for owner, body in owned:
            for node in body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith(READER_NAMES):
                    yield path.name, node.lineno, owner + node.name


@contextmanager
def entered() -> Iterator[set[tuple[str, str]]]:
    """The functions that are entered in the meantime, by file and qualified name."""
    found: set[tuple[str, str]] = set()
    seen: set[CodeType] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code not in seen:
            seen.add(code)
            found.add((code.co_filename, code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield found
    finally:
        sys.setprofile(before)


def test_every_reader_has_a_target() -> None:
    """A new format can't be forgotten: whatever reads a stranger's bytes is fed by some target."""
    with entered() as called:
        for each in ALL.values():
            for seed in each.seeds():
                each.run(seed)
    modules = {file for file, _ in called}
    missing = [str(path) for path in WIRE.glob("*.py") if refuses(path) and str(path) not in modules]
    missing += [
        f"{file}:{line} {name}" for file, line, name in public_readers() if (str(WIRE / file), name) not in called
    ]
    assert not missing, "no fuzz target (fuzz/reports.py, endorsements.py, messages.py) feeds these readers"


def refuses(path: Path) -> bool:
    return "raise Malformed" in path.read_text(encoding="utf-8")
