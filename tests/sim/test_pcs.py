"""The PCS as Intel's API: paths, parameters, headers, status codes; and an independent client that fetches from it."""

import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen

import dcap_qvl
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_der_x509_crl, load_pem_x509_certificates, load_pem_x509_crl
from hypothesis import given
from hypothesis import strategies as st

from intaglio.sim.draft import launch
from intaglio.sim.pcs import Answer
from intaglio.sim.pcs_http import PcsServer
from intaglio.sim.pki import DAY
from intaglio.sim.publication import Edition, QeLevel
from intaglio.sim.world import DEFAULT_FMSPC, DEFAULT_LEVEL, Lab
from intaglio.types import ReportData, UnixTime
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo, signed_body
from intaglio.wire.x509 import RevocationList
from tests.sim.conftest import IMAGE, NOON

V4 = "/sgx/certification/v4"
TCB = f"{V4}/tcb?fmspc={DEFAULT_FMSPC}"


def ask(lab: Lab, target: str, at: UnixTime = NOON) -> Answer:
    return lab.pcs.respond(target, at)


def check_chain(answer: Answer, header: str, *names: str) -> None:
    chain = load_pem_x509_certificates(unquote(answer.headers[header]).encode())
    assert [c.subject.rfc4514_string().rpartition("CN=")[2] for c in chain] == [f"Intaglio Lab SGX {n}" for n in names]
    assert "\n" not in answer.headers[header]
    assert " " not in answer.headers[header]


def test_tcb_info_is_signed_as_served(lab: Lab) -> None:
    answer = ask(lab, TCB)
    body, signature = signed_body(answer.body, "tcbInfo")
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key = lab.authority.tcb_signer.key.public_key()
    key.verify(encode_dss_signature(r, s), body, ec.ECDSA(SHA256()))
    info = TcbInfo.parse(body)
    assert (info.version, info.id, info.fmspc.hex(), info.evaluation_number) == (3, "SGX", DEFAULT_FMSPC, 19)
    assert info.issue_date <= NOON < info.next_update
    check_chain(answer, "TCB-Info-Issuer-Chain", "TCB Signing", "Root CA")
    assert answer.headers["Request-ID"]


def test_v3_of_the_api_serves_tcb_info_of_version_2(lab: Lab) -> None:
    answer = ask(lab, TCB.replace("v4", "v3"))
    body, _ = signed_body(answer.body, "tcbInfo")
    info = TcbInfo.parse(body)
    assert info.version == 2
    assert info.levels[0].sgx_components == bytes(DEFAULT_LEVEL.components)
    assert b"sgxtcbcomp01svn" in body
    check_chain(answer, "SGX-TCB-Info-Issuer-Chain", "TCB Signing", "Root CA")


def test_identities(lab: Lab) -> None:
    answer = ask(lab, f"{V4}/qe/identity")
    identity = EnclaveIdentity.parse(signed_body(answer.body, "enclaveIdentity")[0])
    assert (identity.id, identity.version, identity.isv_prod_id) == ("QE", 2, 1)
    check_chain(answer, "SGX-Enclave-Identity-Issuer-Chain", "TCB Signing", "Root CA")
    other = ask(lab, f"{V4}/qve/identity")
    assert EnclaveIdentity.parse(signed_body(other.body, "enclaveIdentity")[0]).id == "QVE"


@pytest.mark.parametrize("ca", ["platform", "processor"])
def test_pck_crls(lab: Lab, ca: str) -> None:
    der = ask(lab, f"{V4}/pckcrl?ca={ca}&encoding=der")
    pem = ask(lab, f"{V4}/pckcrl?ca={ca}")
    crls = (load_der_x509_crl(der.body), load_pem_x509_crl(pem.body))
    assert all(f"PCK {ca.title()} CA" in crl.issuer.rfc4514_string() for crl in crls)
    check_chain(der, "SGX-PCK-CRL-Issuer-Chain", f"PCK {ca.title()} CA", "Root CA")


def test_root_crl_at_both_places(lab: Lab) -> None:
    lab.revoke(12345)
    text, der = ask(lab, f"{V4}/rootcacrl").body, ask(lab, "/IntaglioLabSGXRootCA.der").body
    for crl in (bytes.fromhex(text.decode()), der):
        assert set(RevocationList.parse(crl).revoked) == {12345}


@pytest.fixture
def staged(lab: Lab) -> Lab:
    """A lab in the middle of a TCB recovery: 19 is standard, 20 early."""
    old = lab.published.editions[0]
    early = Edition(20, (QeLevel(9),), {**old.levels})
    lab.publish(replace(lab.published, editions=(old, early)))
    return lab


@pytest.mark.parametrize(
    ("query", "number"),
    [("", 19), ("&update=standard", 19), ("&update=early", 20), ("&tcbEvaluationDataNumber=20", 20),
     ("&tcbEvaluationDataNumber=19", 19)],
)  # fmt: skip
def test_editions(staged: Lab, query: str, number: int) -> None:
    body, _ = signed_body(ask(staged, TCB + query).body, "tcbInfo")
    assert TcbInfo.parse(body).evaluation_number == number
    identity = ask(staged, f"{V4}/qe/identity?{query[1:]}")
    assert EnclaveIdentity.parse(signed_body(identity.body, "enclaveIdentity")[0]).evaluation_number == number


def test_evaluation_numbers(staged: Lab) -> None:
    answer = ask(staged, f"{V4}/tcbevaluationdatanumbers")
    body, _ = signed_body(answer.body, "tcbEvaluationDataNumbers")
    assert [entry["tcbEvaluationDataNumber"] for entry in json.loads(body)["tcbEvalNumbers"]] == [20, 19]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"{V4}/tcb?fmspc=ffffffffffff", 404),
        (f"{V4}/tcb?fmspc={DEFAULT_FMSPC}&tcbEvaluationDataNumber=3", 404),
        (f"{V4}/tcb", 400),
        (f"{V4}/tcb?fmspc=00a0", 400),
        (f"{V4}/tcb?fmspc=00a0dededeg0", 400),
        (f"{TCB}&update=early&tcbEvaluationDataNumber=19", 400),
        (f"{TCB}&update=soon", 400),
        (f"{TCB}&tcbEvaluationDataNumber=-1", 400),
        (f"{TCB}&fmspc={DEFAULT_FMSPC}", 400),
        (f"{TCB}&colour=blue", 400),
        (f"{TCB}&", 400),
        (f"{V4}/pckcrl?ca=other", 400),
        (f"{V4}/pckcrl?ca=platform&encoding=hex", 400),
        (f"{V4}/pckcrl", 400),
        (f"{V4}/qe/identity?id=1", 400),
        (f"{V4}/nothing", 404),
        (f"{V4}/qe", 404),
        ("/sgx/certification/v5/tcb", 404),
        ("/", 404),
        ("", 404),
        ("//", 404),
    ],
)
def test_refusals(lab: Lab, target: str, status: int) -> None:
    answer = ask(lab, target)
    assert answer.status == status
    assert answer.body == b""


@given(st.text(max_size=80) | st.builds(lambda text: f"{V4}/tcb?{text}", st.text(max_size=40)))
def test_any_target_gets_an_answer(drawn_lab: Lab, target: str) -> None:
    assert ask(drawn_lab, target).status in (200, 400, 404)


def test_a_folder_is_served_as_it_is_now(tmp_path: Path, drawn_lab: Lab) -> None:
    signer = drawn_lab.authority.quoting_signer
    lab = Lab.create(tmp_path / "lab", NOON, vendor=drawn_lab.vendor, quoting_signer=signer)
    command = [sys.executable, "-m", "intaglio.sim.pcs_http", "--lab", str(tmp_path / "lab")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            url = child.stdout.readline().strip()
            for serials in (set[int](), {777}):
                lab.revoke(*serials)
                with urlopen(f"{url}{V4}/rootcacrl") as response:  # noqa: S310
                    assert set(RevocationList.parse(bytes.fromhex(response.read().decode())).revoked) == serials
        finally:
            child.send_signal(signal.SIGINT)
    assert child.returncode == 0
    nothing = subprocess.run([*command[:-1], str(tmp_path)], capture_output=True, text=True, check=False, timeout=20)
    assert nothing.returncode == 1
    assert "published.json" in nothing.stderr


def test_documents_are_renewed_daily_until_the_service_freezes(lab: Lab) -> None:
    def issued(days: int) -> UnixTime:
        body, _ = signed_body(ask(lab, TCB, UnixTime(NOON + days * DAY)).body, "tcbInfo")
        return TcbInfo.parse(body).issue_date

    assert issued(3) - issued(0) == 3 * DAY
    lab.publish(replace(lab.published, frozen_at=NOON))
    assert issued(3) == issued(0)


def test_an_independent_client_fetches_what_an_independent_verifier_accepts(lab: Lab) -> None:
    machine = lab.machine()
    quote = machine.quote(launch(lab, machine, IMAGE, NOON), ReportData(bytes(64)))

    async def fetch(url: str) -> dcap_qvl.QuoteCollateralV3:
        return await dcap_qvl.get_collateral(url, quote)

    with PcsServer(lambda: lab.pcs, lambda: NOON) as server:
        collateral = asyncio.run(fetch(server.url))
    assert dcap_qvl.verify_with_root_ca(quote, collateral, lab.root_der, NOON).status == "UpToDate"


def test_http_and_in_process_agree(lab: Lab) -> None:
    collateral = DcapCollateral.parse_json(lab.collateral("alpha", NOON))
    with PcsServer(lambda: lab.pcs, lambda: NOON) as server, urlopen(server.url + TCB) as response:  # noqa: S310
        body, _ = signed_body(response.read(), "tcbInfo")
    assert body == collateral.tcb_info
