"""SEV-SNP evidence in the gateway: it asks AMD's service for the chip's certificate, once, and only for what may be
genuine. Real reports; the policy wants something else, so that every decided verdict rejects."""

import json
from pathlib import Path

import pytest

from intaglio.collateral.cache import CachedSource
from intaglio.collateral.kds import KdsClient
from intaglio.collateral.source import CollateralSource
from intaglio.errors import Unavailable
from intaglio.gateway.appraisal import EvidenceAppraiser
from intaglio.reasons import Reason
from intaglio.types import ReportData, UnixTime
from intaglio.verify.evidence import Verifier
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_fields import Product
from tests.collateral.servers import Chip, Kds, real_chip, serving
from tests.conftest import VECTORS
from tests.gateway.world import POLICY

NAME = "dstack-sev_snp_attestation-milan-v3-vcek-a20e02"
OLD = "virtee-report_milan-milan-v2-vcek-120d77"


def time_of(name: str) -> UnixTime:
    return UnixTime(json.loads((VECTORS / "snp" / name / "case.json").read_text())["time"])


def appraiser(*sources: CollateralSource) -> EvidenceAppraiser:
    policy = POLICY.format(measurement="00" * 32)
    return EvidenceAppraiser(Roots.production(), Policy.parse(policy), policy.encode(), sources, bytes(32))


@pytest.fixture
def chip() -> Chip:
    return real_chip(NAME)


def test_a_report_is_judged_by_its_chips_certificate(chip: Chip, tmp_path: Path) -> None:
    at = time_of(NAME)
    kds = Kds((chip,))
    with serving(kds.respond) as url:
        desk = appraiser(CachedSource((KdsClient(url, timeout=5),), tmp_path))
        appraisal = [desk.appraise(chip.report, ReportData(bytes(64)), at) for _ in range(3)][2]
    assert isinstance(appraisal.collateral, SnpCollateral)
    assert appraisal.verdict.genuine is True
    assert appraisal.verdict.decision is Decision.REJECTED
    assert appraisal.verdict.reasons[0] is Reason.NO_WORKLOAD
    assert kds.certificates_asked == 1


def test_a_statement_about_a_report_holds_its_chips_certificate(chip: Chip, tmp_path: Path) -> None:
    with serving(Kds((chip,)).respond) as url:
        desk = appraiser(CachedSource((KdsClient(url, timeout=5),), tmp_path))
        found = desk.collateral_for(chip.report, time_of(NAME))
    assert isinstance(found, SnpCollateral)
    assert Verifier(Roots.production()).verify(chip.report, found, time_of(NAME)).genuine is True


def test_a_report_that_nobody_signed_makes_nobody_ask(chip: Chip, tmp_path: Path) -> None:
    kds = Kds((chip,))
    unsigned = bytearray(chip.report)
    unsigned[0x48] |= 7 << 2  # SIGNING_KEY: none
    with serving(kds.respond) as url:
        desk = appraiser(CachedSource((KdsClient(url, timeout=5),), tmp_path))
        appraisal = desk.appraise(bytes(unsigned), ReportData(bytes(64)), time_of(NAME))
    assert appraisal.verdict.genuine is False
    assert kds.asked == []


def test_the_next_chip_waits_for_its_turn(chip: Chip, tmp_path: Path) -> None:
    at = time_of(NAME)
    other = real_chip("trustee-evidence_genoa-genoa-v3-vcek-227a64")
    kds = Kds((chip, other))
    with serving(kds.respond) as url:
        desk = appraiser(CachedSource((KdsClient(url, timeout=5),), tmp_path))
        desk.appraise(chip.report, ReportData(bytes(64)), at)
        with pytest.raises(Unavailable) as waiting:
            desk.appraise(other.report, ReportData(bytes(64)), at)
        assert waiting.value.retry_after == 10
        assert desk.appraise(other.report, ReportData(bytes(64)), UnixTime(at + 10)).verdict.genuine is True


def test_a_report_of_version_2_asks_for_one_product_after_the_other(tmp_path: Path) -> None:
    """It does not say which processor made it; a service that does not know the chip says so."""
    old = real_chip(OLD, product=Product.MILAN)
    kds = Kds((old,))
    with serving(kds.respond) as url:
        desk = appraiser(CachedSource((KdsClient(url, timeout=5),), tmp_path))
        verdict = desk.appraise(old.report, ReportData(bytes(64)), time_of(OLD)).verdict
    assert verdict.genuine is True
    assert verdict.platform is not None
    assert verdict.platform.product == "Milan"


def test_certificates_that_do_not_chain_to_amd_are_our_fault(chip: Chip, tmp_path: Path) -> None:
    """An honest enclave is told to try again, and what was refused is not kept."""
    foreign = real_chip("trustee-evidence_genoa-genoa-v3-vcek-227a64")
    kds = Kds((Chip(chip.report, chip.request, chip.vcek, foreign.chain),))
    with serving(kds.respond) as url:
        desk = appraiser(CachedSource((KdsClient(url, timeout=5),), tmp_path))
        with pytest.raises(Unavailable, match="is bad"):
            desk.appraise(chip.report, ReportData(bytes(64)), time_of(NAME))
    assert list(tmp_path.glob("[!.]*")) == []
