"""Rules about SGX enclaves (check 30): which enclave, in which configuration, with which powers."""

from dataclasses import dataclass
from typing import Any

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import Tee
from intaglio.verify.ledger import Group, Step
from intaglio.verify.rules import intel
from intaglio.verify.rules.common import PIN, PLATFORMS, REPORT_DATA, read_common
from intaglio.verify.rules.extent import Extent, Named
from intaglio.verify.rules.fields import BytesField, NumberField
from intaglio.verify.rules.rule import Case, Exactly, PinField, Rule, Rules, RuleSet
from intaglio.verify.rules.table import Table, number, true
from intaglio.wire.cbor import Value
from intaglio.wire.sgx import AttributeFlag, ReportBody

__all__ = ["SGX"]

MEASUREMENT = Step("30", "measurement", "MRENCLAVE, or MRSIGNER with product and security version", Group.POLICY)
CONFIGURATION = Step("30", "configuration", "the KSS fields and attributes that the policy names, if any", Group.POLICY)
DEBUG = Step("30", "debug", "production mode", Group.POLICY)
PRIVILEGE = Step("30", "privileged attributes", "neither PROVISION_KEY nor EINITTOKEN_KEY", Group.POLICY)


_BytesOf = BytesField[ReportBody]
MR_ENCLAVE = _BytesOf(
    "mr_enclave", MEASUREMENT, "MRENCLAVE", 32, lambda body: body.mr_enclave, Reason.WRONG_MEASUREMENT
)
MR_SIGNER = _BytesOf("mr_signer", MEASUREMENT, "MRSIGNER", 32, lambda body: body.mr_signer, Reason.WRONG_SIGNER)
CONFIG_ID = _BytesOf(
    "config_id", CONFIGURATION, "CONFIGID", 64, lambda body: body.config_id, Reason.WRONG_CONFIGURATION
)
FAMILY_ID = _BytesOf(
    "family_id", CONFIGURATION, "ISVFAMILYID", 16, lambda body: body.isv_family_id, Reason.WRONG_PRODUCT
)
EXT_PROD_ID = _BytesOf(
    "ext_prod_id", CONFIGURATION, "ISVEXTPRODID", 16, lambda body: body.isv_ext_prod_id, Reason.WRONG_PRODUCT
)
ATTRIBUTES = _BytesOf(
    "attributes", CONFIGURATION, "attributes", 16, lambda body: body.attributes.encode(), Reason.WRONG_CONFIGURATION
)
MISC_SELECT = _BytesOf(
    "misc_select", CONFIGURATION, "MISCSELECT", 4, lambda body: body.misc_select.to_bytes(4, "little"),
    Reason.WRONG_CONFIGURATION,
)  # fmt: skip
_NumberOf = NumberField[ReportBody]
MIN_ISV_SVN = _NumberOf("min_isv_svn", MEASUREMENT, "ISVSVN", 0xFFFF, lambda body: body.isv_svn, Reason.SVN_TOO_LOW)
MIN_CONFIG_SVN = _NumberOf(
    "min_config_svn", CONFIGURATION, "CONFIGSVN", 0xFFFF, lambda body: body.config_svn, Reason.SVN_TOO_LOW
)


@dataclass(frozen=True, slots=True)
class Privilege(Rule[ReportBody]):
    """Keys that only architectural enclaves need, unless the table allows them by an ugly name."""

    allowed: bool

    def check(self, case: Case[ReportBody]) -> str:
        held = [
            flag.name or ""
            for flag in (AttributeFlag.PROVISION_KEY, AttributeFlag.EINITTOKEN_KEY)
            if case.identity.attributes.has(flag)
        ]
        if held and not self.allowed:
            raise Rejected(Reason.PRIVILEGED_ENCLAVE, found=held)
        return ", ".join(held) or "none"

    @property
    def extent(self) -> Extent | None:
        return Named(frozenset(("privileged",) if self.allowed else ()))

    def canonical(self) -> Value:
        return self.allowed

    @property
    def sentence(self) -> str:
        return "any privileged attributes" if self.allowed else "neither PROVISION_KEY nor EINITTOKEN_KEY"

    @property
    def danger(self) -> str | None:
        return "dangerous_allow_privileged: the enclave may derive provisioning keys" if self.allowed else None


def _read(table: Table) -> Rules:
    identity = _read_identity(table)
    rules: tuple[Rule[Any], ...] = (
        *identity,
        *CONFIG_ID.maybe(table),
        *FAMILY_ID.maybe(table),
        *EXT_PROD_ID.maybe(table),
        *MIN_CONFIG_SVN.maybe(table),
        *ATTRIBUTES.masked(table),
        *MISC_SELECT.masked(table),
        Privilege("dangerous_allow_privileged", PRIVILEGE, table.maybe("dangerous_allow_privileged", true, False)),
        *intel.read_intel(table),
        *read_common(table, DEBUG, intel.platform_id, "PPIDs and platform instance ids"),
    )
    return Rules(rules, exact=all(rule.key != MR_SIGNER.key for rule in identity))


def _read_identity(table: Table) -> list[Rule[ReportBody]]:
    """Either `mr_enclave`, perhaps with `min_isv_svn`, or `mr_signer` with `isv_prod_id` and `min_isv_svn`."""
    if table.has("mr_enclave"):
        for key in ("mr_signer", "isv_prod_id"):
            if table.has(key):
                table.problem(key, "mr_enclave already says which enclave it is")
                table.drop(key)
        return [MR_ENCLAVE.listed(table), *MIN_ISV_SVN.maybe(table)]
    if not table.has("mr_signer"):
        table.problem("mr_enclave", "missing (or mr_signer with isv_prod_id and min_isv_svn)")
        return []
    product = table.take("isv_prod_id", number(0xFFFF), 0)
    return [
        MR_SIGNER.one(table),
        Exactly("isv_prod_id", MEASUREMENT, "ISVPRODID", lambda body: body.isv_prod_id, product, Reason.WRONG_PRODUCT),
        MIN_ISV_SVN.minimum(table),
    ]


SGX = RuleSet(
    tee=Tee.SGX,
    kind=ReportBody,
    steps=(
        MEASUREMENT, CONFIGURATION, DEBUG, PRIVILEGE, REPORT_DATA, PIN, *intel.STEPS, PLATFORMS, intel.FLAGS,
    ),
    identifying=MEASUREMENT,
    loose="any image of this signer",
    read=_read,
    pins={"config_id": PinField("config_id", "CONFIGID", CONFIG_ID.read, lambda pinned: pinned + bytes(32))},
)  # fmt: skip
