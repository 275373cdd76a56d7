"""Extensions and serial numbers as a stranger may spell them. Whole certificates are fed in tests/verify."""

import time
import warnings
from collections.abc import Callable

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from fuzz.forge import sign_part
from fuzz.seeds import NOON, certificates, lab
from intaglio.errors import Malformed
from intaglio.wire import der
from intaglio.wire.serials import Serials
from intaglio.wire.x509 import Certificate, RevocationList
from intaglio.wire.x509_extensions import MAX_EXTENSIONS, Extensions, has_unknown_critical, read_extensions
from tests.feeding import feed

SGX = bytes.fromhex("2a864886f84d010d01")
AUTHORITY_KEY_ID = bytes.fromhex("551d23")
KEY_USAGE = bytes.fromhex("551d0f")
BASIC_CONSTRAINTS = bytes.fromhex("551d13")
OTHER = bytes.fromhex("2b0601040184680101")


def extension(oid: bytes, value: bytes, *, critical: bytes = b"") -> bytes:
    content = der.encode(der.OBJECT_IDENTIFIER, oid) + critical + der.encode(der.OCTET_STRING, value)
    return der.encode(der.SEQUENCE, content)


def read(*extensions: bytes) -> Extensions:
    return read_extensions(der.encode(der.SEQUENCE, b"".join(extensions)), SGX)


def test_extensions_are_those_that_the_package_reads() -> None:
    """For every certificate there is: a general parser says the same of it."""
    seen = 0
    for data in certificates():
        ours = Certificate.parse(data, serial_zero=True)
        if ours.serial == 0:
            continue
        theirs = x509.load_der_x509_certificate(data).extensions
        usage = theirs.get_extension_for_class(x509.KeyUsage).value
        constraints = theirs.get_extension_for_class(x509.BasicConstraints).value
        assert (ours.signs_certificates, ours.signs_crls) == (usage.key_cert_sign, usage.crl_sign)
        assert ours.signs_data == usage.digital_signature
        assert (ours.is_ca, ours.path_length) == (constraints.ca, constraints.path_length)
        unknown = {each.oid.dotted_string for each in theirs if isinstance(each.value, x509.UnrecognizedExtension)}
        assert unknown <= {*ours.extensions, "1.2.840.113741.1.13.1"}
        seen += 1
    assert seen > 3


def test_extensions_are_fed_in_all_four_ways() -> None:
    good = der.encode(
        der.SEQUENCE,
        extension(KEY_USAGE, bytes.fromhex("03020106"), critical=b"\x01\x01\xff")
        + extension(BASIC_CONSTRAINTS, bytes.fromhex("30060101ff020100"), critical=b"\x01\x01\xff")
        + extension(OTHER, b"what")
        + extension(SGX, b"\x30\0"),
    )
    found = feed(lambda data: read_extensions(data, SGX) if data else read(b"x"), good)
    assert isinstance(found, Extensions)
    assert (found.is_ca, found.path_length, found.sgx) == (True, 0, b"\x30\0")
    assert (found.signs_certificates, found.signs_crls, found.signs_data) == (True, True, False)
    assert (dict(found.others), found.unknown_critical) == ({"1.3.6.1.4.1.616.1.1": b"what"}, False)


@pytest.mark.parametrize(
    "usage", ["0300", "030180", "030101", "03020806", "03020101", "0304010600" + "00", "0403020106", "020106", ""]
)
def test_key_usage_in_another_spelling_is_malformed(usage: str) -> None:
    with pytest.raises(Malformed):
        read(extension(KEY_USAGE, bytes.fromhex(usage)))


@pytest.mark.parametrize(
    "constraints",
    ["300301010f", "30030201ff", "30040202", "30050201000500", "3003040100", "0500", "", "300402020100"],
)
def test_basic_constraints_in_another_spelling_are_malformed(constraints: str) -> None:
    with pytest.raises(Malformed):
        read(extension(BASIC_CONSTRAINTS, bytes.fromhex(constraints)))


@pytest.mark.parametrize("critical", [b"\x01\x01\x01", b"\x01\x02\xff\xff", b"\x02\x01\xff", b"\x01\x00"])
def test_critical_is_a_boolean(critical: bytes) -> None:
    with pytest.raises(Malformed):
        read(extension(OTHER, b"", critical=critical))
    assert read(extension(OTHER, b"", critical=b"\x01\x01\xff")).unknown_critical


def test_extensions_are_few_and_each_occurs_once() -> None:
    many = [extension(OTHER[:-1] + bytes((number,)), b"") for number in range(MAX_EXTENSIONS + 1)]
    assert len(read(*many[:-1]).others) == MAX_EXTENSIONS
    for bad in (many, [many[0], many[0]]):
        with pytest.raises(Malformed, match="twice"):
            read(*bad)


@pytest.mark.parametrize("oid", [b"", b"\x80", b"\x2a\x80\x01", b"\x2a\x86", b"\x2a" + b"\xff" * 60 + b"\x01"])
def test_an_identifier_has_one_spelling_and_a_bound(oid: bytes) -> None:
    with pytest.raises(Malformed):
        read(extension(oid, b""))


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**40), max_size=4))
def test_identifiers_are_written_as_everybody_writes_them(first: int, second: int, rest: list[int]) -> None:
    text = ".".join(map(str, (first, second, *rest)))
    name = x509.UnrecognizedExtension(x509.ObjectIdentifier(text), b"")
    assert name.oid.dotted_string == text
    numbers = (40 * first + second, *rest)
    assert der.dotted(b"".join(map(_base_128, numbers))) == text


def _base_128(number: int) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


def _certificate_with(authority_key_id: bytes) -> bytes:
    good = lab().authority.root
    part = good.certificate.tbs_certificate_bytes
    usual = part[part.index(b"\x30\x1f\x06\x03" + AUTHORITY_KEY_ID) :][: 2 + 0x1F]
    assert len(extension(AUTHORITY_KEY_ID, authority_key_id)) == len(usual)
    return sign_part(good.key, part.replace(usual, extension(AUTHORITY_KEY_ID, authority_key_id)))


def _list_with(authority_key_id: bytes) -> bytes:
    part = x509.load_der_x509_crl(lab().pcs.root_crl(NOON)).tbs_certlist_bytes
    usual = part[part.index(b"\x30\x1f\x06\x03" + AUTHORITY_KEY_ID) :][: 2 + 0x1F]
    return sign_part(lab().authority.root.key, part.replace(usual, extension(AUTHORITY_KEY_ID, authority_key_id)))


@pytest.mark.parametrize(
    ("reader", "made"),
    [(Certificate.parse, _certificate_with), (RevocationList.parse, _list_with)],
    ids=["cert", "crl"],
)
def test_a_negative_serial_number_inside_an_extension_is_nobodys_business(
    reader: Callable[[bytes], object], made: Callable[[bytes], bytes]
) -> None:
    """It was a warning of the package that parsed it, which stops a program where warnings are errors."""
    value = der.encode(der.SEQUENCE, der.encode(0x82, b"\xff" * 20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader(made(value))


def test_has_unknown_critical() -> None:
    def of(*extensions: bytes) -> bool:
        return has_unknown_critical(der.encode(der.SEQUENCE, b"".join(extensions)))

    critical = b"\x01\x01\xff"
    assert not has_unknown_critical(b"")
    assert not of(extension(AUTHORITY_KEY_ID, b"", critical=critical), extension(OTHER, b""))
    assert of(extension(OTHER, b"", critical=critical))


@given(st.sets(st.integers(-(2**170), 2**170)), st.integers(-(2**170), 2**170))
def test_serials_are_a_set_of_numbers(numbers: set[int], other: int) -> None:
    serials = Serials(numbers)
    assert set(serials) == numbers
    assert len(serials) == len(numbers)
    assert (other in serials) == (other in numbers)
    assert (serials == Serials(sorted(numbers)), hash(serials)) == (True, hash(Serials(sorted(numbers))))


def test_serials_that_hash_alike_cost_what_others_cost() -> None:
    """Multiples of 2**61 - 1 have one hash as numbers: 20,000 of them took a thousand times as long."""

    def cost(step: int) -> float:
        numbers = range(step, 20_000 * step, step)
        began = time.process_time()
        serials = Serials(numbers)
        assert numbers[-1] in serials
        return time.process_time() - began

    cost(2**61 - 2)
    # A busy machine stretches one measurement or another; a thousand times as long never fits.
    assert any(cost(2**61 - 1) < 20 * cost(2**61 - 2) + 0.01 for _ in range(5))
