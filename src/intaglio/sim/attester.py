"""The attester that a simulated enclave hands to the SDK: EREPORT and quote, EGETKEY, and files of the measured
image."""

from intaglio.attest.base import SealPolicy
from intaglio.errors import LocalProtocolError
from intaglio.sim.cpu import Enclave
from intaglio.sim.machine import Machine
from intaglio.sim.structures import KeyName, KeyPolicy, KeyRequest
from intaglio.types import ReportData, Tee
from intaglio.wire.sgx import AttributeFlag, Attributes

__all__ = ["SimulatedAttester"]

_SEALED_FLAGS = AttributeFlag.INIT | AttributeFlag.DEBUG | AttributeFlag.PROVISION_KEY | AttributeFlag.EINITTOKEN_KEY
"""Attributes that decide what an enclave may do; a sealing key depends on all of them, as in Intel's SDK."""


class SimulatedAttester:
    """Implements `intaglio.attest.base.Attester` for one enclave on one machine."""

    def __init__(self, machine: Machine, enclave: Enclave) -> None:
        self._machine = machine
        self._enclave = enclave

    @property
    def tee(self) -> Tee:
        return Tee.SGX

    @property
    def enclave(self) -> Enclave:
        return self._enclave

    def evidence(self, report_data: ReportData) -> bytes:
        """A v3 quote of this enclave over these 64 bytes."""
        return self._machine.quote(self._enclave, report_data)

    @property
    def isv_svn(self) -> int:
        return self._enclave.identity.isv_svn

    @property
    def config_id(self) -> bytes:
        return self._enclave.identity.config_id

    def seal_key(self, policy: SealPolicy, key_id: bytes, isv_svn: int) -> bytes:
        """16 bytes. `isv_svn`: that of the enclave which sealed, at most ours.

        Raises `LocalProtocolError` for an empty policy (any enclave on the CPU could derive such a key) and
        `SgxFault` for an ISVSVN above ours.
        """
        if not policy:
            raise LocalProtocolError("seal_key: the policy names neither MRENCLAVE nor MRSIGNER")
        request = KeyRequest(
            KeyName.SEAL,
            KeyPolicy(int(policy)),
            isv_svn=isv_svn,
            attributes_mask=Attributes(_SEALED_FLAGS, 0),
            key_id=key_id,
        )
        return self._enclave.get_key(request)

    def trusted_file(self, name: str) -> bytes:
        """From the image as it was measured; the host's disk is not asked again. Raises FileNotFoundError."""
        return self._enclave.image.content(name)
