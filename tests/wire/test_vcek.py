"""AMD's certificate extensions and the certificate table of a host."""

import struct
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.wire import der
from intaglio.wire.snp_certs import MAX_TABLE, CertificateTable
from intaglio.wire.snp_fields import Product, TcbVersion
from intaglio.wire.vcek import AMD_ARC, VekExtensions
from tests.feeding import feed_garbage

TCB = TcbVersion(bootloader=4, tee=0, snp=24, microcode=219)
MILAN = VekExtensions(0, "Milan-B0", Product.MILAN, TCB, bytes(range(64)), None)
GENOA = replace(MILAN, product_name="Genoa", product=Product.GENOA)
TURIN = VekExtensions(1, "Turin", Product.TURIN, replace(TCB, fmc=1), bytes(range(8)), None)
VLEK = replace(MILAN, product_name="Milan", hwid=None, csp_id="CN=cc-us-east-2.example.com")
KINDS = {"milan": MILAN, "genoa": GENOA, "turin": TURIN, "vlek": VLEK}
VCEK = "63da758d-e664-4564-adc5-f4b93be8accd"


def changed(extensions: Mapping[str, bytes], part: str, value: bytes | None) -> dict[str, bytes]:
    """The same extensions with one part replaced, added or (None) left out."""
    found = {**extensions, AMD_ARC + part: value or b""}
    if value is None:
        del found[AMD_ARC + part]
    return found


def number(value: int) -> bytes:
    return der.encode(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_is_written_is_read(kind: VekExtensions) -> None:
    assert VekExtensions.parse(kind.encode()) == kind
    assert VekExtensions.parse({**kind.encode(), "2.5.29.14": b"whatever"}) == kind


def test_parts_have_amds_oids() -> None:
    """As in a real certificate of Turin; Milan and Genoa have a fourth reserved part and no 3.9."""
    parts = [oid.removeprefix(AMD_ARC) for oid in TURIN.encode()]
    assert parts == ["1", "2", "3.9", "3.1", "3.2", "3.5", "3.6", "3.7", "3.3", "3.8", "4"]
    parts = [oid.removeprefix(AMD_ARC) for oid in MILAN.encode()]
    assert parts == ["1", "2", "3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8", "4"]
    values = VLEK.encode()
    assert values[AMD_ARC + "3.8"] == bytes.fromhex("020200db")
    assert values[AMD_ARC + "2"] == b"\x16\x05Milan"
    assert values[AMD_ARC + "5"] == b"\x16\x1bCN=cc-us-east-2.example.com"


@pytest.mark.parametrize("part", ["1", "2", "3.1", "3.2", "3.3", "3.8", "4"])
def test_every_part_is_needed(part: str) -> None:
    with pytest.raises(Malformed, match=r"missing|either"):
        VekExtensions.parse(changed(MILAN.encode(), part, None))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("1", number(2)), ("1", b""), ("1", b"\x02\x01"), ("1", b"\x02\x02\x00\x00"), ("1", b"\x04\x01\x00"),
        ("2", b"\x16\x00"), ("2", b"\x0c\x05Milan"), ("2", b"\x16\x06Venice"), ("2", b"\x16\x06Milan\0"),
        ("2", b"\x16\x05Milan\x00"), ("2", b"\x16\x05Turin"), ("3.1", number(256)), ("3.1", b"\x02\x01\xff"),
        ("3.4", number(1)), ("3.7", number(1)), ("3.9", number(0)), ("3.10", number(0)), ("4", bytes(8)),
        ("4", b"\x04\x40" + bytes(64)), ("4", b""), ("5", b"\x16\x01x"), ("6", b""), ("7.1", number(0)),
    ],
)  # fmt: skip
def test_parts_that_are_not_amds(part: str, value: bytes) -> None:
    with pytest.raises(Malformed):
        VekExtensions.parse(changed(MILAN.encode(), part, value))


@pytest.mark.parametrize(
    ("part", "value"), [("3.9", None), ("4", bytes(64)), ("4", bytes(7)), ("2", b"\x16\x05Milan"), ("3.5", number(1))]
)
def test_turin_is_itself(part: str, value: bytes | None) -> None:
    with pytest.raises(Malformed):
        VekExtensions.parse(changed(TURIN.encode(), part, value))


@pytest.mark.parametrize(
    "value", [b"\x16\x00", b"\x16\x02\x1b\x5b", b"\x16\x01\xe9", b"\x16\x81\x80" + b"x" * 128, b"\x0c\x01x"]
)
def test_providers_are_short_printable_texts(value: bytes) -> None:
    with pytest.raises(Malformed, match="csp_id"):
        VekExtensions.parse(changed(VLEK.encode(), "5", value))


@settings(max_examples=150, deadline=None)
@given(part=st.sampled_from(sorted(MILAN.encode())), value=st.binary(max_size=80))
def test_any_value_in_any_place(part: str, value: bytes) -> None:
    feed_garbage(lambda data: VekExtensions.parse({**MILAN.encode(), part: data}), value)


# -- certificate table -------------------------------------------------------------------------------------------------

TABLE = CertificateTable(vcek=b"0vcek", ask=b"0ask-", ark=b"0ark", crl=b"0crl!")


def entry(guid: str, offset: int, length: int) -> bytes:
    return UUID(guid).bytes + struct.pack("<II", offset, length)


def test_a_table_is_read_as_written() -> None:
    for table in (TABLE, CertificateTable(vlek=b"v"), CertificateTable()):
        assert CertificateTable.parse(table.encode()) == table
        assert CertificateTable.parse(table.encode() + bytes(4096)) == table
    assert CertificateTable.parse(b"") == CertificateTable()


def test_entries_with_other_guids_are_counted() -> None:
    data = entry(str(UUID(int=7)), 72, 1) + entry(VCEK, 73, 2) + bytes(24) + b"?vc"
    assert CertificateTable.parse(data) == CertificateTable(vcek=b"vc", others=1)


@pytest.mark.parametrize(
    "data",
    [
        bytes(23),
        entry(VCEK, 48, 2),
        entry(VCEK, 48, 3) + bytes(24) + b"vc",
        entry(VCEK, 50, 1) + bytes(24) + b"v",
        entry(VCEK, 47, 1) + bytes(24) + b"v",
        entry(VCEK, 0, 8) + bytes(24),
        entry(VCEK, 0xFFFFFFFF, 0xFFFFFFFF) + bytes(24),
        entry(VCEK, 72, 1) + entry(VCEK, 72, 1) + bytes(24) + b"v",
        bytes(MAX_TABLE + 1),
    ],
    ids=["short", "no end", "cut", "beyond", "inside", "at 0", "far", "twice", "large"],
)
def test_tables_that_lie(data: bytes) -> None:
    with pytest.raises(Malformed):
        CertificateTable.parse(data)


def test_a_table_has_few_entries() -> None:
    many = b"".join(entry(str(UUID(int=number)), 24 * 34, 0) for number in range(1, 34))
    with pytest.raises(Malformed, match="more than 32"):
        CertificateTable.parse(many + bytes(24))


@settings(max_examples=150, deadline=None)
@given(garbage=st.binary(max_size=200))
def test_garbage_tables(garbage: bytes) -> None:
    feed_garbage(CertificateTable.parse, garbage)
    feed_garbage(CertificateTable.parse, TABLE.encode()[:24] + garbage)
