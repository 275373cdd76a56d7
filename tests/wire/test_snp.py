"""SEV-SNP reports: every version and product, fed in four ways, and those of real processors."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.types import Measurement, ReportData
from intaglio.wire.snp import SNP_REPORT_SIZE, SigningKey, SnpReport, signed_part
from intaglio.wire.snp_fields import FirmwareVersion, GuestPolicy, PlatformInfo, Product, TcbVersion
from tests.conftest import missing, vector_cases
from tests.feeding import feed, feed_garbage

CASES = vector_cases("snp")
TCB = TcbVersion(bootloader=4, tee=1, snp=24, microcode=219)
TURIN_TCB = TcbVersion(fmc=1, bootloader=2, tee=3, snp=4, microcode=79)
CPUIDS = {Product.MILAN: (0x19, 0x01, 1), Product.GENOA: (0x19, 0x11, 1), Product.TURIN: (0x1A, 0x02, 1)}
VARIANTS = [(version, product) for version in (2, 3, 4, 5) for product in Product]


def report(version: int, product: Product) -> SnpReport:
    """A report in which no two fields look alike."""
    tcb = TURIN_TCB if product.has_fmc else TCB
    return SnpReport(
        version=version,
        guest_svn=7,
        policy=GuestPolicy(0x30137),
        family_id=b"\x01" * 16,
        image_id=b"\x02" * 16,
        vmpl=1,
        signature_algo=1,
        current_tcb=tcb,
        platform_info=PlatformInfo(0x25),
        flags=1,
        report_data=ReportData(bytes(range(64))),
        measurement=Measurement(b"\x03" * 48),
        host_data=b"\x04" * 32,
        id_key_digest=b"\x05" * 48,
        author_key_digest=b"\x06" * 48,
        report_id=b"\x07" * 32,
        report_id_ma=b"\xff" * 32,
        reported_tcb=replace(tcb, microcode=70),
        cpuid=CPUIDS[product] if version > 2 else None,
        chip_id=(b"\x08" * product.chip_id_size).ljust(64, b"\0"),
        committed_tcb=replace(tcb, microcode=71),
        current=FirmwareVersion(1, 55, 29),
        committed=FirmwareVersion(1, 55, 28),
        launch_tcb=replace(tcb, microcode=72),
        launch_mit_vector=11 if version > 4 else None,
        current_mit_vector=15 if version > 4 else None,
        signature=bytes(range(96)),
    )


@pytest.mark.parametrize(("version", "product"), VARIANTS)
def test_what_is_written_is_read(version: int, product: Product) -> None:
    expected = report(version, product)
    data = expected.encode()
    assert len(data) == SNP_REPORT_SIZE
    assert feed(SnpReport.parse, data) == expected
    assert signed_part(data) == data[:0x2A0]


@pytest.mark.parametrize(("version", "product"), VARIANTS)
def test_every_bit_is_read_or_refused(version: int, product: Product) -> None:
    """Whatever parses is written again as the same bytes: no bit of a report goes unread."""
    good = report(version, product).encode()
    for position in range(SNP_REPORT_SIZE):
        for bit in range(8):
            data = bytearray(good)
            data[position] ^= 1 << bit
            try:
                found = SnpReport.parse(bytes(data))
            except Malformed:
                continue
            assert found.encode() == data


def test_fields_stand_where_amd_puts_them() -> None:
    """Offsets of publication 56860, for the fields that no real report of ours fills."""
    data = bytearray(report(5, Product.TURIN).encode())
    for offset, value in ((0x004, 9), (0x030, 2), (0x048, 0x4), (0x1F8, 0x21), (0x200, 0x22)):
        data[offset : offset + 4] = value.to_bytes(4, "little")
    data[0x010], data[0x020], data[0x0C0], data[0x0E0], data[0x110] = b"famhA"
    data[0x188:0x18B] = bytes((0x1A, 0x11, 0))
    data[0x1E8:0x1EF] = bytes((1, 2, 3, 0, 4, 5, 6))
    found = SnpReport.parse(bytes(data))
    assert (found.guest_svn, found.vmpl, found.signing_key) == (9, 2, SigningKey.VLEK)
    assert (found.launch_mit_vector, found.current_mit_vector) == (0x21, 0x22)
    firsts = (found.family_id, found.image_id, found.host_data, found.id_key_digest, found.author_key_digest)
    assert bytes(field[0] for field in firsts) == b"famhA"
    assert found.cpuid == (0x1A, 0x11, 0)
    assert (str(found.current), str(found.committed)) == ("3.2.1", "6.5.4")


def test_tcb_layouts() -> None:
    assert TCB.encode().hex() == "04010000000018db"
    assert TURIN_TCB.encode().hex() == "010203040000004f"
    with pytest.raises(Malformed, match="reserved"):
        TcbVersion.parse(TURIN_TCB.encode(), False, "current_tcb")
    with pytest.raises(Malformed, match="reserved"):
        TcbVersion.parse(TCB.encode()[::-1], True, "current_tcb")


@pytest.mark.parametrize("field", ["bootloader", "tee", "snp", "microcode"])
def test_a_tcb_is_reached_component_by_component(field: str) -> None:
    assert TCB.reaches(TCB)
    better = replace(TCB, **{field: getattr(TCB, field) + 1})
    assert better.reaches(TCB)
    assert not TCB.reaches(better)
    assert not replace(better, snp=0).reaches(better)


def test_layouts_do_not_reach_each_other() -> None:
    assert not replace(TCB, fmc=255).reaches(TCB)
    assert not TCB.reaches(replace(TCB, fmc=0))
    assert not TURIN_TCB.reaches(replace(TURIN_TCB, fmc=2))


@pytest.mark.parametrize(
    ("family", "model", "product"),
    [
        (0x19, 0x00, Product.MILAN), (0x19, 0x01, Product.MILAN), (0x19, 0x0F, Product.MILAN),
        (0x19, 0x10, Product.GENOA), (0x19, 0x11, Product.GENOA), (0x19, 0x20, None), (0x19, 0xA0, Product.GENOA),
        (0x19, 0xAF, Product.GENOA), (0x19, 0xB0, None), (0x1A, 0x02, Product.TURIN), (0x1A, 0x11, Product.TURIN),
        (0x1A, 0x50, None), (0x17, 0x31, None), (0, 0, None),
    ],
)  # fmt: skip
def test_products_by_cpuid(family: int, model: int, product: Product | None) -> None:
    assert Product.of_cpuid(family, model) is product


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("Milan-B0", Product.MILAN), ("Milan", Product.MILAN), ("Genoa", Product.GENOA), ("Genoa-B2", Product.GENOA),
        ("Turin", Product.TURIN), ("Siena", Product.GENOA), ("Bergamo-A1", Product.GENOA), ("Venice", None),
        ("milan", None), ("Milan-", None), ("Milan-B0-C", None),
        ("Milan-b0", None), ("", None), ("Milan B0", None),
    ],
)  # fmt: skip
def test_products_by_name(name: str, product: Product | None) -> None:
    assert Product.named(name) is product


def test_policy_bits() -> None:
    names = {
        16: "smt", 17: "reserved_one", 18: "migrate_ma", 19: "debug", 20: "single_socket", 21: "cxl_allow",
        22: "mem_aes_256_xts", 23: "rapl_dis", 24: "ciphertext_hiding_dram", 25: "page_swap_disable",
    }  # fmt: skip
    for bit in range(16, 64):
        policy = GuestPolicy(1 << bit)
        assert {name for name in names.values() if getattr(policy, name)} == ({names[bit]} if bit in names else set())
        assert policy.unknown == (0 if bit in names else 1 << bit)
        assert policy.abi == (0, 0)
    assert GuestPolicy(0x30137).abi == (1, 0x37)


def test_platform_bits() -> None:
    names = {
        0: "smt_en", 1: "tsme_en", 2: "ecc_en", 3: "rapl_dis", 4: "ciphertext_hiding_dram_en",
        5: "alias_check_complete", 7: "tio_en",
    }  # fmt: skip
    for bit in range(64):
        info = PlatformInfo(1 << bit)
        assert {name for name in names.values() if getattr(info, name)} == ({names[bit]} if bit in names else set())
        assert info.unknown == (0 if bit in names else 1 << bit)


def test_flags() -> None:
    base = replace(report(3, Product.MILAN), flags=0)
    assert replace(base, flags=1).author_key_en
    assert replace(base, flags=2).mask_chip_key
    assert replace(base, flags=7 << 2).signing_key == SigningKey.NONE
    assert replace(base, flags=1 << 5).unknown_flags == 1 << 5
    assert base.signing_key == SigningKey.VCEK
    assert not (base.author_key_en or base.mask_chip_key or base.unknown_flags)


@pytest.mark.parametrize(
    ("offset", "version"),
    [(0x4C, 5), (0x188, 2), (0x18B, 5), (0x19F, 3), (0x1EB, 5), (0x1EF, 5), (0x1F8, 4), (0x207, 3), (0x208, 5),
     (0x29F, 5), (0x2A0 + 48, 5), (0x2A0 + 72 + 48, 5), (0x2A0 + 144, 5), (0x49F, 5)],
)  # fmt: skip
def test_reserved_bytes_are_zero(offset: int, version: int) -> None:
    data = bytearray(report(version, Product.MILAN).encode())
    data[offset] = 1
    with pytest.raises(Malformed):
        SnpReport.parse(bytes(data))


@pytest.mark.parametrize("version", [0, 1, 6, 1 << 16])
def test_unknown_versions(version: int) -> None:
    data = version.to_bytes(4, "little") + report(5, Product.GENOA).encode()[4:]
    with pytest.raises(Malformed, match="version"):
        SnpReport.parse(data)


def test_a_field_of_a_wrong_length_is_refused() -> None:
    with pytest.raises(Malformed, match="length"):
        replace(report(5, Product.GENOA), chip_id=b"\x08" * 8)


@settings(max_examples=200, deadline=None)
@given(garbage=st.binary(max_size=1300) | st.binary(min_size=1184, max_size=1184))
def test_garbage(garbage: bytes) -> None:
    feed_garbage(SnpReport.parse, garbage)


@pytest.mark.parametrize("case", CASES or [None], ids=lambda case: case.name if case else "no vectors")
def test_real_reports_are_read(case: Path | None) -> None:
    if case is None:
        missing("vectors/snp")
    data = (case / "report.bin").read_bytes()
    known: dict[str, Any] = json.loads((case / "case.json").read_bytes())
    found = SnpReport.parse(data)
    assert found.encode() == data
    assert f"-v{found.version}-" in case.name or known["negative"]
    assert found.debug is known["debug"] or known["negative"]
    facts = known["facts"] or {}
    if "tcb_reported" in facts:
        expected = facts["tcb_reported"]
        assert found.reported_tcb == TcbVersion(
            expected["blSPL"], expected["teeSPL"], expected["snpSPL"], expected["ucodeSPL"]
        )
    for product in Product:
        if f"-{product.value.lower()}-v" in case.name and found.version > 2:
            assert found.product is product
    assert found.policy.reserved_one
    assert not found.policy.unknown
    assert not found.platform_info.unknown
    json.dumps(found.to_json())
