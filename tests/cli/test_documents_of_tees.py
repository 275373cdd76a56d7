"""Nitro documents, IAS reports, EPID quotes and local reports at the command line: what they are, and what is made of
them."""

from pathlib import Path

import pytest

from intaglio.sim.cpu import Processor
from intaglio.sim.ias import REPORT, Form, IasAuthority, IasDraft
from intaglio.sim.local_report import LocalDraft
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.nitro import NitroAuthority, NitroDraft
from intaglio.sim.signing import EnclaveTerms, sign_enclave
from intaglio.sim.world import Lab
from intaglio.types import ReportData, UnixTime
from intaglio.wire.epid import EpidBody
from tests.cli.conftest import NOON, run

SPRING = UnixTime(1_740_830_400)


@pytest.fixture(scope="module")
def folder(lab_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("documents")
    nitro = NitroDraft.of(NitroAuthority.create(NOON), NOON).build()
    (made / "nitro.cbor").write_bytes(nitro.document)
    (made / "nitro.hex").write_text(nitro.document.hex())
    (made / "nitro.der").write_bytes(nitro.root)
    service = IasAuthority.create(SPRING, bits=2048)
    forms: tuple[Form, ...] = ("json", "http", "body")
    for form in forms:
        draft = IasDraft.of(service, SPRING)
        draft.form = form
        (made / f"ias.{form}").write_bytes(draft.build().report)
    (made / "ias.der").write_bytes(IasDraft.of(service, SPRING).root)
    quote = EpidBody(2, True, 0xC80, 13, 13, 0, bytes(32), REPORT).encode()
    (made / "epid.bin").write_bytes(quote + (16).to_bytes(4, "little") + bytes(16))
    vendor, cpu = Lab.open(lab_folder).vendor, Processor(bytes(range(32)), bytes([5] * 16))
    images = [Image((TrustedFile(name, b"pass\n"),)) for name in ("meter.py", "checker.py")]
    meter, checker = (
        cpu.launch(each, sign_enclave(vendor, each.mr_enclave(), EnclaveTerms(), now=NOON).encode()) for each in images
    )
    local = LocalDraft.of(meter, checker, NOON, ReportData(bytes(range(64))))
    assert local.collateral is not None
    (made / "local.bin").write_bytes(local.build())
    (made / "local.json").write_bytes(local.collateral.encode_json())
    (made / "body.bin").write_bytes(local.build()[:384])
    return made


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("nitro.cbor", "Nitro attestation document", "i-0a1b2c3d4e5f60718-enc0192a3b4c5d6e7f8"),
        ("nitro.hex", "Nitro attestation document", "PCR8"),
        ("ias.json", "IAS report", "165171271757108173876306223827987629752"),
        ("ias.http", "IAS report", f"intaglio verify FILE --at {SPRING + 1}"),
        ("ias.body", "IAS report", "the body alone proves nothing"),
        ("epid.bin", "EPID quote", "16 bytes, encrypted to Intel's attestation service"),
        ("local.bin", "SGX report", "whoever has the report key of its target enclave"),
        ("body.bin", "SGX report", "a report body without a MAC proves nothing"),
        ("local.json", "SGX report key", "the key itself is a secret and is not shown"),
    ],
)
def test_inspect_takes_them_apart(folder: Path, name: str, kind: str, shown: str) -> None:
    ran = run("inspect", folder / name)
    assert ran.status == 0
    assert kind in ran.out.splitlines()[0]
    assert shown in " ".join(ran.out.split())
    facts = run("inspect", folder / name, "--json").json
    assert facts["kind"] == kind
    assert facts["facts"]


@pytest.mark.parametrize(
    ("name", "root", "at", "status", "reasons"),
    [
        ("nitro.cbor", "nitro.der", NOON, 0, []),
        ("nitro.hex", "nitro.der", NOON, 0, []),
        ("nitro.cbor", None, NOON, 1, ["ROOT_UNTRUSTED"]),
        ("nitro.cbor", "ias.der", NOON, 1, ["ROOT_UNTRUSTED"]),
        ("nitro.cbor", "nitro.der", NOON + 11_000, 1, ["CERTIFICATE_EXPIRED"]),
        ("ias.json", "ias.der", SPRING, 0, []),
        ("ias.http", "ias.der", SPRING, 0, []),
        ("ias.json", "ias.der", SPRING - 120, 1, ["EVIDENCE_FROM_FUTURE"]),
        ("ias.body", "ias.der", SPRING, 3, ["DOCUMENT_UNSIGNED"]),
        ("epid.bin", None, NOON, 3, ["EPID_QUOTE"]),
        ("local.bin", None, NOON, 3, ["REPORT_KEY_MISSING"]),
        ("body.bin", None, NOON, 3, ["UNSUPPORTED_EVIDENCE"]),
    ],
)
def test_verify_says_what_it_makes_of_them(
    folder: Path, name: str, root: str | None, at: int, status: int, reasons: list[str]
) -> None:
    trusted = ["--lab", folder / root] if root else []
    ran = run("verify", folder / name, "--at", at, *trusted, "--json")
    assert (ran.status, ran.json["reasons"]) == (status, reasons)
    told = run("verify", folder / name, "--at", at, *trusted)
    assert told.status == status
    for reason in reasons:
        assert reason in told.out


def test_a_report_key_is_collateral(folder: Path) -> None:
    ran = run("verify", folder / "local.bin", "--collateral", folder / "local.json", "--at", NOON, "--json")
    assert (ran.status, ran.json["genuine"], ran.json["reasons"]) == (0, True, [])
