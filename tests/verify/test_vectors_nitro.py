"""Real Nitro documents: each gets the verdict that is known of it, for the reason that is known."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from intaglio.reasons import Reason
from intaglio.types import Tee, UnixTime
from intaglio.verify.evidence import Verifier
from intaglio.verify.nitro import PROCEDURE, NitroVerifier
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Outcome, Verdict
from intaglio.wire.nitro import NitroDocument
from tests.conftest import ROOT, VECTORS, missing, vector_cases

CASES = vector_cases("nitro")

REASON_BY_CHECK = {
    "alg must be ES384 / parser": Reason.MALFORMED_EVIDENCE,
    "leaf certificate lives ~3 h": Reason.CERTIFICATE_EXPIRED,
    "COSE signature": Reason.DOCUMENT_SIGNATURE,
}
"""What the vectors call a check, and the one reason that must be given."""


def read(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "case.json").read_bytes())
    return found


def evidence(case: Path) -> bytes:
    return (case / "attestation_doc.cbor").read_bytes()


def judge(case: Path, verifier: Verifier | NitroVerifier | None = None) -> Verdict:
    verifier = verifier or Verifier(Roots.production())
    return verifier.verify(evidence(case), None, UnixTime(read(case)["time"]))


def cases(*, negative: bool) -> list[Any]:
    if not CASES:
        return [pytest.param(None, id="no vectors")]
    found = [case for case in CASES if read(case)["negative"] is negative]
    assert found
    return [pytest.param(case, id=case.name) for case in found]


@cache
def shared_verifier() -> NitroVerifier:
    return NitroVerifier(Roots.production())


@pytest.mark.parametrize("case", cases(negative=False))
def test_genuine_documents_are_genuine(case: Path | None) -> None:
    if case is None:
        missing("vectors/nitro")
    known, verdict = read(case), judge(case)
    assert verdict.reasons == ()
    assert verdict.genuine is True
    assert (verdict.tee, verdict.simulated) == (Tee.NITRO, False)
    assert len(verdict.checks) == len(PROCEDURE)
    assert all(check.outcome is Outcome.OK for check in verdict.checks)
    assert verdict.valid_until == known["valid_until"]
    assert verdict.platform is not None
    assert verdict.platform.module_id == known["facts"]["module_id"]


@pytest.mark.parametrize("case", cases(negative=False))
def test_the_identity_is_that_of_the_document(case: Path | None) -> None:
    if case is None:
        missing("vectors/nitro")
    known, identity = read(case), judge(case).identity
    assert isinstance(identity, NitroDocument)
    facts = known["facts"]
    assert identity.debug is known["debug"]
    assert {str(i): pcr.hex() for i, pcr in identity.pcrs.items() if any(pcr)} == facts["pcrs"]
    assert (len(identity.pcrs), identity.timestamp) == (facts["n_pcrs"], facts["timestamp"])
    for name, size in facts["has"].items():
        value = getattr(identity, name)
        assert (None if value is None else len(value)) == size, name
    assert identity.payload[:1].hex() == facts["payload_first"]
    assert len(identity.payload) == facts["payload_len"]


@pytest.mark.parametrize("case", cases(negative=True))
def test_negative_cases_are_refused_for_their_reason(case: Path | None) -> None:
    if case is None:
        missing("vectors/nitro")
    verdict = judge(case)
    assert verdict.genuine is False
    assert verdict.reasons == (REASON_BY_CHECK[read(case)["expected"]["check"]],)


@pytest.mark.parametrize("case", cases(negative=False) + cases(negative=True))
def test_what_was_remembered_changes_no_verdict(case: Path | None) -> None:
    """The same verdict, check by check, from a verifier that has seen all the other cases."""
    if case is None:
        missing("vectors/nitro")
    shared = shared_verifier()
    first, again = judge(case, shared), judge(case, shared)
    fresh = judge(case)
    assert first == again == fresh
    assert first.checks == again.checks == fresh.checks


@pytest.mark.parametrize("case", cases(negative=False))
def test_a_document_ends_with_its_certificates(case: Path | None) -> None:
    """Both ends of the leaf's window belong to it; outside nothing is genuine, remembered or not."""
    if case is None:
        missing("vectors/nitro")
    known, shared, data = read(case), shared_verifier(), evidence(case)
    late = shared.verify(data, None, UnixTime(known["valid_until"] + 1))
    assert (late.genuine, late.reasons) == (False, (Reason.CERTIFICATE_EXPIRED,))
    assert shared.verify(data, None, UnixTime(known["valid_until"])).genuine is True
    early = shared.verify(data, None, UnixTime(known["valid_from"] - 1))
    assert early.genuine is False
    assert early.reasons[0] is Reason.CERTIFICATE_NOT_YET_VALID


def test_the_pinned_root_is_the_published_one() -> None:
    published = VECTORS / "nitro" / "aws_nitro_root.pem"
    if not published.is_file():
        missing("vectors/nitro/aws_nitro_root.pem")
    case = next(case for case in CASES if not read(case)["negative"])
    verdict = NitroVerifier(Roots.lab(published.read_bytes())).verify(
        evidence(case), None, UnixTime(read(case)["time"])
    )
    assert verdict.simulated
    assert verdict.genuine is True


def test_another_root_is_not_trusted() -> None:
    if not CASES:
        missing("vectors/nitro")
    case = next(case for case in CASES if not read(case)["negative"])
    verdict = judge(case, NitroVerifier(Roots()))
    assert (verdict.genuine, verdict.reasons) == (False, (Reason.ROOT_UNTRUSTED,))


def test_the_documentation_lists_every_check_with_its_expectation() -> None:
    text = (ROOT / "docs" / "verification.md").read_text()
    for step in PROCEDURE:
        assert f"| {step.number} | {step.name} | {step.expected} |" in text
