"""Rules about Nitro enclaves: which image, and where it runs.

PCR0 measures the image, PCR1 its kernel with the boot file system, PCR2 its application, PCR3 the instance's IAM
role, PCR4 the instance, PCR8 the certificate that signed the image (AWS, "Cryptographic attestation"). Registers from
16 on are the enclave's own to extend. AWS publishes no TCB status, so there is nothing to say of one.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from intaglio.reasons import Reason
from intaglio.types import Tee
from intaglio.verify.ledger import Group, Step
from intaglio.verify.rules.common import PIN, PLATFORMS, REPORT_DATA, read_common
from intaglio.verify.rules.fields import BytesField
from intaglio.verify.rules.rule import PinField, Rule, Rules, RuleSet
from intaglio.verify.rules.table import Table
from intaglio.wire.nitro import NitroDocument

__all__ = ["NITRO"]

MEASUREMENT = Step("policy", "measurement", "PCR0, PCR1 with PCR2, or the signer in PCR8", Group.POLICY)
CONFIGURATION = Step("policy", "configuration", "the other registers that the policy names, if any", Group.POLICY)
DEBUG = Step("policy", "debug", "production mode", Group.POLICY)

_SIZE = 48
_SIGNER = 8
_OWN = range(16, 32)
"""Registers that only the enclave itself extends."""
_REASONS = dict.fromkeys((0, 1, 2), Reason.WRONG_MEASUREMENT) | {_SIGNER: Reason.WRONG_SIGNER}
_MAX_ID = 256


def _read_register(index: int) -> Callable[[NitroDocument], bytes]:
    return lambda document: document.pcrs.get(index, b"")


PCRS = tuple(
    BytesField[NitroDocument](
        f"pcr{index}", MEASUREMENT if index in _REASONS else CONFIGURATION, f"PCR{index}", _SIZE,
        _read_register(index), _REASONS.get(index, Reason.WRONG_CONFIGURATION), signer=index == _SIGNER,
    )
    for index in range(32)
)  # fmt: skip


def _read(table: Table) -> Rules:
    registers = [pcr.listed(table) for pcr in PCRS if table.has(pcr.key)]
    named = {rule.key for rule in registers}
    exact = "pcr0" in named or named >= {"pcr1", "pcr2"}
    if not exact and f"pcr{_SIGNER}" not in named:
        table.problem("pcr0", "missing (or pcr1 and pcr2, or pcr8 for any image of a signer)")
        exact = True  # nothing more to say about the pin
    rules: tuple[Rule[Any], ...] = (
        *registers,
        *read_common(table, DEBUG, _platform_id, "instance ids and module ids"),
    )
    return Rules(rules, exact)


def _platform_id(value: object) -> str:
    """An instance (`i-0123456789abcdef0`) or one enclave on it (`i-0123456789abcdef0-enc0123456789abcdef`)."""
    if not isinstance(value, str) or not value.startswith("i-") or not value.isprintable() or len(value) > _MAX_ID:
        raise ValueError("expected an instance id such as 'i-0123456789abcdef0', or a module id")
    return value


def _extended(pinned: bytes) -> bytes:
    """A register that was zero, extended once by the hash of the pinned keys."""
    return hashlib.sha384(bytes(_SIZE) + pinned).digest()


NITRO = RuleSet(
    tee=Tee.NITRO,
    kind=NitroDocument,
    steps=(MEASUREMENT, CONFIGURATION, DEBUG, REPORT_DATA, PIN, PLATFORMS),
    identifying=MEASUREMENT,
    loose="any image of this signer",
    read=_read,
    pins={f"pcr:{n}": PinField(PCRS[n].key, PCRS[n].name, PCRS[n].read, _extended) for n in _OWN},
)
