"""A CPU with SGX, in software: it measures enclaves, checks their SIGSTRUCT, makes reports and derives keys.

It follows the pseudo-code of Intel's SDM vol. 3D for ECREATE, EADD, EEXTEND, EINIT, EREPORT and EGETKEY. Two
things are ours, because Intel keeps them in microcode: the key derivation function (AES-128-CMAC, keyed by the
fuses, over the SDM's list of key dependencies in the order of `_Dependencies`) and the meaning of CPUSVN
(sixteen component SVNs, compared one by one). It protects nothing: whoever reads this process's memory has the
fuses.
"""

import hmac
from dataclasses import dataclass, replace
from os import urandom

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA256

from intaglio.sim.measure import Image
from intaglio.sim.structures import (
    KeyName,
    KeyPolicy,
    KeyRequest,
    SgxCode,
    SgxFault,
)
from intaglio.types import Measurement, ReportData
from intaglio.wire.sgx import AttributeFlag, Attributes, LocalReport, ReportBody
from intaglio.wire.sigstruct import Sigstruct
from intaglio.wire.target_info import TargetInfo

__all__ = ["Enclave", "LaunchOptions", "Processor"]

_EXPONENT = 3
_SEALING_FLAGS = AttributeFlag.INIT | AttributeFlag.DEBUG
"""Never masked out of a sealing key: a debug enclave must not derive the keys of a production one."""
_KSS_POLICY = KeyPolicy.NOISVPRODID | KeyPolicy.CONFIGID | KeyPolicy.ISVFAMILYID | KeyPolicy.ISVEXTPRODID


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What the host decides when it launches an enclave; SIGSTRUCT's masks say which of it the vendor allows.

    `extra_flags` are attribute flags beyond those SIGSTRUCT requires. `config_id` and `config_svn` need the KSS flag.
    """

    debug: bool = False
    extra_flags: int = 0
    config_id: bytes = bytes(64)
    config_svn: int = 0


@dataclass(frozen=True, slots=True)
class Processor:
    """One physical CPU. `fuses`: 32 secret bytes, half for provisioning and half for sealing; `cpu_svn`: 16 bytes."""

    fuses: bytes
    cpu_svn: bytes
    owner_epoch: bytes = bytes(16)

    def __post_init__(self) -> None:
        if len(self.fuses) != 32 or len(self.cpu_svn) != 16 or len(self.owner_epoch) != 16:
            raise ValueError("processor: fuses are 32 bytes, cpu_svn and owner_epoch 16")

    def launch(self, image: Image, sigstruct: bytes, options: LaunchOptions | None = None) -> "Enclave":
        """ECREATE, EADD and EEXTEND of every page, then EINIT with `sigstruct` (1,808 bytes).

        Raises `Malformed` for bytes that are no SIGSTRUCT, `SgxFault` where EINIT refuses.
        """
        chosen = options or LaunchOptions()
        signed = Sigstruct.parse(sigstruct)
        flags = signed.attributes.flags | chosen.extra_flags | (AttributeFlag.DEBUG if chosen.debug else 0)
        attributes = Attributes(flags, signed.attributes.xfrm)
        mr_enclave = image.mr_enclave()
        _einit(signed, mr_enclave, attributes, chosen)
        identity = ReportBody(
            cpu_svn=self.cpu_svn,
            misc_select=signed.misc_select,
            cet_attributes=signed.cet_attributes,
            isv_ext_prod_id=signed.isv_ext_prod_id,
            attributes=replace(attributes, flags=attributes.flags | AttributeFlag.INIT),
            mr_enclave=mr_enclave,
            mr_signer=signed.mr_signer,
            config_id=chosen.config_id,
            isv_prod_id=signed.isv_prod_id,
            isv_svn=signed.isv_svn,
            config_svn=chosen.config_svn,
            isv_family_id=signed.isv_family_id,
            report_data=ReportData(bytes(64)),
        )
        return Enclave(self, image, identity)

    def derive(self, dependencies: "_Dependencies", *, provisioning: bool) -> bytes:
        """The key that depends on exactly these: 16 bytes. Microcode's part; enclaves reach it through EGETKEY
        only."""
        return _cmac(self.fuses[:16] if provisioning else self.fuses[16:], dependencies.encode())


@dataclass(frozen=True, slots=True)
class Enclave:
    """An initialised enclave, seen from inside. `identity` is its report body with empty report data."""

    processor: Processor
    image: Image
    identity: ReportBody

    @property
    def target_info(self) -> TargetInfo:
        """What another enclave needs to address a report to this one."""
        return TargetInfo.of(self.identity)

    def report(self, target: TargetInfo, report_data: ReportData) -> bytes:
        """EREPORT: 432 bytes that only `target`, on this very CPU, can check."""
        body = replace(self.identity, report_data=report_data)
        key_id = urandom(32)
        mac = _cmac(self.processor.derive(self._report_key(target, key_id), provisioning=False), body.encode())
        return LocalReport(body, key_id, mac).encode()

    def accepts(self, report: LocalReport) -> bool:
        """Whether `report` was made on this CPU for this enclave: EGETKEY of the report key, then the MAC."""
        return hmac.compare_digest(_cmac(self.report_key(report.key_id), report.body.encode()), report.mac)

    def report_key(self, key_id: bytes) -> bytes:
        """EGETKEY of the key that authenticates the reports addressed to this enclave under `key_id`: 16 bytes."""
        return self.get_key(KeyRequest(KeyName.REPORT, key_id=key_id))

    def get_key(self, request: KeyRequest) -> bytes:
        """EGETKEY: 16 bytes. Raises `SgxFault` for keys that this enclave may not have."""
        if request.name is KeyName.REPORT:
            dependencies = self._report_key(self.target_info, request.key_id)
            return self.processor.derive(dependencies, provisioning=False)
        self._check_request(request)
        if request.name is KeyName.SEAL:
            return self.processor.derive(self._seal_key(request), provisioning=False)
        if not self.identity.attributes.has(AttributeFlag.PROVISION_KEY):
            raise SgxFault("EGETKEY", SgxCode.INVALID_ATTRIBUTE, "the enclave lacks the PROVISION_KEY attribute")
        return self.processor.derive(self._provision_key(request), provisioning=True)

    def _check_request(self, request: KeyRequest) -> None:
        if request.name is KeyName.EINITTOKEN:
            raise SgxFault("EGETKEY", SgxCode.INVALID_KEYNAME, "this CPU launches without tokens")
        if request.isv_svn > self.identity.isv_svn:
            raise SgxFault("EGETKEY", SgxCode.INVALID_ISVSVN, "isv_svn is above the enclave's own")
        kss = self.identity.attributes.has(AttributeFlag.KSS)
        if request.policy & _KSS_POLICY and not kss:
            raise SgxFault("EGETKEY", SgxCode.GENERAL_PROTECTION, "this key policy needs the KSS attribute")
        if request.config_svn > self.identity.config_svn:
            raise SgxFault("EGETKEY", SgxCode.INVALID_ISVSVN, "config_svn is above the enclave's own")
        wanted = self._cpu_svn(request)
        if len(wanted) != 16 or any(w > have for w, have in zip(wanted, self.processor.cpu_svn, strict=True)):
            raise SgxFault("EGETKEY", SgxCode.INVALID_CPUSVN, "cpu_svn is above the platform's own")

    def _cpu_svn(self, request: KeyRequest) -> bytes:
        return self.processor.cpu_svn if request.cpu_svn is None else request.cpu_svn

    def _seal_key(self, request: KeyRequest) -> "_Dependencies":
        own, policy = self.identity, request.policy
        mask = request.attributes_mask
        kss = own.attributes.has(AttributeFlag.KSS)
        return _Dependencies(
            name=KeyName.SEAL,
            isv_prod_id=0 if policy & KeyPolicy.NOISVPRODID else own.isv_prod_id,
            isv_svn=request.isv_svn,
            config_svn=request.config_svn,
            isv_ext_prod_id=own.isv_ext_prod_id if kss and policy & KeyPolicy.ISVEXTPRODID else bytes(16),
            isv_family_id=own.isv_family_id if kss and policy & KeyPolicy.ISVFAMILYID else bytes(16),
            owner_epoch=self.processor.owner_epoch,
            attributes=Attributes(
                own.attributes.flags & (mask.flags | _SEALING_FLAGS), own.attributes.xfrm & mask.xfrm
            ),
            attributes_mask=mask,
            mr_enclave=own.mr_enclave if policy & KeyPolicy.MRENCLAVE else _NO_MEASUREMENT,
            mr_signer=own.mr_signer if policy & KeyPolicy.MRSIGNER else _NO_MEASUREMENT,
            key_id=request.key_id,
            cpu_svn=self._cpu_svn(request),
            misc_select=own.misc_select & request.misc_mask,
            policy=policy,
            config_id=own.config_id if policy & KeyPolicy.CONFIGID else bytes(64),
        )

    def _provision_key(self, request: KeyRequest) -> "_Dependencies":
        """Bound to the signer, not the owner: it must survive a change of owner epoch."""
        own = self.identity
        mask = request.attributes_mask
        return _Dependencies(
            name=request.name,
            isv_prod_id=own.isv_prod_id,
            isv_svn=request.isv_svn,
            attributes=Attributes(
                own.attributes.flags & (mask.flags | _SEALING_FLAGS | AttributeFlag.PROVISION_KEY),
                own.attributes.xfrm & mask.xfrm,
            ),
            attributes_mask=mask,
            mr_signer=own.mr_signer,
            cpu_svn=self._cpu_svn(request),
            misc_select=own.misc_select & request.misc_mask,
        )

    def _report_key(self, target: TargetInfo, key_id: bytes) -> "_Dependencies":
        return _Dependencies(
            name=KeyName.REPORT,
            owner_epoch=self.processor.owner_epoch,
            attributes=target.attributes,
            mr_enclave=target.mr_enclave,
            key_id=key_id,
            cpu_svn=self.processor.cpu_svn,
            misc_select=target.misc_select,
            cet_attributes=target.cet_attributes,
            config_id=target.config_id,
            config_svn=target.config_svn,
        )


_NO_ATTRIBUTES = Attributes(0, 0)
_NO_MEASUREMENT = Measurement(bytes(32))


@dataclass(frozen=True, slots=True)
class _Dependencies:
    """The SDM's key dependencies (EGETKEY, TMP_KEYDEPENDENCIES), fuses aside: those are the key of the CMAC."""

    name: KeyName
    isv_prod_id: int = 0
    isv_svn: int = 0
    config_svn: int = 0
    isv_ext_prod_id: bytes = bytes(16)
    isv_family_id: bytes = bytes(16)
    owner_epoch: bytes = bytes(16)
    attributes: Attributes = _NO_ATTRIBUTES
    attributes_mask: Attributes = _NO_ATTRIBUTES
    mr_enclave: Measurement = _NO_MEASUREMENT
    mr_signer: Measurement = _NO_MEASUREMENT
    key_id: bytes = bytes(32)
    cpu_svn: bytes = bytes(16)
    misc_select: int = 0
    cet_attributes: int = 0
    policy: int = 0
    config_id: bytes = bytes(64)

    def encode(self) -> bytes:
        """271 bytes, every field of fixed width, so that two different sets never meet in one string."""
        numbers = (self.name, self.isv_prod_id, self.isv_svn, self.config_svn, self.policy)
        return b"".join(
            (
                *(number.to_bytes(2, "little") for number in numbers),
                self.misc_select.to_bytes(4, "little"),
                bytes((self.cet_attributes,)),
                self.isv_ext_prod_id,
                self.isv_family_id,
                self.owner_epoch,
                self.attributes.encode(),
                self.attributes_mask.encode(),
                self.mr_enclave,
                self.mr_signer,
                self.key_id,
                self.cpu_svn,
                self.config_id,
            )
        )


def _einit(signed: Sigstruct, measured: Measurement, attributes: Attributes, options: LaunchOptions) -> None:
    """EINIT's checks, in the SDM's order. Raises `SgxFault`."""
    if signed.exponent != _EXPONENT or signed.modulus.bit_length() != 3072:
        raise SgxFault("EINIT", SgxCode.INVALID_SIG_STRUCT, "the key is not RSA-3072 with exponent 3")
    if signed.signed(signed.signature) != signed:
        raise SgxFault("EINIT", SgxCode.INVALID_SIGNATURE, "q1 or q2 do not follow from the signature")
    key = rsa.RSAPublicNumbers(_EXPONENT, signed.modulus).public_key()
    try:
        key.verify(signed.signature.to_bytes(384, "big"), signed.signed_bytes, padding.PKCS1v15(), SHA256())
    except InvalidSignature as error:
        raise SgxFault("EINIT", SgxCode.INVALID_SIGNATURE, "the signature does not hold") from error
    if signed.enclave_hash != measured:
        problem = f"signed {signed.enclave_hash.hex()}, measured {measured.hex()}"
        raise SgxFault("EINIT", SgxCode.INVALID_MEASUREMENT, problem)
    mask = signed.attributes_mask
    unwanted = (attributes.flags ^ signed.attributes.flags) & mask.flags
    if unwanted or (attributes.xfrm ^ signed.attributes.xfrm) & mask.xfrm:
        raise SgxFault("EINIT", SgxCode.INVALID_ATTRIBUTE, f"the signer does not allow flags {unwanted:#x}")
    with_kss = (options.config_id, options.config_svn, signed.isv_family_id, signed.isv_ext_prod_id)
    if not attributes.flags & AttributeFlag.KSS and with_kss != (bytes(64), 0, bytes(16), bytes(16)):
        raise SgxFault("EINIT", SgxCode.INVALID_ATTRIBUTE, "configuration and family ids need the KSS attribute")


def _cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(AES128(key))
    mac.update(message)
    return mac.finalize()
