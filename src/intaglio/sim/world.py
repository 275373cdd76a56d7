"""A lab: one authority, one PCS, some platforms and an enclave vendor, in memory or in a folder that processes share.

    lab = Lab.create(None, now)                    # in memory, for tests
    lab = Lab.create(Path("lab"), now)             # lab/root.pem is what `intaglio serve --lab` is given
    machine = lab.machine("alpha")                 # needs no key of the authority

The folder holds private keys (mode 0600) of a world that nobody outside trusts.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from os import urandom
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import load_pem_x509_certificates

from intaglio.errors import Malformed
from intaglio.files import replace_private
from intaglio.sim.authority import Authority
from intaglio.sim.cpu import Processor
from intaglio.sim.machine import Machine, PlatformRecord
from intaglio.sim.pck import PckFacts
from intaglio.sim.pcs import Pcs, Published, Update
from intaglio.sim.pki import DAY, Ca
from intaglio.sim.publication import Edition, Level, QeLevel
from intaglio.sim.quoting import Pce, sign_platform_enclaves
from intaglio.sim.signing import generate_vendor_key, load_vendor_key, save_vendor_key
from intaglio.types import Tee, UnixTime

__all__ = ["DEFAULT_FMSPC", "DEFAULT_LEVEL", "Lab", "PlatformPlan", "TcbState"]

DEFAULT_FMSPC = "00a0dedede00"
"""No family of Intel's."""
DEFAULT_LEVEL = Level(components=(12, 12, 3, 3, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), pce_svn=13)
QE_SVN = 8
EVALUATION_NUMBER = 19


@dataclass(frozen=True, slots=True)
class TcbState:
    """How current a platform is: its SVNs, and what its family's levels are published as."""

    components: tuple[int, ...] = DEFAULT_LEVEL.components
    pce_svn: int = DEFAULT_LEVEL.pce_svn
    qe_svn: int = QE_SVN


@dataclass(frozen=True, slots=True)
class PlatformPlan:
    """What to build. `ca` processor: one socket, no platform instance id and no configuration in its certificate."""

    name: str
    fmspc: str = DEFAULT_FMSPC
    ca: Ca = "platform"
    tcb: TcbState = TcbState()
    pce_id: bytes = bytes(2)
    dynamic_platform: bool = False
    cached_keys: bool = False
    smt_enabled: bool = True


@dataclass(slots=True)
class Lab:
    """The world of one root. `folder` None: nothing is written."""

    authority: Authority
    vendor: rsa.RSAPrivateKey
    published: Published
    records: dict[str, PlatformRecord]
    folder: Path | None = None

    @classmethod
    def create(
        cls,
        folder: Path | None,
        now: UnixTime,
        *,
        platforms: Iterable[PlatformPlan] = (PlatformPlan("alpha"),),
        vendor: rsa.RSAPrivateKey | None = None,
        quoting_signer: rsa.RSAPrivateKey | None = None,
    ) -> Self:
        """A new lab; `folder` is made and must not hold one already (FileExistsError).

        Two RSA keys are drawn unless given, which takes most of a second.
        """
        published = Published(editions=(Edition(EVALUATION_NUMBER, (QeLevel(QE_SVN),)),), standard=EVALUATION_NUMBER)
        lab = cls(Authority.create(now, quoting_signer), vendor or generate_vendor_key(), published, {}, folder)
        if folder is not None:
            lab._found(folder)
        for plan in platforms:
            lab.add_platform(plan, now)
        return lab

    @classmethod
    def open(cls, folder: Path) -> Self:
        """A lab that `create` wrote. Raises FileNotFoundError where there is none, `Malformed` for broken state and
        `ValueError` or TypeError for keys that are none."""
        published, records = _read_state(folder)
        return cls(
            authority=Authority.load(folder / "authority"),
            vendor=load_vendor_key(folder / "vendor.key"),
            published=published,
            records=records,
            folder=folder,
        )

    def refresh(self) -> None:
        """Takes over what other processes published and registered in the folder. Keys never change. Raises as
        `open`."""
        if self.folder is not None:
            self.published, self.records = _read_state(self.folder)

    @property
    def pcs(self) -> Pcs:
        """The service as it is published now."""
        return Pcs(self.authority, self.published)

    @property
    def root_der(self) -> bytes:
        return self.authority.root.der

    @property
    def root_pem(self) -> str:
        return self.authority.root.pem

    def copy(self) -> Self:
        """A lab in memory with the same keys, whose platforms and publications may be changed apart from this
        one's."""
        return replace(self, records=dict(self.records), folder=None)

    def machine(self, name: str = "alpha") -> Machine:
        """Boots the platform `name`. Raises KeyError for a platform that the lab does not have."""
        return Machine.boot(self.records[name])

    def collateral(
        self, name: str, now: UnixTime, *, update: Update = "standard", version: int = 3, tee: Tee = Tee.SGX
    ) -> bytes:
        """The nine-field collateral for quotes of the platform `name`."""
        record = self.records[name]
        return self.pcs.collateral(record.fmspc, record.ca, now, update=update, version=version, tee=tee)

    def add_platform(self, plan: PlatformPlan, now: UnixTime) -> Machine:
        """Builds and registers a platform; its family is published with its level as UpToDate if it is new."""
        if plan.name in self.records:
            raise ValueError(f"{plan.name}: the lab has a platform of this name")
        self._register(plan, urandom(32), now)
        if not all(plan.fmspc in edition.levels for edition in self.published.editions):
            level = replace(DEFAULT_LEVEL, components=plan.tcb.components, pce_svn=plan.tcb.pce_svn)
            self.publish_levels(plan.fmspc, level, level.lowered("OutOfDate", "INTEL-SA-00001"))
        if plan.pce_id != bytes(2):
            self.publish(replace(self.published, pce_ids={**self.published.pce_ids, plan.fmspc: plan.pce_id.hex()}))
        return self.machine(plan.name)

    def set_tcb(self, name: str, tcb: TcbState, now: UnixTime) -> Machine:
        """Updates (or downgrades) a platform's microcode, PCE and QE, and registers it anew: another PCK
        certificate."""
        old = self.records[name]
        facts = old.facts
        plan = PlatformPlan(
            name, old.fmspc, old.ca, tcb, facts.pce_id, facts.dynamic_platform, facts.cached_keys, facts.smt_enabled
        )
        self._register(plan, old.fuses, now)
        return self.machine(name)

    def publish_levels(self, fmspc: str, *levels: Level) -> None:
        """Gives a family these TCB levels in every edition."""
        editions = tuple(edition.with_levels(fmspc, *levels) for edition in self.published.editions)
        self.publish(replace(self.published, editions=editions))

    def publish_qe_levels(self, *levels: QeLevel) -> None:
        """Gives the quoting enclave these levels in every edition."""
        editions = tuple(replace(edition, qe_levels=levels) for edition in self.published.editions)
        self.publish(replace(self.published, editions=editions))

    def publish(self, published: Published) -> None:
        """What the PCS serves from now on, in every process that shares the folder."""
        self.published = published
        if self.folder is not None:
            replace_private(self.folder / "published.json", json.dumps(published.to_json(), indent=1).encode("ascii"))

    def revoke_pck(self, name: str) -> None:
        """Puts the platform's PCK certificate on its issuer's CRL."""
        self.revoke(load_pem_x509_certificates(self.records[name].pck_chain.encode())[0].serial_number)

    def revoke(self, *serials: int) -> None:
        self.publish(replace(self.published, revoked=self.published.revoked | set(serials)))

    def _found(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "authority").mkdir(mode=0o700)
        (folder / "platforms").mkdir(mode=0o700)
        self.authority.save(folder / "authority")
        (folder / "root.pem").write_text(self.root_pem, "ascii")
        save_vendor_key(self.vendor, folder / "vendor.key")
        self.publish(self.published)

    def _register(self, plan: PlatformPlan, fuses: bytes, now: UnixTime) -> None:
        """What a platform does once with Intel's registration service: prove its keys, get its PCK certificate."""
        multi = plan.ca == "platform"
        facts = PckFacts(
            ppid=sha256(b"ppid" + fuses).digest()[:16],
            components=plan.tcb.components,
            pce_svn=plan.tcb.pce_svn,
            fmspc=bytes.fromhex(plan.fmspc),
            pce_id=plan.pce_id,
            sgx_type=1 if multi else 0,
            platform_instance=sha256(b"platform instance" + fuses).digest()[:16] if multi else None,
            dynamic_platform=plan.dynamic_platform,
            cached_keys=plan.cached_keys,
            smt_enabled=plan.smt_enabled,
        )
        signer = self.authority.quoting_signer
        qe, pce = sign_platform_enclaves(signer, qe_svn=plan.tcb.qe_svn, pce_svn=plan.tcb.pce_svn, now=now)
        key = Pce.launch(Processor(fuses, facts.cpu_svn), pce).pck_key()
        start = UnixTime(now - now % DAY - DAY)
        chain = self.authority.certify_pck(key.public_key(), facts, plan.ca, start)
        record = PlatformRecord(plan.name, plan.ca, facts, fuses, chain, qe, pce)
        self.records[plan.name] = record
        if self.folder is not None:
            record.save(self.folder / "platforms" / f"{plan.name}.json")


def _read_state(folder: Path) -> tuple[Published, dict[str, PlatformRecord]]:
    records = [PlatformRecord.load(path) for path in sorted((folder / "platforms").glob("*.json"))]
    return _read_published(folder / "published.json"), {record.name: record for record in records}


def _read_published(path: Path) -> Published:
    data = path.read_bytes()
    try:
        return Published.from_json(json.loads(data))
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(path.name, f"not what a lab publishes ({type(error).__name__} {error})") from error
