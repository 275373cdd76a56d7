"""SIGSTRUCT: every reader case, and the vendor's signature checked the way the CPU's microcode does."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.sim.signing import EnclaveTerms, sign_enclave, signer_of
from intaglio.sim.world import Lab
from intaglio.wire.sigstruct import SIGSTRUCT_SIZE, Sigstruct
from tests.feeding import feed
from tests.sim.conftest import IMAGE, NOON


@pytest.fixture(scope="module")
def sigstruct(drawn_lab: Lab) -> Sigstruct:
    terms = EnclaveTerms(isv_prod_id=7, isv_svn=3, isv_ext_prod_id=bytes(range(16)))
    return sign_enclave(drawn_lab.vendor, IMAGE.mr_enclave(), terms, now=NOON)


def test_whole(sigstruct: Sigstruct) -> None:
    data = sigstruct.encode()
    assert len(data) == SIGSTRUCT_SIZE
    assert Sigstruct.parse(data) == sigstruct
    assert data[:16].hex() == "06000000e10000000000010000000000"
    assert data[20:24].hex() == "01062620", "2026-06-01 as BCD, little-endian"
    assert data[960:992] == IMAGE.mr_enclave()
    assert data[1024:1028] == b"\x07\0\x03\0"
    assert sigstruct.signed_bytes == data[:128] + data[900:1028]


def test_every_way_of_feeding(sigstruct: Sigstruct) -> None:
    assert feed(Sigstruct.parse, sigstruct.encode()) == sigstruct


@pytest.mark.parametrize(
    ("offset", "field"),
    [(0, "header"), (16, "vendor"), (24, "header2"), (44, "reserved1"), (127, "reserved1"), (910, "reserved2"),
     (992, "reserved3"), (1028, "reserved4"), (1039, "reserved4")],
)  # fmt: skip
def test_constants_and_reserved_bytes(sigstruct: Sigstruct, offset: int, field: str) -> None:
    data = bytearray(sigstruct.encode())
    data[offset] ^= 0x40
    with pytest.raises(Malformed) as caught:
        Sigstruct.parse(bytes(data))
    assert caught.value.field == f"sigstruct.{field}"


def test_date_must_be_decimal(sigstruct: Sigstruct) -> None:
    data = sigstruct.encode()
    with pytest.raises(Malformed, match=r"sigstruct\.date"):
        Sigstruct.parse(data[:20] + b"\x0a" + data[21:])


@given(st.binary(max_size=2000))
def test_garbage(data: bytes) -> None:
    with pytest.raises(Malformed):
        Sigstruct.parse(data)


def test_signature_holds_without_division(sigstruct: Sigstruct) -> None:
    """s^3 mod m by the hints alone, as EINIT computes it, is the PKCS#1 v1.5 encoding of the digest."""
    s, m = sigstruct.signature, sigstruct.modulus
    encoded = s**3 - sigstruct.q1 * s * m - sigstruct.q2 * m
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    digest = hashlib.sha256(sigstruct.signed_bytes).digest()
    assert encoded.to_bytes(384, "big") == b"\0\1" + b"\xff" * 330 + b"\0" + prefix + digest


def test_mr_signer_is_the_hash_of_the_modulus(drawn_lab: Lab, sigstruct: Sigstruct) -> None:
    assert sigstruct.mr_signer == hashlib.sha256(sigstruct.encode()[128:512]).digest()
    assert signer_of(drawn_lab.vendor) == sigstruct.mr_signer
