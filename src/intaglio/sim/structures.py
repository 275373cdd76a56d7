"""What an enclave asks of its CPU, and how that refuses: KEYREQUEST (Intel SDM vol. 3D, section 35) and fault codes."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum, IntFlag

from intaglio.errors import LocalProtocolError
from intaglio.wire.sgx import Attributes

__all__ = ["KeyName", "KeyPolicy", "KeyRequest", "SgxCode", "SgxFault"]


class SgxCode(Enum):
    """The error codes of ENCLU and ENCLS leaves that this CPU can answer with, by Intel's names."""

    INVALID_SIG_STRUCT = 1
    INVALID_ATTRIBUTE = 2
    INVALID_MEASUREMENT = 4
    INVALID_SIGNATURE = 8
    INVALID_CPUSVN = 32
    INVALID_ISVSVN = 64
    INVALID_KEYNAME = 256
    GENERAL_PROTECTION = -1
    """#GP(0): Intel answers malformed operands with a fault, not a code."""


class SgxFault(LocalProtocolError):
    """The simulated CPU refused an instruction, for the reason in `code`."""

    def __init__(self, instruction: str, code: SgxCode, problem: str) -> None:
        super().__init__(f"{instruction}: {code.name}: {problem}")
        self.code = code


class KeyName(IntEnum):
    """KEYREQUEST.KEYNAME."""

    EINITTOKEN = 0
    PROVISION = 1
    PROVISION_SEAL = 2
    REPORT = 3
    SEAL = 4


class KeyPolicy(IntFlag):
    """KEYREQUEST.KEYPOLICY. The last four need an enclave with the KSS attribute."""

    MRENCLAVE = 1 << 0
    MRSIGNER = 1 << 1
    NOISVPRODID = 1 << 2
    CONFIGID = 1 << 3
    ISVFAMILYID = 1 << 4
    ISVEXTPRODID = 1 << 5


_NOTHING_KEPT = Attributes(0, 0)


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What an enclave asks EGETKEY for. `cpu_svn` None means the current one."""

    name: KeyName
    policy: KeyPolicy = field(default_factory=lambda: KeyPolicy(0))
    isv_svn: int = 0
    config_svn: int = 0
    cpu_svn: bytes | None = None
    attributes_mask: Attributes = _NOTHING_KEPT
    key_id: bytes = bytes(32)
    misc_mask: int = 0

    def __post_init__(self) -> None:
        if len(self.key_id) != 32:
            raise ValueError(f"keyrequest: key_id is 32 bytes, not {len(self.key_id)}")
