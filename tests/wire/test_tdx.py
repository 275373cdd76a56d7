"""TD reports: all three layouts, fed in four ways, and those of real trust domains."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.types import Measurement, ReportData
from intaglio.wire.dcap import Quote, signed_part
from intaglio.wire.tdx import TdAttribute, TdBody, TdExtension, TdReport
from tests.conftest import missing, vector_cases
from tests.feeding import feed, feed_garbage

CASES = vector_cases("tdx")


def measurement(number: int) -> Measurement:
    return Measurement(bytes((number,)) * 48)


EXTENSION = TdExtension(
    vm_id=3, td_id=b"\x21" * 32, device_info=b"\x22" * 48, init_service_td_hash=measurement(0x23),
    init_service_td_attributes=0x2424, init_cpu_svn=b"\x25" * 16, init_tee_tcb_svn=b"\x26" * 16,
    init_tee_fmspc=b"\x27" * 12, current_service_td_hash=measurement(0x28), current_service_td_attributes=0x2929,
)  # fmt: skip
FIRST = TdReport(
    tee_tcb_svn=bytes(range(16)), mr_seam=measurement(1), mr_signer_seam=measurement(2), seam_attributes=0x0303,
    td_attributes=TdAttribute.SEPT_VE_DISABLE | TdAttribute.PERFMON, xfam=0x0602E7, mr_td=measurement(6),
    mr_config_id=measurement(7), mr_owner=measurement(8), mr_owner_config=measurement(9), rtmr0=measurement(10),
    rtmr1=measurement(11), rtmr2=measurement(12), rtmr3=measurement(13), report_data=ReportData(bytes(range(64))),
)  # fmt: skip
RECENT = replace(FIRST, tee_tcb_svn2=bytes(range(16, 32)), mr_service_td=measurement(14))
EXTENDED = replace(RECENT, extension=EXTENSION)
LAYOUTS = {584: (FIRST, TdBody.TDX_1_0), 648: (RECENT, TdBody.TDX_1_5), 885: (EXTENDED, TdBody.TDX_1_5_EXTENDED)}


def reader(size: int) -> Callable[[bytes], TdReport]:
    """A report cut short to the size of an older layout is one: in a quote the body type tells them apart."""

    def read(data: bytes) -> TdReport:
        report = TdReport.parse(data)
        if report.body_type.size != size:
            raise Malformed("td_report", "of another layout")
        return report

    return read


@pytest.mark.parametrize("size", LAYOUTS)
def test_what_is_written_is_read(size: int) -> None:
    report, body_type = LAYOUTS[size]
    data = report.encode()
    assert len(data) == size == body_type.size
    assert report.body_type is body_type
    assert feed(reader(size), data) == report
    assert TdReport.parse(data).encode() == data


@pytest.mark.parametrize("size", LAYOUTS)
def test_every_byte_is_in_some_field(size: int) -> None:
    good = LAYOUTS[size][0].encode()
    for position in range(size):
        changed = good[:position] + bytes((good[position] ^ 0xFF,)) + good[position + 1 :]
        assert TdReport.parse(changed) != TdReport.parse(good), position
        assert TdReport.parse(changed).encode() == changed


def test_fields_stand_where_intel_puts_them() -> None:
    """Offsets of VERIFICATION.md's check 31 and of Intel's quote headers."""
    data = EXTENDED.encode()
    for offset, first in {
        16: 1, 64: 2, 112: 3, 136: 6, 184: 7, 232: 8, 280: 9, 328: 10, 376: 11, 424: 12, 472: 13, 584: 16, 600: 14,
        648: 3, 649: 0x21, 681: 0x22, 729: 0x23, 777: 0x24, 785: 0x25, 801: 0x26, 817: 0x27, 829: 0x28, 877: 0x29,
    }.items():  # fmt: skip
        assert data[offset] == first, offset
    assert data[120:128].hex() == "0000001000000080"
    assert data[128:136].hex() == "e702060000000000"
    assert data[520:584] == bytes(range(64))


@settings(max_examples=60, deadline=None)
@given(garbage=st.binary(max_size=900))
def test_garbage(garbage: bytes) -> None:
    feed_garbage(TdReport.parse, garbage)


@pytest.mark.parametrize("bit", range(8))
def test_any_bit_of_the_group_tud_is_debug(bit: int) -> None:
    assert replace(FIRST, td_attributes=1 << bit).debug
    assert not FIRST.debug


def test_attributes_have_names_or_are_unknown() -> None:
    assert FIRST.to_json()["attributes_set"] == ["SEPT_VE_DISABLE", "PERFMON"]
    assert FIRST.unknown_attributes == 0
    assert replace(FIRST, td_attributes=0xFFFF_FFFF_FFFF_FFFF).unknown_attributes == 0x3FFFFFFF_07FCFF8E
    assert FIRST.has(TdAttribute.PERFMON)
    assert not FIRST.has(TdAttribute.DEBUG)


def test_fields_of_one_layout_are_there_together() -> None:
    with pytest.raises(Malformed, match="together"):
        replace(RECENT, mr_service_td=None)
    with pytest.raises(Malformed, match="together"):
        replace(EXTENDED, tee_tcb_svn2=None, mr_service_td=None)
    with pytest.raises(Malformed, match="wrong length"):
        replace(FIRST, mr_td=Measurement(bytes(47)))
    with pytest.raises(Malformed, match="wrong length"):
        replace(RECENT, tee_tcb_svn2=bytes(15))
    with pytest.raises(Malformed, match="wrong length"):
        replace(EXTENSION, td_id=bytes(31))


def test_json_names_every_field() -> None:
    facts = EXTENDED.to_json()
    extension = facts["extension"]
    assert isinstance(extension, dict)
    hexadecimal = "".join(str(value) for value in (*facts.values(), *extension.values()))
    for byte in (1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x21, 0x22, 0x23, 0x25, 0x26, 0x27, 0x28):
        assert f"{byte:02x}" * 12 in hexadecimal, byte
    assert "tee_tcb_svn2" not in FIRST.to_json()
    json.dumps(facts)


@pytest.mark.parametrize("case", CASES or [None], ids=lambda case: case.name if case else "no vectors")
def test_real_quotes_are_written_as_they_were_read(case: Path | None) -> None:
    if case is None:
        missing("vectors/tdx")
    data = (case / "quote.bin").read_bytes()
    known = json.loads((case / "case.json").read_bytes())
    quote = Quote.parse(data)
    body = quote.body
    assert isinstance(body, TdReport)
    assert quote.encode() == data
    assert signed_part(quote.header, body) == quote.signed
    assert body.debug is known["debug"]
    assert body.unknown_attributes == 0
    facts = body.to_json()
    for ours, theirs in (
        ("mr_td", "mrtd"), ("report_data", "report_data"), ("td_attributes", "td_attr"), ("tee_tcb_svn", "tee_tcb_svn"),
        ("tee_tcb_svn2", "tee_tcb_svn2"), ("mr_service_td", "mrservicetd"),
    ):  # fmt: skip
        assert facts.get(ours) == known.get("identity", facts).get(theirs, facts.get(ours)), ours
