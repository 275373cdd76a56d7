"""The certificates of every vendor's PKI: what reads them, what checks them, and whose root may end whose chain."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.verify.roots import Roots, Vendor, check_authorities, check_issued
from intaglio.verify.signature import P256Key, P384Key, RsaKey, issuer_key
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.endorsement import parse_collateral
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.x509 import Certificate, SignatureAlgorithm
from tests.conftest import VECTORS, missing

Signer = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NOW = datetime(2026, 6, 1, tzinfo=UTC)
_RSA = rsa.generate_private_key(65537, 2048)
_P384 = ec.generate_private_key(ec.SECP384R1())
_P256 = ec.generate_private_key(ec.SECP256R1())


def made(signer: Signer, subject: Signer, *, path_length: int | None = None, usage: bool = True) -> Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "made")])
    builder = (
        x509.CertificateBuilder(name, name, subject.public_key(), 7, NOW, NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, usage, usage, False, False), critical=True)
    )
    if isinstance(signer, rsa.RSAPrivateKey):
        signed = builder.sign(signer, SHA384(), rsa_padding=PSS(MGF1(SHA384()), 48))
    else:
        signed = builder.sign(signer, SHA384() if signer.curve.key_size == 384 else SHA256())
    return Certificate.parse(signed.public_bytes(Encoding.DER))


@pytest.mark.parametrize(
    ("signer", "algorithm", "kind"),
    [
        (_P256, SignatureAlgorithm.ECDSA_SHA256, P256Key),
        (_P384, SignatureAlgorithm.ECDSA_SHA384, P384Key),
        (_RSA, SignatureAlgorithm.RSA_PSS_SHA384, RsaKey),
    ],
    ids=["intel", "aws", "amd"],
)
def test_a_certificate_is_checked_with_the_algorithm_it_names(
    signer: Signer, algorithm: SignatureAlgorithm, kind: type
) -> None:
    root = made(signer, signer)
    assert root.algorithm is algorithm
    key = issuer_key(root, root.algorithm, Reason.CERTIFICATE_CHAIN)
    assert isinstance(key, kind)
    check_issued(root, root, key)
    forged = Certificate.parse(root.der[:-1] + bytes([root.der[-1] ^ 1]))
    with pytest.raises(Rejected, match="CERTIFICATE_CHAIN"):
        check_issued(forged, root, key)


def test_a_signature_of_another_kind_than_the_key_is_refused() -> None:
    root, other = made(_P256, _P256), made(_P384, _P256)
    with pytest.raises(Rejected, match=r"signed with ECDSA with SHA-256.*SHA-384"):
        check_issued(other, root, issuer_key(root, root.algorithm, Reason.CERTIFICATE_CHAIN))
    for algorithm in SignatureAlgorithm:
        if algorithm is not SignatureAlgorithm.ECDSA_SHA256:
            with pytest.raises(Rejected, match="CERTIFICATE_CHAIN"):
                issuer_key(root, algorithm, Reason.CERTIFICATE_CHAIN)


def test_short_rsa_keys_are_refused() -> None:
    root = made(_P256, rsa.generate_private_key(65537, 1024))  # noqa: S505
    with pytest.raises(Rejected, match="at least 2048 bits"):
        issuer_key(root, SignatureAlgorithm.RSA_PSS_SHA384, Reason.CERTIFICATE_CHAIN)


def test_serial_zero_is_read_only_where_it_is_expected() -> None:
    der = made(_P256, _P256).der
    at = der.index(b"\x02\x01\x07")
    zero = der[:at] + b"\x02\x01\x00" + der[at + 3 :]
    with pytest.raises(Malformed, match="not a positive integer"):
        Certificate.parse(zero)
    read = Certificate.parse(zero, serial_zero=True)
    assert read.serial == 0
    assert read.der == zero
    assert zero.index(read.signed) == 4
    negative = der[:at] + b"\x02\x01\x80" + der[at + 3 :]
    with pytest.raises(Malformed, match="non-negative"):
        Certificate.parse(negative, serial_zero=True)


def test_authorities_are_cas_with_room_below() -> None:
    root, middle, low = made(_P256, _P256), made(_P256, _P256, path_length=1), made(_P256, _P256, path_length=0)
    check_authorities((low, middle, root))
    with pytest.raises(Rejected, match="path length of at least 1"):
        check_authorities((middle, low, root))
    with pytest.raises(Rejected, match="a CA that signs certificates"):
        check_authorities((made(_P256, _P256, usage=False), root))


def test_no_vendors_chain_ends_in_the_root_of_another() -> None:
    roots = {
        Vendor.INTEL_SGX: VECTORS / "roots" / "Intel_SGX_Root_CA-2018-05-21-2049-12-31-44a0196b.pem",
        Vendor.AWS_NITRO: VECTORS / "nitro" / "aws_nitro_root.pem",
    }
    if not all(path.exists() for path in roots.values()):
        missing("vectors/roots and vectors/nitro")
    for owner, path in roots.items():
        root = Certificate.parse(x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER))
        assert Roots.production().check(root, owner) == owner.value
        assert not Roots.production().simulated(root, owner)
        for other in set(Vendor) - {owner}:
            assert not Roots.production().pins(root, other)
            with pytest.raises(Rejected, match="ROOT_UNTRUSTED"):
                Roots.production().check(root, other)


def test_a_laboratory_plays_every_vendor_and_says_so() -> None:
    root = made(_RSA, _RSA)
    roots = Roots.production() | Roots.lab(root.der)
    for vendor in Vendor:
        assert "simulated" in roots.check(root, vendor)
        assert roots.simulated(root, vendor)


def test_collateral_of_each_kind_is_known_again() -> None:
    made_snp = SnpCollateral(b"\x30\x82vek", b"\x30\x82ask", b"\x30\x82ark")
    assert parse_collateral(made_snp.encode_json()) == made_snp
    assert SnpCollateral(b"\x30\x82vek", b"\x30\x82ask", b"\x30\x82ark", b"\x30\x82crl").digest != made_snp.digest
    dcap = DcapCollateral(b"", b"", b"", b"", b"{}", bytes(64), b"", b"{}", bytes(64))
    assert parse_collateral(dcap.encode_json()) == dcap
    with pytest.raises(Malformed, match="neither DCAP"):
        parse_collateral(b"{}")
    with pytest.raises(Malformed, match="missing or unknown: extra"):
        parse_collateral(made_snp.encode_json()[:-1] + b', "extra": ""}')
