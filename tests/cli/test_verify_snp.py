"""`verify` on SEV-SNP reports: certificates come as JSON, as the files of AMD's service, or behind the report."""

import base64
from pathlib import Path

import pytest

from intaglio.sim.amd_pki import AmdAuthority
from intaglio.sim.snp import SnpDraft, SnpEvidence
from intaglio.wire.snp_certs import CertificateTable
from intaglio.wire.snp_fields import Product
from tests.cli.conftest import NOON, run
from tests.conftest import missing, vector_cases


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def made() -> SnpEvidence:
    return SnpDraft.of(AmdAuthority.create(NOON, bits=2048), NOON, product=Product.GENOA, version=5).build()


@pytest.fixture(scope="module")
def folder(made: SnpEvidence, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who followed docs/snp.md."""
    folder = tmp_path_factory.mktemp("snp")
    parts = made.collateral
    table = CertificateTable(vcek=parts.vek, ask=parts.ask, ark=parts.ark).encode() + bytes(100)
    files = {
        "report.bin": made.report,
        "report.hex": made.report.hex().encode(),
        "extended.bin": made.report + table,
        "poor.bin": made.report + CertificateTable(vcek=parts.vek).encode(),
        "auxblob": table,
        "collateral.json": parts.encode_json(),
        "vcek.der": parts.vek,
        "vcek.b64": base64.encodebytes(parts.vek),
        "cert_chain.pem": pem(parts.ask) + pem(parts.ark),
        "crl.der": parts.crl,
        "root.pem": pem(made.root),
        "notes.txt": b"not a certificate at all",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("report", "collateral", "listed"),
    [
        ("report.bin", ["collateral.json"], True),
        ("report.hex", ["vcek.der", "cert_chain.pem", "crl.der"], True),
        ("report.bin", ["cert_chain.pem", "vcek.b64"], False),
        ("report.bin", ["auxblob"], False),
        ("report.bin", ["auxblob", "crl.der"], True),
        ("extended.bin", [], False),
        ("extended.bin", ["crl.der"], True),
        ("poor.bin", ["cert_chain.pem"], False),
    ],
)
def test_certificates_in_every_form(folder: Path, report: str, collateral: list[str], listed: bool) -> None:
    given = [part for name in collateral for part in ("--collateral", folder / name)]
    ran = run("verify", folder / report, *given, "--at", NOON, "--lab", folder / "root.pem", "--json")
    assert (ran.status, ran.json["reasons"]) == (0, [])
    assert ran.json["simulated"] is True
    assert ran.json["platform"]["revocation_checked"] is listed
    whole = run("verify", folder / "report.bin", "--at", NOON, "--json").json
    assert ran.json["evidence_hash"] == whole["evidence_hash"]


def test_without_certificates_nothing_is_decided(folder: Path) -> None:
    for report in ("report.bin", "poor.bin"):
        ran = run("verify", folder / report, "--at", NOON, "--json")
        assert (ran.status, ran.json["reasons"]) == (3, ["COLLATERAL_MISSING"])


def test_a_laboratory_is_nobody_elses_root(folder: Path) -> None:
    ran = run("verify", folder / "extended.bin", "--at", NOON, "--json")
    assert (ran.status, ran.json["reasons"]) == (1, ["ROOT_UNTRUSTED"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["vcek.der"], "the ASK or ASVK that issued 'SEV-VCEK' is missing"),
        (["cert_chain.pem"], "no VCEK or VLEK certificate among them"),
        (["notes.txt"], "no certificate or list, and no certificate table"),
        (["report.bin"], "no certificate or list, and no certificate table"),
    ],
)
def test_what_is_missing_is_said(folder: Path, given: list[str], said: str) -> None:
    arguments = [part for name in given for part in ("--collateral", folder / name)]
    ran = run("verify", folder / "report.bin", *arguments, "--at", NOON)
    assert ran.status == 2
    assert said in ran.err
    assert given[0] in ran.err


def test_of_several_chips_the_reports_own_is_chosen(folder: Path, made: SnpEvidence, tmp_path: Path) -> None:
    others = SnpDraft.of(AmdAuthority.create(NOON, bits=2048), NOON, product=Product.TURIN, version=5).build()
    (tmp_path / "other.json").write_bytes(others.collateral.encode_json())
    for order in (("other.json", "collateral.json"), ("collateral.json", "other.json")):
        given = [tmp_path / name if (tmp_path / name).exists() else folder / name for name in order]
        arguments = [part for path in given for part in ("--collateral", path)]
        ran = run("verify", folder / "report.bin", *arguments, "--at", NOON, "--lab", folder / "root.pem", "--json")
        assert (ran.status, Path(ran.json["collateral"]).name) == (0, "collateral.json")


@pytest.mark.parametrize("prefix", ["virtee", "oak-genoa", "NEG-vcek"])
def test_real_reports(prefix: str) -> None:
    case = next((case for case in vector_cases("snp") if case.name.startswith(prefix)), None)
    if case is None:
        missing("vectors/snp")
    given = ("--collateral", case / "vcek.der", "--collateral", case / "cert_chain.pem", "--at", 1_782_000_000)
    ran = run("verify", case / "report.bin", *given, "--json")
    assert ran.status == (1 if prefix.startswith("NEG") else 0)
    assert ran.json["tee"] == "snp"
