"""Certificates in files, in any order and form, become the collateral of each chip."""

import base64
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.sim.amd_pki import AmdAuthority, issue_crl
from intaglio.sim.pki import DAY
from intaglio.sim.snp import SnpDraft
from intaglio.types import UnixTime
from intaglio.wire.snp_certs import CertificateTable
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_fields import Product
from intaglio.wire.snp_parts import SnpParts, split_extended_report
from tests.feeding import feed_garbage

NOON = UnixTime(1_780_315_200)


@pytest.fixture(scope="module")
def amd() -> AmdAuthority:
    return AmdAuthority.create(NOON, bits=2048)


def pem(*ders: bytes, label: str = "CERTIFICATE") -> bytes:
    return b"".join(
        f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(der) + f"-----END {label}-----\n".encode()
        for der in ders
    )


def read(files: Iterable[bytes]) -> list[SnpCollateral]:
    parts = SnpParts()
    for data in files:
        parts.add(data)
    return parts.collateral()


def test_any_form_and_order_is_one_chain(amd: AmdAuthority) -> None:
    made = SnpDraft.of(amd, NOON).build().collateral
    asvk = amd.asvk(Product.MILAN).der
    table = CertificateTable(vcek=made.vek, ask=made.ask, ark=made.ark, crl=made.crl).encode()
    for files in (
        (made.vek, made.ask, made.ark, made.crl),
        (made.crl, made.ark, made.vek, made.ask),
        (made.vek, pem(made.ask, made.ark), made.crl),
        (pem(made.ask, made.ark, asvk), pem(made.vek), pem(made.crl, label="X509 CRL")),
        (table,),
        (table + bytes(4096),),
        (CertificateTable(vcek=pem(made.vek), ask=made.ask, ark=pem(made.ark), crl=made.crl).encode(),),
        (CertificateTable(vcek=made.vek).encode(), pem(made.ask, made.ark), made.crl),
    ):
        assert read(files) == [made]
    assert read((made.vek, made.ask, made.ark)) == [SnpCollateral(made.vek, made.ask, made.ark)]


def test_each_leaf_gets_its_own_chain(amd: AmdAuthority) -> None:
    chips = [SnpDraft.of(amd, NOON, product=product).build().collateral for product in Product]
    vlek = SnpDraft.of(amd, NOON, kind="vlek").build().collateral
    chips.append(replace(vlek, ark=chips[0].ark, crl=chips[0].crl))
    files = [part for each in chips for part in (each.vek, each.ask, each.ark, each.crl)]
    assert read(files) == chips
    assert read(reversed(files)) == chips[::-1]


def test_of_several_lists_the_newest_counts(amd: AmdAuthority) -> None:
    made = SnpDraft.of(amd, NOON).build().collateral
    lists = [
        issue_crl("ARK-Milan", amd.ark_key, (), UnixTime(NOON + days * DAY), UnixTime(NOON + 99 * DAY))
        for days in (3, 5, 4)
    ]
    (found,) = read((made.vek, made.ask, made.ark, made.crl, *lists))
    assert found.crl == lists[1]


@pytest.mark.parametrize(
    ("missing", "named"), [("vek", "no VCEK or VLEK"), ("ask", "the ASK or ASVK"), ("ark", "the ARK")]
)
def test_what_is_missing_is_named(amd: AmdAuthority, missing: str, named: str) -> None:
    made = SnpDraft.of(amd, NOON).build().collateral
    with pytest.raises(Malformed, match=named):
        read(getattr(made, name) for name in ("vek", "ask", "ark") if name != missing)


def test_there_is_an_end_to_parts(amd: AmdAuthority) -> None:
    crl = SnpDraft.of(amd, NOON).build().collateral.crl
    with pytest.raises(Malformed, match="more than 256"):
        read([crl] * 257)


def test_an_extended_report_is_split(amd: AmdAuthority) -> None:
    made = SnpDraft.of(amd, NOON).build()
    parts = made.collateral
    table = CertificateTable(vcek=parts.vek, ask=parts.ask, ark=parts.ark).encode()
    assert split_extended_report(made.report + table) == (made.report, table)
    assert split_extended_report(made.report) == (made.report, b"")
    for whole in (b"", made.report[:-1], made.report + b"\x01", made.report[:-1] + table, table, b"\0" * 2000):
        assert split_extended_report(whole) == (whole, b"")


@settings(max_examples=150, deadline=None)
@given(garbage=st.binary(max_size=200), beginning=st.sampled_from([b"", b"\x30", b"-----BEGIN ", b"\x30\x82"]))
def test_garbage(garbage: bytes, beginning: bytes) -> None:
    feed_garbage(SnpParts().add, beginning + garbage)
    feed_garbage(split_extended_report, beginning + garbage)
