"""One lab for all tests of the verifier; tests break one thing in a draft, sign it again and expect that reason."""

from collections.abc import Callable

import pytest

from intaglio.sim.draft import Draft, Evidence
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.world import Lab
from intaglio.types import ReportData, UnixTime
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Verdict

NOON = UnixTime(1_780_315_200)
"""2026-06-01T12:00:00Z."""

IMAGE = Image((TrustedFile("meter.py", b"def get_size():\n    return 100\n"), TrustedFile("dc.pub", b"pinned\n")))
REPORT_DATA = ReportData(bytes(range(64)))

NewDraft = Callable[[], Draft]


@pytest.fixture(scope="session")
def drawn_lab() -> Lab:
    return Lab.create(None, NOON)


@pytest.fixture
def lab(drawn_lab: Lab) -> Lab:
    """A lab that the test may change."""
    return drawn_lab.copy()


@pytest.fixture
def draft(lab: Lab) -> Draft:
    """An honest draft that the test may change."""
    return Draft.of(lab, IMAGE, NOON, report_data=REPORT_DATA)


def judge(evidence: Evidence, at: UnixTime | None = None) -> Verdict:
    """With a verifier that has never seen anything."""
    verifier = DcapVerifier(Roots.lab(evidence.root))
    return verifier.verify(evidence.quote, evidence.collateral, evidence.at if at is None else at)
