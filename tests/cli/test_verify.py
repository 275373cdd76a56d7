"""`verify`: exit status and JSON for evidence of real hardware, of a lab, of nothing at all."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from intaglio.sim.draft import Draft
from intaglio.sim.faults import FAULTS
from intaglio.sim.loader import image_of
from intaglio.sim.world import Lab
from tests.cli.conftest import NOON, run
from tests.conftest import missing, vector_cases

CASES = vector_cases("sgx") + vector_cases("tdx")
KEYS = {"tee", "genuine", "tcb_status", "advisory_ids", "verdict", "reasons", "checks"}


def cases(prefix: str) -> list[Any]:
    found = [c for c in CASES if c.name.startswith(prefix)] if prefix else _genuine()
    return [pytest.param(c, id=c.name) for c in found] or [pytest.param(None, id="no vectors")]


def _genuine() -> list[Path]:
    """One of each quote, the newest: the whole set is for the verifier's own tests."""
    newest = {c.name.partition("--")[0]: c for c in CASES if not c.name.startswith(("NEG-", "QUOTEONLY-"))}
    return list(newest.values())


def arguments(case: Path | None) -> list[object]:
    if case is None:
        missing("vectors of real SGX and TDX evidence")
    known = json.loads((case / "case.json").read_bytes())
    given: list[object] = [case / "quote.bin", "--json"]
    if (case / "collateral.json").exists():
        given += ["--collateral", case / "collateral.json"]
    return given + (["--at", known["time"]] if known["time"] else [])


@pytest.mark.parametrize("case", cases(""))
def test_genuine_evidence(case: Path | None) -> None:
    ran = run("verify", *arguments(case))
    assert ran.status == 0
    assert ran.json.keys() >= KEYS
    assert case is not None
    tee = json.loads((case / "case.json").read_bytes())["tee"]
    assert (ran.json["tee"], ran.json["genuine"], ran.json["verdict"]) == (tee, True, None)
    assert ran.json["tcb_status"]
    assert run("verify", *[a for a in arguments(case) if a != "--json"]).out.count("\nGENUINE") == 1


@pytest.mark.parametrize("case", cases("NEG-"))
def test_altered_evidence(case: Path | None) -> None:
    ran = run("verify", *arguments(case))
    assert ran.status == (3 if ran.json["genuine"] is None else 1)
    assert ran.json["genuine"] is not True
    assert ran.json["reasons"]
    assert ran.json["tcb_status"] is None


@pytest.mark.parametrize("case", cases("QUOTEONLY-"))
def test_evidence_without_collateral_is_undecidable(case: Path | None) -> None:
    ran = run("verify", *arguments(case))
    assert ran.status == 3
    assert ran.json["genuine"] is None


def test_a_nitro_document_is_judged_as_of_its_time() -> None:
    found = [case for case in vector_cases("nitro") if case.name.startswith("dstack")]
    if not found:
        missing("vectors of nitro")
    document = found[0] / "attestation_doc.cbor"
    ran = run("verify", document, "--json", "--at", json.loads((found[0] / "case.json").read_bytes())["time"])
    assert (ran.status, ran.json["tee"], ran.json["genuine"]) == (0, "nitro", True)
    assert ran.json["kind"] == "Nitro attestation document"
    ran = run("verify", document, "--json")
    assert (ran.status, ran.json["reasons"]) == (1, ["CERTIFICATE_EXPIRED"])


@pytest.fixture(scope="module")
def evidence(lab_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Honest evidence of a lab, its collateral, and the policy that accepts it."""
    folder = tmp_path_factory.mktemp("evidence")
    (folder / "meter.py").write_text("size = 100\n")
    (folder / "dc.pub").write_text("pinned\n")
    made = Draft.of(Lab.open(lab_folder), image_of(folder / "meter.py"), NOON).build()
    (folder / "quote.bin").write_bytes(made.quote)
    (folder / "collateral.json").write_bytes(made.collateral.encode_json())
    (folder / "policy.toml").write_text(run("measure", folder / "meter.py").out)
    return folder


def lab_arguments(evidence: Path, lab: Path) -> list[object]:
    given = ["--collateral", evidence / "collateral.json", "--at", NOON, "--lab", lab / "root.pem", "--json"]
    return list(given)


def test_simulated_evidence_counts_only_under_its_root(evidence: Path, lab_folder: Path) -> None:
    given = lab_arguments(evidence, lab_folder)
    trusted = run("verify", evidence / "quote.bin", *given)
    assert (trusted.status, trusted.json["simulated"]) == (0, True)
    at = given.index("--lab")
    refused = run("verify", evidence / "quote.bin", *given[:at], *given[at + 2 :])
    assert refused.status == 1
    assert refused.json["reasons"][0] == "ROOT_UNTRUSTED"


def test_every_armour_gives_the_same_verdict(evidence: Path, lab_folder: Path) -> None:
    raw = (evidence / "quote.bin").read_bytes()
    folded = base64.encodebytes(raw)
    spellings = {
        "raw": [raw, raw + bytes(400)],
        "hexadecimal": [
            raw.hex().encode(),
            b"0x" + raw.hex().upper().encode() + b"\n",
            b"\n".join(raw.hex().encode()[i : i + 60] for i in range(0, 2 * len(raw), 60)),
        ],
        "base64": [folded, folded.replace(b"\n", b"\r\n"), base64.urlsafe_b64encode(raw).rstrip(b"=")],
    }
    for name, texts in spellings.items():
        for text in texts:
            ran = run("verify", "-", *lab_arguments(evidence, lab_folder), stdin=text)
            assert (ran.status, ran.json["encoding"], ran.json["genuine"]) == (0, name, True)


def test_a_policy_decides(evidence: Path, lab_folder: Path, tmp_path: Path) -> None:
    given = [evidence / "quote.bin", *lab_arguments(evidence, lab_folder)]
    accepted = run("verify", *given, "--policy", evidence / "policy.toml")
    assert (accepted.status, accepted.json["verdict"], accepted.json["workload"]) == (0, "accepted", "meter")
    other = tmp_path / "other.toml"
    measured = accepted.json["identity"]["mr_enclave"]
    other.write_text((evidence / "policy.toml").read_text().replace(measured, measured[::-1]))
    rejected = run("verify", *given, "--policy", other)
    assert (rejected.status, rejected.json["verdict"], rejected.json["genuine"]) == (1, "rejected", True)
    assert rejected.json["reasons"] == ["WRONG_MEASUREMENT"]
    text = run("verify", *[a for a in given if a != "--json"], "--policy", other).out
    assert "what to do" in text
    assert "REJECTED" in text


def test_undecidable_evidence_is_not_accepted_by_any_policy(evidence: Path, lab_folder: Path) -> None:
    given = lab_arguments(evidence, lab_folder)[2:]
    ran = run("verify", evidence / "quote.bin", *given, "--policy", evidence / "policy.toml")
    assert (ran.status, ran.json["verdict"], ran.json["reasons"]) == (3, "undecidable", ["COLLATERAL_MISSING"])


def test_of_several_collateral_files_the_fitting_one_is_taken(evidence: Path, lab_folder: Path, tmp_path: Path) -> None:
    lab = Lab.open(lab_folder).copy()
    stale, family = tmp_path / "stale.json", tmp_path / "family.json"
    stale.write_bytes(lab.collateral("alpha", type(NOON)(NOON - 90 * 86400)))
    draft = Draft.of(lab, image_of(evidence / "meter.py"), NOON)
    FAULTS["other_family"].apply(draft)
    family.write_bytes(draft.build().collateral.encode_json())
    right = evidence / "collateral.json"
    for order in ((stale, family, right), (right, family, stale), (family, right, stale)):
        given = [part for path in order for part in ("--collateral", path)]
        ran = run("verify", evidence / "quote.bin", *lab_arguments(evidence, lab_folder)[2:], *given)
        assert (ran.status, ran.json["collateral"]) == (0, str(right))
    only = run("verify", evidence / "quote.bin", *lab_arguments(evidence, lab_folder)[2:], "--collateral", stale)
    assert (only.status, "COLLATERAL_EXPIRED" in only.json["reasons"]) == (
        1 if only.json["genuine"] is False else 3,
        True,
    )


@pytest.mark.parametrize(
    "garbage", [b"", b"\0", b"hello, quote", bytes(5000), b"\x03\0\x02\0" + bytes(600), b"{}", b"ab" * 9]
)
def test_what_is_no_evidence_is_malformed_and_not_genuine(tmp_path: Path, garbage: bytes) -> None:
    file = tmp_path / "garbage"
    file.write_bytes(garbage)
    ran = run("verify", file, "--json")
    assert (ran.status, ran.json["genuine"]) == (1, False)
    assert ran.json["reasons"] == ["MALFORMED_EVIDENCE"]
    assert "NOT GENUINE" in run("verify", file).out


def test_whoever_takes_the_wrong_file_is_told_so(evidence: Path) -> None:
    ran = run("verify", evidence / "collateral.json")
    assert ran.status == 1
    assert "SGX collateral, which is no evidence" in ran.err


def test_any_time_that_json_can_hold_can_be_asked_for(evidence: Path, lab_folder: Path) -> None:
    given = ["--collateral", evidence / "collateral.json", "--lab", lab_folder / "root.pem"]
    for at in (0, 2**31, 2**53 - 1):
        ran = run("verify", evidence / "quote.bin", *given, "--at", at)
        assert ran.status == 1
        assert "NOT GENUINE" in ran.out
        assert "holds until" not in ran.out, "there is nothing that could hold"


def test_every_check_is_shown_when_asked(evidence: Path, lab_folder: Path) -> None:
    given = [a for a in lab_arguments(evidence, lab_folder) if a != "--json"]
    short = run("verify", evidence / "quote.bin", *given).out
    whole = run("verify", evidence / "quote.bin", *given, "--explain").out
    checks = run("verify", evidence / "quote.bin", *given, "--json").json["checks"]
    assert all(check["name"] in whole and check["expected"] in whole and check["found"] in whole for check in checks)
    assert whole.count("expected  ") == len(checks)
    assert len(whole.splitlines()) >= len(short.splitlines()) + 2 * len(checks)


def test_what_cannot_be_read_is_a_usage_error(evidence: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("{}")
    quote = evidence / "quote.bin"
    for given in (
        [tmp_path / "absent"],
        [tmp_path],
        [quote, "--collateral", broken],
        [quote, "--collateral", tmp_path / "absent"],
        [quote, "--policy", broken],
        [quote, "--policy", tmp_path / "absent"],
        [quote, "--lab", broken],
        [quote, "--pin", broken],
        [quote, "--at", "noon"],
        [quote, "--at", "-1"],
    ):
        ran = run("verify", *given)
        assert (ran.status, ran.out) == (2, ""), given
        assert ran.err, given
        assert "Traceback" not in ran.err
