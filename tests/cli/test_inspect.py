"""`inspect`: every format is recognised, shown, and refused when it is broken."""

import base64
import json
import os
from pathlib import Path

import pytest

from intaglio.cli.formats import identify
from intaglio.collateral.bundle import seal_bundle
from intaglio.errors import Malformed
from intaglio.session.enclave import EnclaveHandshake
from intaglio.session.offers import OfferTerms, make_offer
from intaglio.session.results import Form, sign_token
from intaglio.session.signing import Signer, SigningKeys, certify
from intaglio.sim.amd_pki import AmdAuthority
from intaglio.sim.draft import Draft
from intaglio.sim.loader import image_of
from intaglio.sim.signing import EnclaveTerms, sign_enclave
from intaglio.sim.snp import SnpDraft
from intaglio.sim.world import DEFAULT_FMSPC, Lab
from intaglio.types import Tee, UnixTime
from intaglio.wire.collateral_bundle import Bundle, Entry
from intaglio.wire.collateral_request import DcapRequest
from intaglio.wire.content import Record
from intaglio.wire.ear import Appraisal, Claim, Ear, Tier, VerifierId
from intaglio.wire.identity import KeyCertificate, KeyUse, Pin, Suite
from intaglio.wire.snp_certs import CertificateTable
from intaglio.wire.snp_fields import Product
from tests.cli.conftest import NOON, run


@pytest.fixture(scope="module")
def files(lab_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One of each format, by the name under which it must be recognised."""
    folder = tmp_path_factory.mktemp("inspect")
    (folder / "meter.py").write_text("size = 100\n")
    assert run("keygen", "dc", "--out", folder, "--key-file", folder / "secret").status == 0
    lab = Lab.open(lab_folder)
    made = Draft.of(lab, image_of(folder / "meter.py"), NOON).build()
    identity, operational = SigningKeys.generate(os.urandom), SigningKeys.generate(os.urandom)
    suite = Suite.ED25519_ML_DSA_65
    certificate = certify(suite, identity, KeyCertificate(operational.public, KeyUse.OFFER, "dc", 0, 9))
    terms = OfferTerms(UnixTime(1), UnixTime(2), UnixTime(3), 7, 0, bytes(32), "dc")
    offer = make_offer(terms, Signer(suite, operational, certificate), os.urandom)
    pin = Pin(suite, "dc", (identity.public,))
    handshake = EnclaveHandshake(pin, Tee.SGX, os.urandom)
    handshake.offer(offer.data)
    hello = handshake.hello(lambda _: made.quote, {})
    frames = [handshake.sender.protect([Record("get_size", "application/cbor", b"\x18d")]) for _ in range(2)]
    mr_enclave = image_of(folder / "meter.py").mr_enclave()
    amd = SnpDraft.of(AmdAuthority.create(NOON, bits=2048), NOON, product=Product.TURIN, version=5).build()
    table = CertificateTable(vcek=amd.collateral.vek, ask=amd.collateral.ask, crl=amd.collateral.crl).encode()
    collateral = Entry(DcapRequest(Tee.SGX, DEFAULT_FMSPC, "platform"), NOON, "http://pcs.example", made.collateral)
    bundle = Bundle.of("dc", NOON, 7, [collateral])
    return {
        "SEV-SNP report": amd.report,
        "SEV-SNP collateral": amd.collateral.encode_json(),
        "SEV-SNP certificate table": table,
        "SEV-SNP report with certificate table": amd.report + table,
        "quote": made.quote,
        "SGX collateral": made.collateral.encode_json(),
        "SGX report": made.quote[48:432],
        "certificate chain (PEM)": (lab_folder / "root.pem").read_bytes(),
        "certificate or revocation list (DER)": made.collateral.pck_crl,
        "offer": offer.data,
        "hello": hello,
        "frames": b"".join(frames),
        "data centre's pin": (folder / "dc.pub").read_bytes(),
        "data centre's pin (CBOR)": pin.encode(),
        "collateral bundle": seal_bundle(bundle, Signer(suite, operational, certificate)),
        "keystore": (folder / "dc.key").read_bytes(),
        "SIGSTRUCT": sign_enclave(lab.vendor, mr_enclave, EnclaveTerms(), now=NOON).encode(),
    }


def test_every_format_is_recognised_and_shown(files: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in files.items():
        file = tmp_path / "file"
        file.write_bytes(data)
        ran = run("inspect", file, "--json")
        assert (ran.status, ran.json["kind"], ran.json["size"]) == (0, name, len(data))
        shown = run("inspect", file)
        assert shown.status == 0
        assert name in shown.out
        assert len(shown.out.splitlines()) > 1


def test_armoured_files_are_recognised(files: dict[str, bytes]) -> None:
    for name in ("quote", "offer", "frames", "SIGSTRUCT"):
        assert identify(base64.encodebytes(files[name])).kind == name
        assert identify(files[name].hex().encode()).kind == name


def test_fields_are_those_of_the_file(files: dict[str, bytes]) -> None:
    offer = run("inspect", "-", "--json", stdin=files["offer"]).json["facts"]
    assert (offer["audience"], offer["epoch"], offer["not_after"]) == ("dc", 7, 2)
    assert offer["key_certificate"]["uses"] == ["offer"]
    assert len(offer["signed_by"]) == 2
    frames = run("inspect", "-", "--json", stdin=files["frames"]).json["facts"]["frames"]
    assert [frame["sequence"] for frame in frames] == [0, 1]
    quote = run("inspect", "-", "--json", stdin=files["quote"]).json["facts"]
    sigstruct = run("inspect", "-", "--json", stdin=files["SIGSTRUCT"]).json["facts"]
    assert quote["report"]["mr_enclave"] == sigstruct["enclave_hash"]
    assert sigstruct["debug_allowed"] is True


def test_amds_files_say_what_they_are_about(files: dict[str, bytes]) -> None:
    report = run("inspect", "-", "--json", stdin=files["SEV-SNP report"]).json["facts"]
    table = run("inspect", "-", "--json", stdin=files["SEV-SNP certificate table"]).json["facts"]
    both = run("inspect", "-", "--json", stdin=files["SEV-SNP report with certificate table"]).json["facts"]
    collateral = run("inspect", "-", "--json", stdin=files["SEV-SNP collateral"]).json["facts"]
    assert both == {"report": report, "certificate_table": table}
    assert report["reported_tcb"] == table["vcek"]["platform"]["tcb"] == collateral["vek"]["platform"]["tcb"]
    assert report["chip_id"] == table["vcek"]["platform"]["hardware_id"] + "00" * 56
    assert (table["vlek"], table["ark"]) == ("missing", "missing")
    assert table["crl"] == collateral["crl"]
    assert collateral["ark"]["subject"] == "ARK-Turin"


def test_no_secret_of_a_keystore_is_shown(files: dict[str, bytes]) -> None:
    assert run("inspect", "-", "--json", stdin=files["keystore"]).json["facts"].keys() == {"opened_with", "sealed"}


@pytest.mark.parametrize("garbage", [b"", b"x", os.urandom(300), b"\x30\x82\x00\x01", b"-----BEGIN CERTIFICATE-----"])
def test_garbage_gets_one_clear_line(garbage: bytes) -> None:
    ran = run("inspect", "-", stdin=garbage)
    assert (ran.status, ran.out, len(ran.err.splitlines())) == (1, "", 1)
    assert run("inspect", "-", "--json", stdin=garbage).json["kind"] is None


def test_a_broken_file_is_malformed_whatever_it_was(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        for cut in (len(data) // 3, len(data) - 1):
            try:
                assert identify(data[:cut]).kind != name or name.startswith("certificate chain")
            except Malformed as malformed:
                assert malformed.field


def test_nothing_from_a_file_reaches_the_terminal_raw(tmp_path: Path) -> None:
    file = tmp_path / "nasty"
    pin = Pin(Suite.ED25519, "dc\x1b[2J\nnot an attack", (SigningKeys.generate(os.urandom).public,))
    file.write_bytes(pin.encode())
    ran = run("inspect", file)
    assert ran.status == 0
    assert "\x1b" not in ran.out
    assert "\\x1b[2J\\nnot an attack" in ran.out


def test_neither_names_in_a_file_nor_its_own_reach_the_terminal_raw(tmp_path: Path) -> None:
    vector, nasty = {Claim.HARDWARE: 2}, "\x1b[2J\nnot an attack"
    appraisal = Appraisal(Tier.NONE, vector, annotated_evidence={nasty: {nasty: [1, 2]}})
    ear = Ear(UnixTime(1), VerifierId("a", "b"), {nasty: appraisal})
    token = tmp_path / "nasty\x1b[2J"
    token.write_bytes(sign_token(SigningKeys.generate(os.urandom), ear, Form.JWT))
    other = tmp_path / "other"
    other.write_text(json.dumps({nasty: 1}))
    for arguments in (("inspect", token), ("ear", "show", token), ("verify", token), ("verify", other)):
        ran = run(*arguments)
        assert "\x1b" not in ran.out + ran.err
        assert "\nnot an attack" not in ran.out + ran.err
