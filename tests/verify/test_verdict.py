"""Verdicts: who may make one, what it says, and what it costs to ask."""

import ast
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from itertools import product
from pathlib import Path

import pytest

from intaglio.reasons import Reason
from intaglio.sim.draft import Draft
from intaglio.types import UnixTime
from intaglio.verify import dcap
from intaglio.verify import procedure as steps
from intaglio.verify.cache import Recent
from intaglio.verify.dcap import PROCEDURE, TDX_PROCEDURE, DcapVerifier
from intaglio.verify.ledger import Ledger, Step
from intaglio.verify.roots import Roots
from intaglio.verify.tcb import merge
from intaglio.verify.verdict import Outcome, TcbStatus, Verdict, evidence_hash
from intaglio.wire.cbor import digest
from intaglio.wire.collateral import EnclaveTcbLevel, TcbLevel
from tests.conftest import ROOT
from tests.verify.conftest import NOON, judge

SOURCES = ROOT / "src" / "intaglio"


def test_nobody_else_makes_a_verdict(draft: Draft) -> None:
    verdict = judge(draft.build())
    with pytest.raises(TypeError, match="only intaglio"):
        Verdict(*[*(getattr(verdict, name) for name in Verdict.__slots__), object()])
    with pytest.raises((ValueError, TypeError), match="seal"):  # which one depends on the Python
        replace(verdict, genuine=True)  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError):
        verdict.genuine = True  # type: ignore[misc]


def test_only_verify_imports_the_maker() -> None:
    """The token is a convention of this language, so the convention is checked."""
    for path in SOURCES.rglob("*.py"):
        if path.parent.name == "verify":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "intaglio.verify.verdict":
                assert not {alias.name for alias in node.names} & {"issue", "_SEAL", "*"}, _shown(path)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_json_says_everything_and_is_json(draft: Draft) -> None:
    verdict = judge(draft.build())
    found = json.loads(json.dumps(verdict.to_json()))
    assert found["tee"] == "sgx"
    assert found["genuine"] is True
    assert found["verdict"] is None
    assert found["reasons"] == []
    assert found["tcb_status"] == "UpToDate"
    assert found["advisory_ids"] == []
    assert found["simulated"] is True
    assert found["tcb_evaluation_number"] == 19
    assert len(found["checks"]) == len(PROCEDURE)
    assert {check["outcome"] for check in found["checks"]} == {"ok"}
    assert found["identity"]["mr_enclave"] == draft.body.mr_enclave.hex()
    assert found["platform"]["ppid"] == draft.machine.record.facts.ppid.hex()


def test_every_step_has_its_number_and_sentence() -> None:
    for procedure, own in ((PROCEDURE, (27, 29, 30)), (TDX_PROCEDURE, (*range(26, 30), 31))):
        assert {step.number for step in procedure} == {str(n) for n in (*range(1, 26), *own)}
        assert len(procedure) == len(set(procedure))
        assert all(step.name and step.expected for step in procedure)


def test_evidence_is_hashed_with_its_label() -> None:
    for size in (0, 1, 23, 24, 255, 256, 4_600, 65_535, 65_536):
        assert evidence_hash(bytes(size)) == digest("evidence", bytes(size))


def test_a_failed_check_says_what_was_expected_and_found(draft: Draft) -> None:
    draft.tcb_info.content["fmspc"] = "0123456789AB"
    failed = [check for check in judge(draft.build()).checks if check.outcome is Outcome.FAILED]
    assert [(check.number, check.reason) for check in failed] == [("17", Reason.COLLATERAL_MISMATCH)]
    assert "0123456789ab" in failed[0].found
    assert draft.machine.record.fmspc in failed[0].expected


def test_a_step_is_recorded_once_and_a_failure_stays() -> None:
    step = PROCEDURE[0]
    ledger = Ledger()
    ledger.fail(step, Reason.MALFORMED_EVIDENCE, "short")
    ledger.ok(step)
    assert not ledger.passed(step)
    assert ledger.genuine(frozenset(PROCEDURE)) is False
    other = Ledger()
    other.ok(step)
    with pytest.raises(KeyError):
        ledger.take(other)


def test_a_step_that_was_not_recorded_never_counts_as_passed() -> None:
    ledger = Ledger()
    for step in PROCEDURE[:-1]:
        ledger.ok(step)
    assert ledger.genuine(frozenset(PROCEDURE)) is None
    ledger.ok(PROCEDURE[-1])
    assert ledger.genuine(frozenset(PROCEDURE)) is True


@pytest.mark.parametrize("removed", PROCEDURE, ids=lambda step: f"{step.number} {step.name}")
def test_every_check_is_needed(draft: Draft, removed: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever check did not run, the verdict is not genuine."""
    record = Ledger.ok

    def forgetful(self: Ledger, step: Step, found: object = None) -> None:
        if step is not removed:
            record(self, step, found)

    monkeypatch.setattr(Ledger, "ok", forgetful)
    holds = Ledger()
    for step in (steps.HEADER, steps.VERSION, steps.BODY, steps.AUTHENTICATION, steps.LAYOUT, steps.LENGTHS):
        holds.ok(step)
    monkeypatch.setattr(dcap, "_FORMAT_HOLDS", holds)
    assert judge(draft.build()).genuine is not True


def test_merged_status_is_never_better_than_either() -> None:
    """Check 27, over all pairs."""
    date = UnixTime(0)
    platforms = [status for status in TcbStatus if status is not TcbStatus.NOT_SUPPORTED]
    for platform, enclave in product(platforms, platforms):
        level = TcbLevel(bytes(16), 0, b"", date, platform, ("A", "B"))
        tcb = merge(level, EnclaveTcbLevel(0, UnixTime(1), enclave, ("B", "C")))
        assert tcb.advisory_ids == ("A", "B", "C")
        assert tcb.date == date
        if TcbStatus.REVOKED in (platform, enclave):
            assert tcb.status is TcbStatus.REVOKED
        elif enclave is TcbStatus.UP_TO_DATE:
            assert tcb.status is platform
        else:
            assert tcb.status not in (TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED)


@pytest.mark.parametrize(
    ("platform", "merged"),
    [
        (TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE),
        (TcbStatus.SW_HARDENING_NEEDED, TcbStatus.OUT_OF_DATE),
        (TcbStatus.CONFIGURATION_NEEDED, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED),
        (TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED),
        (TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE),
        (TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED),
    ],
)
def test_an_outdated_quoting_enclave_outdates_its_platform(platform: TcbStatus, merged: TcbStatus) -> None:
    enclave = EnclaveTcbLevel(0, UnixTime(0), TcbStatus.OUT_OF_DATE, ())
    assert merge(TcbLevel(bytes(16), 0, b"", UnixTime(0), platform, ()), enclave).status is merged


def test_no_level_is_not_supported_and_revoked_wins_over_it() -> None:
    current = EnclaveTcbLevel(0, UnixTime(0), TcbStatus.UP_TO_DATE, ())
    revoked = EnclaveTcbLevel(0, UnixTime(0), TcbStatus.REVOKED, ())
    assert merge(None, current).status is TcbStatus.NOT_SUPPORTED
    platform = TcbLevel(bytes(16), 0, b"", UnixTime(0), TcbStatus.UP_TO_DATE, ())
    assert merge(platform, None).status is TcbStatus.NOT_SUPPORTED
    assert merge(None, revoked).status is TcbStatus.REVOKED


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    recent: Recent[int] = Recent(3)
    for number in range(5):
        recent.put(bytes([number]), number)
        recent.get(b"\2")
    assert len(recent) == 3
    assert recent.get(b"\2") == 2
    assert recent.get(b"\1") is None


def test_nothing_that_failed_is_remembered(draft: Draft) -> None:
    """A stranger's certificates and keys must not push out those of real platforms."""
    evidence = draft.build()
    strangers = DcapVerifier(Roots.production())
    for number in range(20):
        strangers.verify(evidence.quote + bytes(number), evidence.collateral, NOON)
    assert len(strangers._platforms) == 0
    assert len(strangers._certified) == len(strangers._attesters) == 0
    assert len(strangers._authorities.pairs) == 0
    known = DcapVerifier(Roots.lab(evidence.root))
    for at in range(700, 900):
        edited = bytearray(evidence.quote)
        edited[at] ^= 1
        known.verify(bytes(edited), evidence.collateral, NOON)
    assert len(known._certified) == len(known._attesters) == 0


def test_two_threads_share_a_verifier(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcap, "MAX_PLATFORMS", 1)
    monkeypatch.setattr(dcap, "MAX_COLLATERALS", 1)
    evidence = draft.build()
    draft.edits.append(lambda quote: quote[:112] + bytes((quote[112] ^ 1,)) + quote[113:])
    forged = draft.build()
    verifier = DcapVerifier(Roots.lab(evidence.root))

    def work(number: int) -> bool | None:
        chosen = evidence if number % 2 else forged
        if number % 5 == 0:
            verifier.forget_platforms()
        return verifier.verify(chosen.quote, chosen.collateral, NOON).genuine

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(400))) == [bool(number % 2) for number in range(400)]


def test_the_documentation_lists_every_check_with_its_sentence() -> None:
    text = (ROOT / "docs" / "verification.md").read_text()
    for step in (*PROCEDURE, *TDX_PROCEDURE):
        assert f"| {step.number} | {step.name} | {step.expected} |" in text


def test_the_documentation_names_only_reasons_that_exist() -> None:
    text = (ROOT / "docs" / "verification.md").read_text()
    named = {word.strip("`,()| ") for word in text.split() if word.strip(",()| ").startswith("`")}
    reasons = {name for name in named if name.isupper() and "_" in name and name.replace("_", "").isalpha()}
    assert reasons
    assert reasons <= set(Reason.__members__)
