"""The lab's stand-in for AWS Nitro: its PKI, and attestation documents before they are signed.

Certificates have the shape of AWS's: a root, then a region, a zone and an instance, each an authority with one path
length less, and a leaf that lives for three hours. All keys are on P-384. A draft begins as what an honest hypervisor
would sign for an enclave; a fault (`intaglio.sim.faults`) changes one thing in it, and `build` signs again what hangs
on it. What is signed again shows what the attacker is assumed to hold: a host holds none of these keys.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from intaglio.sim.pki import DAY, YEAR, key_usage, when
from intaglio.types import UnixTime

__all__ = ["NitroAuthority", "NitroDraft", "NitroEvidence", "NitroPlan", "holder", "indefinite"]

HOUR = 3600
MODULE_ID = "i-0a1b2c3d4e5f60718-enc0192a3b4c5d6e7f8"
ES384 = cbor2.dumps({1: -35})
ROOT, REGION, ZONE, INSTANCE, LEAF = range(5)


@dataclass(frozen=True, slots=True)
class NitroPlan:
    """What a certificate shall say. `path_length` matters for authorities only; `unknown` is a critical extension that
    nobody knows."""

    name: str
    not_before: UnixTime
    not_after: UnixTime
    ca: bool = True
    path_length: int | None = None
    signs_certificates: bool = True
    signs_data: bool = False
    unknown: bool = False
    hash: SHA256 | SHA384 = field(default_factory=SHA384)


@dataclass(slots=True)
class NitroHolder:
    """A key with what its certificate shall say. `der` replaces the certificate that `plan` would make."""

    key: ec.EllipticCurvePrivateKey
    plan: NitroPlan
    der: bytes | None = None


def holder(plan: NitroPlan) -> NitroHolder:
    """One with a fresh key."""
    return NitroHolder(ec.generate_private_key(ec.SECP384R1()), plan)


@dataclass(frozen=True, slots=True)
class NitroAuthority:
    """Everything that only AWS would hold: root, region, zone, instance and leaf, in this order."""

    holders: tuple[NitroHolder, ...]

    @classmethod
    def create(cls, now: UnixTime) -> Self:
        """Fresh keys; certificates are valid at `now`, the leaf for three hours."""
        day, domain = UnixTime(now - now % DAY), "lab.nitro-enclaves"
        instance = MODULE_ID.partition("-enc")[0]

        def until(seconds: int) -> UnixTime:
            return UnixTime(day + seconds)

        plans = (
            NitroPlan(domain, UnixTime(day - YEAR), until(29 * YEAR), signs_data=True),
            NitroPlan(f"5e6f.us-east-1.{domain}", UnixTime(day - 4 * DAY), until(16 * DAY), path_length=2),
            NitroPlan(f"7a8b.zonal.us-east-1.{domain}", UnixTime(day - DAY), until(5 * DAY), path_length=1),
            NitroPlan(f"{instance}.us-east-1.{domain}", day, until(DAY), path_length=0),
            NitroPlan(
                f"{MODULE_ID}.us-east-1.aws", UnixTime(now - 60), UnixTime(now - 60 + 3 * HOUR), ca=False,
                signs_certificates=False, signs_data=True,
            ),
        )  # fmt: skip
        return cls(tuple(map(holder, plans)))


@dataclass(frozen=True, slots=True)
class NitroEvidence:
    """What a verifier is given. `root`: DER of the root that it is told to trust; `at`: when it judges."""

    document: bytes
    root: bytes
    at: UnixTime


@dataclass(slots=True)
class NitroDraft:
    """One document of one enclave, still open to change.

    `chain` begins with the root; each certificate is signed by the one before, or by the key in `signers`. `fields` are
    the payload's, `encode` makes bytes of them; `sign` is what the leaf's key does. `edits` are applied to the finished
    bytes: what a host without any key can do. `bundle` turns the certificates that were made into those that are shown.
    """

    at: UnixTime
    root: bytes
    chain: list[NitroHolder]
    fields: dict[str, Any]
    protected: bytes = ES384
    unprotected: dict[int, bytes] = field(default_factory=dict)
    encode: Callable[[dict[str, Any]], bytes] = cbor2.dumps
    bundle: Callable[[list[bytes]], list[bytes]] = list
    signing_key: ec.EllipticCurvePrivateKey | None = None
    signers: dict[int, NitroHolder] = field(default_factory=dict)
    serve: Callable[[bytes], bytes] = bytes
    edits: list[Callable[[bytes], bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, authority: NitroAuthority, at: UnixTime, *, report_data: bytes = bytes(range(64))) -> Self:
        """The honest draft: a production enclave, made now, that states its map's size as documents did until
        December 2025."""
        registers = {index: bytes(48) for index in range(16)}
        registers |= {index: bytes((0xA0 + index,)) * 48 for index in (0, 1, 2, 3, 4, 8)}
        fields = {
            "module_id": MODULE_ID, "digest": "SHA384", "timestamp": at * 1000 + 123, "pcrs": registers,
            "certificate": b"", "cabundle": [], "public_key": None, "user_data": report_data, "nonce": None,
        }  # fmt: skip
        chain = [replace(each) for each in authority.holders]
        return cls(at, _issue(chain[ROOT], chain[ROOT]), chain, fields)

    def plan(self, which: int, **changes: Any) -> None:
        """AWS certifies something else: `changes` of one certificate's plan."""
        self.chain[which].plan = replace(self.chain[which].plan, **changes)

    def certificates(self) -> list[bytes]:
        """Root to leaf, each signed by the one before it."""
        ders: list[bytes] = []
        for index, each in enumerate(self.chain):
            issuer = self.signers.get(index, self.chain[max(0, index - 1)])
            ders.append(each.der if each.der is not None else _issue(each, issuer))
        return ders

    def payload(self) -> bytes:
        """As it is signed."""
        *authorities, leaf = self.bundle(self.certificates())
        shown = {"certificate": leaf, "cabundle": authorities}
        made = {name: shown.get(name, value) for name, value in self.fields.items()}
        return self.encode(made)

    def build(self) -> NitroEvidence:
        """Signs everything that is signed and assembles it."""
        payload = self.payload()
        key = self.signing_key or self.chain[-1].key
        signed = cbor2.dumps(["Signature1", self.protected, b"", payload])
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(SHA384())))
        signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
        document = cbor2.dumps([self.protected, self.unprotected, self.serve(payload), signature])
        for edit in self.edits:
            document = edit(document)
        return NitroEvidence(document, self.root, self.at)


def indefinite(fields: dict[str, Any]) -> bytes:
    """The same map, ended by a break instead of stating its size: documents since December 2025."""
    return b"\xbf" + cbor2.dumps(fields)[1:] + b"\xff"


def _issue(subject: NitroHolder, issuer: NitroHolder) -> bytes:
    plan, public = subject.plan, subject.key.public_key()
    usage = key_usage(data=plan.signs_data, certificates=plan.signs_certificates)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(plan.name))
        .issuer_name(_name(issuer.plan.name))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(when(plan.not_before))
        .not_valid_after(when(plan.not_after))
        .add_extension(x509.BasicConstraints(plan.ca, plan.path_length if plan.ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(usage, critical=True)
    )
    if plan.unknown:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    return builder.sign(issuer.key, plan.hash).public_bytes(Encoding.DER)


def _name(common_name: str) -> x509.Name:
    oids = x509.NameOID
    return x509.Name(
        [
            x509.NameAttribute(oids.COUNTRY_NAME, "US"),
            x509.NameAttribute(oids.ORGANIZATION_NAME, "Intaglio Lab (simulated)"),
            x509.NameAttribute(oids.ORGANIZATIONAL_UNIT_NAME, "AWS"),
            x509.NameAttribute(oids.COMMON_NAME, common_name),
        ]
    )
