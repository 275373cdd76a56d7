"""Requests say exactly what is wanted, survive a trip through CBOR, and never become paths."""

import re
from dataclasses import replace

import pytest

from intaglio.collateral.evidence import requests_for
from intaglio.errors import Malformed
from intaglio.sim.draft import Draft
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.world import DEFAULT_FMSPC, Lab, PlatformPlan
from intaglio.types import Tee
from intaglio.wire import cbor
from intaglio.wire.collateral_request import CollateralRequest, DcapRequest, SnpRequest, TcbUpdate, parse_request
from intaglio.wire.snp import SnpReport
from intaglio.wire.snp_fields import Product, TcbVersion
from tests.collateral.conftest import NOON, REQUEST
from tests.collateral.servers import Chip, genoa, real_chip
from tests.conftest import vector_cases

__all__ = ["genoa"]

CHIP = bytes(range(1, 65))
MILAN = SnpRequest(Product.MILAN, CHIP, TcbVersion(3, 0, 8, 115))
TURIN = SnpRequest(Product.TURIN, CHIP[:8] + bytes(56), TcbVersion(1, 0, 2, 70, fmc=1))
VLEK = SnpRequest(Product.MILAN, bytes(64), MILAN.tcb, vlek=True)
ALL: list[CollateralRequest] = [
    REQUEST,
    replace(REQUEST, tee=Tee.TDX),
    replace(REQUEST, ca="processor"),
    replace(REQUEST, update=TcbUpdate.EARLY),
    replace(REQUEST, update=TcbUpdate("17")),
    MILAN,
    TURIN,
    VLEK,
    replace(MILAN, tcb=TcbVersion(3, 0, 8, 116)),
]


@pytest.mark.parametrize("request_", ALL, ids=str)
def test_through_cbor_and_back(request_: CollateralRequest) -> None:
    assert parse_request(cbor.decode(cbor.encode(request_.to_cbor()), "request")) == request_


def test_whatever_differs_has_another_name() -> None:
    keys = [request.key for request in ALL]
    assert len(set(keys)) == len(keys)
    for key in keys:
        assert re.fullmatch(r"[a-z0-9-]{1,200}", key)
    assert keys[0] == f"sgx-{DEFAULT_FMSPC}-platform-standard"
    assert keys[4].endswith("-17")


@pytest.mark.parametrize("text", ["", "late", "017", "-1", "4294967296", "1" * 5000, "\u0661\u0667", "17 ", "../x"])
def test_a_channel_is_standard_early_or_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="need standard, early or"):
        TcbUpdate(text)


@pytest.mark.parametrize(
    ("product", "chip_id", "tcb", "vlek"),
    [
        (Product.MILAN, CHIP[:63], MILAN.tcb, False),
        (Product.MILAN, CHIP, TURIN.tcb, False),
        (Product.TURIN, TURIN.chip_id, MILAN.tcb, False),
        (Product.TURIN, CHIP, TURIN.tcb, False),
        (Product.MILAN, CHIP, MILAN.tcb, True),
    ],
)
def test_a_chip_of_another_product(product: Product, chip_id: bytes, tcb: TcbVersion, vlek: bool) -> None:
    with pytest.raises(ValueError, match="chip id"):
        SnpRequest(product, chip_id, tcb, vlek)


@pytest.mark.parametrize(
    "value",
    [
        None, [], ["sev"], [1], ["dcap"], ["dcap", "sgx", "x", "platform", "standard"],
        ["dcap", "snp", DEFAULT_FMSPC, "platform", "standard"], ["dcap", "sgx", DEFAULT_FMSPC, "root", "standard"],
        ["dcap", "sgx", DEFAULT_FMSPC, "platform", "017"], ["dcap", "sgx", DEFAULT_FMSPC, "platform", 17],
        ["snp", "Rome", CHIP, bytes(8), "vcek"], ["snp", "Milan", CHIP, bytes(7), "vcek"],
        ["snp", "Milan", CHIP, b"\0\0\1" + bytes(5), "vcek"], ["snp", "Milan", CHIP, bytes(8), False],
        ["snp", "Milan", CHIP, bytes(8), "vlek"],
    ],
)  # fmt: skip
def test_what_is_no_request(value: object) -> None:
    with pytest.raises(Malformed):
        parse_request(value)


@pytest.mark.parametrize("ca", ["platform", "processor"])
def test_a_quote_names_its_platform(lab: Lab, ca: str) -> None:
    lab.add_platform(PlatformPlan("other", ca="processor"), NOON)
    platform = "alpha" if ca == "platform" else "other"
    draft = Draft.of(lab, Image((TrustedFile("meter.py", b"pass"),)), NOON, platform=platform)
    update = TcbUpdate("17")
    assert requests_for(draft.build().quote, update) == (DcapRequest(Tee.SGX, DEFAULT_FMSPC, ca, update),)


@pytest.mark.parametrize("case", vector_cases("tdx")[:3], ids=lambda case: case.name)
def test_a_td_quote_asks_for_tdx_collateral(case) -> None:  # type: ignore[no-untyped-def]
    (request,) = requests_for((case / "quote.bin").read_bytes())
    assert isinstance(request, DcapRequest)
    assert request.tee is Tee.TDX


def test_a_report_names_its_chip(genoa: Chip) -> None:
    assert requests_for(genoa.report) == (genoa.request,)


def test_a_report_of_version_2_may_be_of_two_products() -> None:
    chip = real_chip()
    old = replace(SnpReport.parse(chip.report), version=2, cpuid=None, launch_mit_vector=None, current_mit_vector=None)
    first, second = requests_for(old.encode())
    assert isinstance(first, SnpRequest)
    assert isinstance(second, SnpRequest)
    assert (first.product, second.product) == (Product.MILAN, Product.GENOA)


def test_a_hidden_chip_and_an_unsigned_report_want_nothing(genoa: Chip) -> None:
    report = SnpReport.parse(genoa.report)
    assert requests_for(replace(report, chip_id=bytes(64)).encode()) == ()
    assert requests_for(replace(report, flags=7 << 2).encode()) == ()
    (vlek,) = requests_for(replace(report, flags=1 << 2, chip_id=bytes(64)).encode())
    assert isinstance(vlek, SnpRequest)
    assert vlek.vlek


def test_evidence_that_needs_nothing_asks_for_nothing() -> None:
    for case in vector_cases("nitro")[:1]:
        for document in case.glob("*.cbor"):
            assert requests_for(document.read_bytes()) == ()
    with pytest.raises(Malformed):
        requests_for(b"nonsense")
