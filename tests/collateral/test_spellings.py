"""One API, many spellings: TDX, Azure's chains in the body, numbers instead of channels, certificates by PPID."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

import pytest

from intaglio.collateral.pcs import PcsClient
from intaglio.collateral.pcs_answers import EvaluationNumber
from intaglio.errors import Malformed, Unavailable
from intaglio.sim.pcs import Answer
from intaglio.sim.world import Lab
from intaglio.types import Tee
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo
from intaglio.wire.collateral_request import TcbUpdate
from intaglio.wire.dcap import PckIdentifier
from tests.collateral.conftest import NOON, REQUEST
from tests.collateral.servers import serving

CHAIN = "Issuer-Chain"


@contextmanager
def pcs(lab: Lab, change: Callable[[str, Answer], Answer] | None = None) -> Iterator[tuple[PcsClient, list[str]]]:
    """A client of the lab's service with `change` in between, and the targets that were asked for."""
    asked: list[str] = []

    def respond(target: str, _: object) -> Answer:
        asked.append(target)
        answer = lab.pcs.respond(target.replace("/tdx/", "/sgx/"), NOON)
        return change(target, answer) if change else answer

    with serving(respond) as url:
        yield PcsClient(url, timeout=5), asked


def test_tdx_has_paths_of_its_own_and_shares_the_lists(lab: Lab) -> None:
    with pcs(lab) as (client, asked):
        client.fetch(replace(REQUEST, tee=Tee.TDX), None, NOON)
    assert [target.partition("?")[0] for target in asked] == [
        "/tdx/certification/v4/tcb",
        "/tdx/certification/v4/qe/identity",
        "/sgx/certification/v4/pckcrl",
        "/sgx/certification/v4/rootcacrl",
    ]


def test_a_number_excludes_a_channel(lab: Lab) -> None:
    number = lab.published.standard
    with pcs(lab) as (client, asked):
        got = client.fetch(replace(REQUEST, update=TcbUpdate(str(number))), None, NOON)
        with pytest.raises(Unavailable, match="404"):
            client.fetch(replace(REQUEST, update=TcbUpdate("1")), None, NOON)
    assert TcbInfo.parse(got.tcb_info).evaluation_number == number
    assert asked[0].endswith(f"&tcbEvaluationDataNumber={number}")
    assert not any("update=" in target for target in asked)


def test_numbers_that_may_be_asked_for(lab: Lab) -> None:
    edition = lab.published.editions[0]
    lab.publish(replace(lab.published, editions=(edition, replace(edition, number=edition.number + 1))))
    with pcs(lab) as (client, asked):
        found = client.evaluation_numbers(Tee.TDX, NOON)
    assert [each.number for each in found] == [edition.number + 1, edition.number]
    assert found[0] == EvaluationNumber(edition.number + 1, "2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z")
    assert asked == ["/tdx/certification/v4/tcbevaluationdatanumbers"]


def rows(value: object) -> Callable[[str, Answer], Answer]:
    def change(_: str, answer: Answer) -> Answer:
        document = json.loads(answer.body)
        document["tcbEvaluationDataNumbers"]["tcbEvalNumbers"] = value
        return Answer(200, answer.headers, json.dumps(document).encode())

    return change


@pytest.mark.parametrize("value", [None, 1, [1], [{}], [{"tcbEvaluationDataNumber": True}], [None] * 300])
def test_numbers_that_are_none(lab: Lab, value: object) -> None:
    with pcs(lab, rows(value)) as (client, _), pytest.raises(Malformed):
        client.evaluation_numbers(Tee.SGX, NOON)


def azure(target: str, answer: Answer) -> Answer:
    """What stands in a header elsewhere is a member of the body; a list becomes one, too."""
    chain = {name: value for name, value in answer.headers.items() if name.endswith(CHAIN)}
    if not chain:
        return answer
    rest = {name: value for name, value in answer.headers.items() if name not in chain}
    members = b"".join(b',"%s":%s' % (name.encode(), json.dumps(value).encode()) for name, value in chain.items())
    if "pckcrl" in target:
        return Answer(200, rest, b'{"pckCrl":"%s"%s}' % (answer.body.hex().encode(), members))
    return Answer(200, rest, answer.body[:-1] + members + b"}")


def test_chains_in_the_body(lab: Lab) -> None:
    with pcs(lab) as (client, _):
        plain = client.fetch(REQUEST, None, NOON)
    with pcs(lab, azure) as (client, _):
        got = client.fetch(REQUEST, None, NOON)
    assert replace(got, tcb_info_signature=b"", qe_identity_signature=b"") == replace(
        plain, tcb_info_signature=b"", qe_identity_signature=b"", root_ca_crl=got.root_ca_crl, pck_crl=got.pck_crl
    ), "documents are the exact bytes that were signed; signatures are random"
    assert EnclaveIdentity.parse(got.qe_identity).id == "QE"
    assert DcapCollateral.parse_json(got.encode_json()) == got


@pytest.mark.parametrize(
    "extra",
    [b',"other":1', b',"TCB-Info-Issuer-Chain":1', b',"tcb-info-issuer-chain":"x","more":"y"', b',"signature":""'],
)
def test_a_body_with_other_members_is_refused(lab: Lab, extra: bytes) -> None:
    def change(target: str, answer: Answer) -> Answer:
        if "/tcb?" not in target:
            return answer
        headers = {name: value for name, value in answer.headers.items() if not name.endswith(CHAIN)}
        return Answer(200, headers, answer.body[:-1] + extra + b"}")

    with pcs(lab, change) as (client, _), pytest.raises(Malformed):
        client.fetch(REQUEST, None, NOON)


IDENTIFIER = PckIdentifier(bytes(range(256)) + bytes(128), bytes(range(16)), 0x0102, 0x0304)


@pytest.mark.parametrize("in_body", [False, True])
def test_a_pck_certificate_by_ppid(lab: Lab, in_body: bool) -> None:
    leaf, _, issuers = lab.records["alpha"].pck_chain.partition("-----END CERTIFICATE-----\n")
    leaf += "-----END CERTIFICATE-----\n"
    asked: list[str] = []

    def respond(target: str, headers: dict[str, str]) -> Answer:
        asked.append(target + headers.get("ocp-apim-subscription-key", ""))
        name = "sgx-Pck-Certificate-Issuer-Chain"
        if in_body:
            return Answer(200, {}, json.dumps({"pckCert": leaf, name: quote(issuers), "tcbm": "00"}).encode())
        return Answer(200, {name: quote(issuers)}, leaf.encode())

    with serving(respond) as url:  # type: ignore[arg-type]
        chain = PcsClient(url, timeout=5, subscription_key="secret").pck_chain(IDENTIFIER, NOON)
        with pytest.raises(ValueError, match="RSA-3072"):
            PcsClient(url, timeout=5).pck_chain(replace(IDENTIFIER, ppid=bytes(16)), NOON)
    assert chain.decode() == leaf + issuers
    ppid = IDENTIFIER.ppid.hex()
    assert asked == [
        f"/sgx/certification/v4/pckcert?encrypted_ppid={ppid}&cpusvn={bytes(range(16)).hex()}&pcesvn=0201&pceid=0403secret"
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"pckCert":1}', b"-----BEGIN CERTIFICATE-----" * 2])
def test_a_pck_certificate_that_is_none(body: bytes) -> None:
    chain = {"SGX-PCK-Certificate-Issuer-Chain": quote("-----BEGIN CERTIFICATE-----")}
    with serving(lambda *_: Answer(200, chain, body)) as url, pytest.raises(Malformed):
        PcsClient(url, timeout=5).pck_chain(IDENTIFIER, NOON)
