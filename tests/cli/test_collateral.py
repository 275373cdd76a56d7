"""`intaglio collateral`: fetched from services on the loopback interface, shown, exported and imported."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from intaglio.cli.collateral import fetch as fetching
from intaglio.cli.collateral.services import pcs_clients
from intaglio.collateral.pcs import AZURE_THIM, INTEL_PCS, PcsClient
from intaglio.sim.draft import Draft
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.pcs import Answer
from intaglio.sim.pki import DAY
from intaglio.sim.world import DEFAULT_FMSPC, Lab
from intaglio.types import UnixTime
from intaglio.wire.dcap import CertificationData, CertificationType, PckIdentifier, Quote
from intaglio.wire.snp_certs import CertificateTable
from tests.cli.conftest import run
from tests.collateral.servers import Chip, Kds, real_chip, serving
from tests.conftest import vector_cases

NOON = UnixTime(1_780_315_200)


class Service:
    """The lab's PCS at a settable moment, with its PCK certificate."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.now = NOON
        self.asked: list[str] = []

    def respond(self, target: str, _: object) -> Answer:
        self.asked.append(target)
        if "/pckcert?" in target:
            leaf, _, issuers = self.lab.records["alpha"].pck_chain.partition("-----END CERTIFICATE-----\n")
            chain = {"SGX-PCK-Certificate-Issuer-Chain": quote(issuers)}
            return Answer(200, chain, f"{leaf}-----END CERTIFICATE-----\n".encode())
        return self.lab.pcs.respond(target, self.now)


@pytest.fixture
def pcs(lab_folder: Path) -> Service:
    return Service(Lab.open(lab_folder).copy())


@pytest.fixture
def url(pcs: Service) -> Iterator[str]:
    with serving(pcs.respond) as address:
        yield address


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def quote_file(pcs: Service, tmp_path: Path) -> Path:
    path = tmp_path / "quote.bin"
    path.write_bytes(Draft.of(pcs.lab, Image((TrustedFile("meter.py", b"pass"),)), NOON).build().quote)
    return path


def held(store: Path, at: int = NOON, *options: str) -> Any:
    return run("collateral", "status", "--store", store, "--at", at, "--json", *options).json


def test_what_is_fetched_verifies(quote_file: Path, url: str, store: Path, tmp_path: Path, lab_folder: Path) -> None:
    out = tmp_path / "collateral.json"
    ran = run("collateral", "fetch", quote_file, "--pcs", url, "--store", store, "-o", out)
    assert ran.status == 0, ran.err
    assert f"SGX FMSPC {DEFAULT_FMSPC}, platform CA, update standard" in ran.out
    verified = run("verify", quote_file, "--collateral", out, "--lab", lab_folder / "root.pem", "--at", NOON, "--json")
    assert (verified.status, verified.json["genuine"]) == (0, True)


@pytest.mark.parametrize("update", ["standard", "early", "19"])
def test_by_name_and_channel(pcs: Service, url: str, store: Path, update: str) -> None:
    arguments = ("--fmspc", DEFAULT_FMSPC.upper(), "--ca", "processor", "--tcb-update", update)
    ran = run("collateral", "fetch", *arguments, "--pcs", url, "--store", store, "--json")
    assert ran.status == 0, ran.err
    request = {"tee": "sgx", "fmspc": DEFAULT_FMSPC, "ca": "processor", "update": update}
    assert ran.json["request"] == request
    assert ran.json["tcb_evaluation_number"] == 19
    assert ran.json["source"] == url
    assert ("tcbEvaluationDataNumber=19" in pcs.asked[0]) == (update == "19")
    assert [each["request"] for each in held(store)["held"]] == [request]


def test_the_second_service_is_asked(url: str, store: Path) -> None:
    with serving(lambda *_: Answer(500, {}, b"")) as broken:
        ran = run("collateral", "fetch", "--fmspc", DEFAULT_FMSPC, "--pcs", broken, "--pcs", url, "--store", store)
    assert ran.status == 0, ran.err
    assert url in ran.out


def test_a_rollback_is_refused_and_remembered(pcs: Service, url: str, store: Path) -> None:
    arguments = ("collateral", "fetch", "--fmspc", DEFAULT_FMSPC, "--pcs", url, "--store", store)
    assert run(*arguments).status == 0
    pcs.now = UnixTime(NOON - 5 * DAY)
    ran = run(*arguments)
    assert ran.status == 1
    assert "offers less than what is held" in ran.err
    status = run("collateral", "status", "--store", store, "--at", NOON)
    assert "rollback: " in status.err
    assert {each["what"] for each in held(store)["rollbacks"]} == {"tcb_info", "qe_identity", "root_ca_crl", "pck_crl"}


def test_an_snp_chip_by_report_and_by_name(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip, other = real_chip(), real_chip("dstack-sev_snp_attestation-milan-v3-vcek-a20e02")
    report = tmp_path / "report.bin"
    # As SNP_GET_EXT_REPORT gives it: the report and a table of certificates behind it.
    report.write_bytes(chip.report + CertificateTable(vcek=chip.vcek).encode())
    slept: list[float] = []
    kds = Kds((chip, other))
    with serving(kds.respond) as url:
        by_report = run("collateral", "fetch", report, "--kds", url, "--store", store, "--json")
        assert by_report.status == 0, by_report.err
        named = ("--product", "milan", "--chip-id", other.request.hwid.hex(), "--tcb", other.request.tcb.encode().hex())
        monkeypatch.setattr(time, "sleep", slept.append)
        by_name = run("collateral", "fetch", *named, "--kds", url, "--store", store, "--json")
        assert by_name.status == 0, by_name.err
    assert by_report.json["request"] == chip.request.to_json()
    assert by_name.json["request"] == other.request.to_json()
    assert slept == [], "another process has another address's turns, as far as it knows"
    assert {each["request"]["product"] for each in held(store)["held"]} == {"Genoa", "Milan"}


def test_a_person_waits_for_a_turn(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from intaglio.collateral.cache import CachedSource
    from intaglio.collateral.kds import KdsClient

    chips: list[Chip] = [real_chip(), real_chip("dstack-sev_snp_attestation-milan-v3-vcek-a20e02")]
    now = [float(NOON)]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    with serving(Kds(tuple(chips)).respond) as url:
        source = CachedSource((KdsClient(url, timeout=5),), store)
        for chip in chips:
            fetching._in_turn(source, chip.request)
    assert now == [NOON + 10]


def test_a_quote_without_certificate_gets_one(
    pcs: Service, quote_file: Path, url: str, store: Path, tmp_path: Path, lab_folder: Path
) -> None:
    full = Quote.parse(quote_file.read_bytes())
    identifier = PckIdentifier(bytes(384), bytes(16), 1, 0)
    bare = replace(full, certification=CertificationData(CertificationType.PPID_RSA3072, identifier.encode()))
    bare_file, complete, out = tmp_path / "bare.bin", tmp_path / "complete.bin", tmp_path / "c.json"
    bare_file.write_bytes(bare.encode())
    refused = run("collateral", "fetch", bare_file, "--pcs", url, "--store", store)
    assert (refused.status, "--with-certificate" in refused.err) == (2, True)
    ran = run(
        "collateral", "fetch", bare_file, "--with-certificate", complete, "--pcs", url, "--store", store, "-o", out
    )
    assert ran.status == 0, ran.err
    assert f"encrypted_ppid={bytes(384).hex()}&" in pcs.asked[-5]
    root = lab_folder / "root.pem"
    verified = run("verify", complete, "--collateral", out, "--lab", root, "--at", NOON, "--json")
    assert (verified.status, verified.json["genuine"]) == (0, True)


def test_intels_subscription_key_is_sent_to_intel_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAGLIO_PCS_KEY", "secret")
    given: dict[str, str | None] = {}

    class Spy(PcsClient):
        def __init__(self, url: str, *, subscription_key: str | None) -> None:
            super().__init__(url)
            given[url] = subscription_key

    monkeypatch.setattr("intaglio.collateral.pcs.PcsClient", Spy)
    intels = [INTEL_PCS, f"{INTEL_PCS}/", f"{INTEL_PCS}/sgx/certification/v4"]
    others = ["https://pccs.example:8081", f"{INTEL_PCS}.example", INTEL_PCS.replace("https", "http"), AZURE_THIM]
    pcs_clients([*intels, *others])
    assert given == dict.fromkeys(intels, "secret") | dict.fromkeys(others)


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("--fmspc", "xyz"), ("--fmspc", DEFAULT_FMSPC, "--tee", "nitro"),
        ("--fmspc", DEFAULT_FMSPC, "--ca", "root"),
        ("--fmspc", DEFAULT_FMSPC, "--tcb-update", "late"), ("--fmspc", DEFAULT_FMSPC, "--product", "Milan"),
        ("--product", "Rome", "--chip-id", "00", "--tcb", "00" * 8), ("--product", "Milan", "--chip-id", "00"),
        ("--product", "Milan", "--chip-id", "xy", "--tcb", "00" * 8),
        ("--product", "Milan", "--chip-id", "00" * 65, "--tcb", "00" * 8),
        ("--product", "Milan", "--chip-id", "ab" * 8, "--tcb", "00" * 8),
        ("--fmspc", DEFAULT_FMSPC, "--pcs", "ftp://x"), ("--fmspc", DEFAULT_FMSPC, "--kds", "nonsense"),
    ],
)  # fmt: skip
def test_what_can_not_be_asked_for(arguments: tuple[str, ...], store: Path) -> None:
    ran = run("collateral", "fetch", *arguments, "--store", store)
    assert ran.status == 2, ran.out
    assert not store.exists()
    assert all(option in ran.err for option in arguments[:1] if option == "--product"), ran.err


def test_what_can_not_be_kept_is_no_success(url: str, tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_bytes(b"")
    arguments = ("collateral", "fetch", "--fmspc", DEFAULT_FMSPC, "--pcs", url, "--store", taken)
    refused = run(*arguments)
    assert (refused.status, refused.out) == (1, "")
    assert "--out" in refused.err
    written = run(*arguments, "--out", tmp_path / "collateral.json")
    assert written.status == 0, "it was asked for elsewhere, too"


def test_nothing_to_fetch_for_a_report_of_the_attestation_service(store: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"report": "{}", "signature": "", "certificates": ""}))
    ran = run("collateral", "fetch", report, "--store", store)
    assert (ran.status, "IAS report" in ran.err, "certificates that came with it" in ran.err) == (2, True, True)


def test_nitro_needs_nothing(store: Path) -> None:
    for case in vector_cases("nitro")[:1]:
        ran = run("collateral", "fetch", next(case.glob("*.cbor")), "--store", store)
        assert ran.status == 2
        assert "carries its own certificates" in ran.err


def test_status_warns_before_the_end(url: str, store: Path) -> None:
    assert run("collateral", "status", "--store", store).status == 2
    run("collateral", "fetch", "--fmspc", DEFAULT_FMSPC, "--pcs", url, "--store", store)
    good = run("collateral", "status", "--store", store, "--at", NOON)
    assert good.status == 0
    assert "in 29.5 days" in good.out
    assert "AWS Nitro" in good.err
    assert run("collateral", "status", "--store", store, "--at", NOON, "--days", "29").status == 0
    assert run("collateral", "status", "--store", store, "--at", NOON, "--days", "30").status == 1
    late = run("collateral", "status", "--store", store, "--at", NOON + 40 * DAY, "--all")
    assert (late.status, "EXPIRED 10.5 days ago" in late.out) == (1, True)
    assert held(store)["days"] == 29.5


def test_numbers(url: str) -> None:
    with serving(lambda *_: Answer(404, {}, b"")) as broken:
        ran = run("collateral", "numbers", "--pcs", broken, "--pcs", url, "--json")
        assert run("collateral", "numbers", "--pcs", broken).status == 1
    assert ran.status == 0, ran.err
    assert [each["number"] for each in ran.json["numbers"]] == [19]
    assert ran.json["source"] == url
    assert "19" in run("collateral", "numbers", "--pcs", url).out
    assert run("collateral", "numbers", "--tee", "snp").status == 2


def test_a_bundle_goes_where_no_network_is(url: str, store: Path, workshop: Path) -> None:
    away, bundle = workshop / "away", workshop / "june.bundle"
    key, pin = workshop / "dc.key", workshop / "dc.pub"
    signed = ("--signed-by", key, "--key-file", workshop / "dc.secret")
    nothing = run("collateral", "export", "-o", bundle, *signed, "--store", store)
    assert (nothing.status, "nothing is held" in nothing.err) == (1, True)
    run("collateral", "fetch", "--fmspc", DEFAULT_FMSPC, "--pcs", url, "--store", store)
    exported = run("collateral", "export", "-o", bundle, *signed, "--store", store, "--json")
    assert exported.status == 0, exported.err
    first = bundle.read_bytes()
    imported = run("collateral", "import", bundle, "--pin", pin, "--store", away, "--json")
    assert imported.status == 0, imported.err
    assert imported.json["taken"] == exported.json["entries"]
    assert imported.json["sequence"] == exported.json["sequence"]
    assert run("collateral", "import", bundle, "--pin", pin, "--store", away, "--json").json["taken"] == []
    assert held(away)["held"] == held(store)["held"]
    assert held(away)["imported"][0]["sequence"] == exported.json["sequence"]
    assert run("collateral", "export", "-o", bundle, *signed, "--store", store).status == 0
    assert run("collateral", "import", bundle, "--pin", pin, "--store", away).status == 0
    bundle.write_bytes(first)
    old = run("collateral", "import", bundle, "--pin", pin, "--store", away, "--json")
    assert (old.status, old.json["reason"]) == (1, "COLLATERAL_BUNDLE_OLD")


def test_a_bundle_of_another_data_centre_is_refused(url: str, store: Path, workshop: Path) -> None:
    bundle = workshop / "june.bundle"
    run("collateral", "fetch", "--fmspc", DEFAULT_FMSPC, "--pcs", url, "--store", store)
    signed = ("--signed-by", workshop / "dc.key", "--key-file", workshop / "dc.secret")
    run("collateral", "export", "-o", bundle, *signed, "--store", store)
    assert run("keygen", "other", "--out", workshop, "--key-file", workshop / "other.secret").status == 0
    ran = run("collateral", "import", bundle, "--pin", workshop / "other.pub", "--store", workshop / "away")
    assert ran.status == 1
    assert "COLLATERAL_BUNDLE_SIGNATURE" in ran.err
    assert not (workshop / "away").exists()
    bundle.write_bytes(b"nonsense")
    broken = run("collateral", "import", bundle, "--pin", workshop / "dc.pub", "--store", workshop / "away", "--json")
    assert (broken.status, broken.json["reason"]) == (1, "MALFORMED_MESSAGE")
    assert json.loads(broken.out)["problem"].startswith("bundle")


def test_damaged_books_of_a_store_do_not_hide_what_is_held(url: str, store: Path) -> None:
    run("collateral", "fetch", "--fmspc", DEFAULT_FMSPC, "--pcs", url, "--store", store)
    (store / "collateral" / "rollbacks.jsonl").write_bytes(b"[" * 100_000 + b'\n{"at": "never"}\nno\n')
    assert run("collateral", "status", "--store", store, "--at", NOON).status == 0
    (store / "collateral" / "bundles.cbor").write_bytes(b"damaged")
    shown = run("collateral", "status", "--store", store, "--at", NOON)
    assert (shown.status, DEFAULT_FMSPC in shown.out, "bundles.cbor" in shown.err) == (1, True, True)
    assert "restore it" in shown.err
    told = run("collateral", "status", "--store", store, "--at", NOON, "--json")
    assert (told.status, len(told.json["held"]), "bundles.cbor" in told.json["problem"]) == (1, 1, True)
