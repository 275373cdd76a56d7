"""Which keys are trusted, and how certificates lead to them. One room for every vendor's PKI.

A root is pinned by its key and not by its certificate: two of Intel's root certificates share one key. The root that
evidence or collateral brings along is never trusted for being there.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.verify.ledger import Window
from intaglio.verify.signature import Key
from intaglio.wire.x509 import Certificate, read_pem_chain

__all__ = ["Roots", "Vendor", "check_authorities", "check_issued", "window"]


class Vendor(Enum):
    """Whose root: a chain of one vendor never ends in the root of another."""

    INTEL_SGX = "Intel SGX Root CA"
    AMD_MILAN = "ARK-Milan"
    AMD_GENOA = "ARK-Genoa"
    AMD_TURIN = "ARK-Turin"
    AWS_NITRO = "aws.nitro-enclaves"
    INTEL_IAS = "Intel SGX Attestation Report Signing CA"


_PINNED = {
    # Two certificates of 2018, which end in 2033 and in 2049.
    Vendor.INTEL_SGX: "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e",
    Vendor.AMD_MILAN: "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
    Vendor.AMD_GENOA: "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
    Vendor.AMD_TURIN: "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
    Vendor.AWS_NITRO: "f2caf5ecc6190b4a8399b78bc58a2bbcd0382375db8a1bfd78a82743874fd225",
    Vendor.INTEL_IAS: "a9beeb83bb1222c108b436bdd82334e5cf380d61039dae11db95272343850394",
}
"""SHA-256 of the root's SubjectPublicKeyInfo (DER): `openssl x509 -pubkey -noout | openssl pkey -pubin -outform DER |
sha256sum`."""


@dataclass(frozen=True, slots=True)
class Roots:
    """The root keys that are trusted: the vendors', those of laboratories, or both. Verdicts under the latter say
    `simulated`. A laboratory plays every vendor."""

    _production: frozenset[tuple[Vendor, bytes]] = frozenset()
    _lab: frozenset[bytes] = frozenset()

    @classmethod
    def production(cls) -> Self:
        """Real hardware only."""
        return cls(_production=frozenset((vendor, bytes.fromhex(pin)) for vendor, pin in _PINNED.items()))

    @classmethod
    def lab(cls, certificate: bytes) -> Self:
        """The root of a simulator, as one certificate in PEM or DER. Raises `Malformed`."""
        ders = (certificate,) if certificate[:1] == b"\x30" else read_pem_chain(certificate)
        if len(ders) != 1:
            raise Malformed("lab root", f"expected one certificate, got {len(ders)}")
        return cls(_lab=frozenset((_name(Certificate.parse(ders[0])),)))

    def __or__(self, other: Self) -> Self:
        return type(self)(self._production | other._production, self._lab | other._lab)

    def check(self, root: Certificate, vendor: Vendor) -> str:
        """Which kind of root this is, in words. Raises `Rejected` if its key is not pinned (check 13)."""
        name = _name(root)
        if (vendor, name) in self._production:
            return vendor.value
        if name in self._lab:
            return "the root of a laboratory: this evidence is simulated"
        raise Rejected(Reason.ROOT_UNTRUSTED, expected=vendor.value, found=f"key {name.hex()} of {root.common_name!r}")

    def pins(self, root: Certificate, vendor: Vendor) -> bool:
        name = _name(root)
        return (vendor, name) in self._production or name in self._lab

    def simulated(self, root: Certificate, vendor: Vendor) -> bool:
        name = _name(root)
        return name in self._lab and (vendor, name) not in self._production


def check_issued(subject: Certificate, issuer: Certificate, key: Key) -> None:
    """`issuer`, whose key is `key`, signed `subject`, and the names fit byte by byte. Raises `Rejected`
    (CERTIFICATE_CHAIN)."""
    if subject.issuer != issuer.subject:
        raise Rejected(
            Reason.CERTIFICATE_CHAIN, expected=f"{subject.common_name!r} issued by its CA", found=issuer.common_name
        )
    if subject.algorithm is not key.algorithm:
        raise Rejected(
            Reason.CERTIFICATE_CHAIN,
            expected=f"{subject.common_name!r} signed with {key.algorithm.value}",
            found=subject.algorithm.value,
        )
    try:
        key.check(subject.signature, subject.signed, Reason.CERTIFICATE_CHAIN)
    except Rejected as rejected:
        raise Rejected(
            rejected.reason,
            expected=f"{subject.common_name!r} signed by {issuer.common_name!r}",
            found="the signature does not verify",
        ) from rejected


def check_authorities(authorities: Sequence[Certificate]) -> None:
    """These may sign certificates: `authorities` from the one that issued the leaf up to the root, without the leaf.

    Each must be a CA with keyCertSign (RFC 5280 §4.2.1.3, §4.2.1.9), have no unknown critical extension, and allow as
    many intermediate certificates below it as there are. Raises `Rejected` (CERTIFICATE_CONSTRAINTS).
    """
    for below, authority in enumerate(authorities):
        if authority.unknown_critical:
            expected = "known critical extensions"
        elif not authority.is_ca or not authority.signs_certificates:
            expected = "a CA that signs certificates"
        elif authority.path_length is not None and authority.path_length < below:
            expected = f"a path length of at least {below}"
        else:
            continue
        raise Rejected(Reason.CERTIFICATE_CONSTRAINTS, expected=expected, found=authority.common_name)


def window(certificate: Certificate) -> Window:
    """When a certificate is valid."""
    return Window(certificate.common_name, certificate.not_before, certificate.not_after)


def _name(root: Certificate) -> bytes:
    return hashlib.sha256(root.key_info).digest()
