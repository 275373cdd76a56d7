"""Rules about SEV-SNP guests: what was launched, under which guest policy, on which firmware and platform.

The words are AMD's. Reports say nothing like a TCB status, so a table names the least security versions itself. What
MEASUREMENT covers depends on how the guest was launched: firmware only, or kernel, command line and initial file
system too where the launcher puts their hashes into it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import Tee
from intaglio.verify.ledger import Group, Step
from intaglio.verify.rules.common import PIN, PLATFORMS, REPORT_DATA, read_common
from intaglio.verify.rules.extent import Extent, Floor, Named
from intaglio.verify.rules.fields import BytesField, NumberField
from intaglio.verify.rules.firmware import STEP as FIRMWARE
from intaglio.verify.rules.firmware import read_firmware, version
from intaglio.verify.rules.rule import Case, Exactly, Forbidden, Is, PinField, Rule, Rules, RuleSet
from intaglio.verify.rules.table import Table, hexadecimal, number, permitted, true
from intaglio.verify.verdict import Identity
from intaglio.wire.cbor import Value
from intaglio.wire.snp import SigningKey, SnpReport
from intaglio.wire.snp_fields import Product

__all__ = ["SNP"]

MEASUREMENT = Step("policy", "measurement", "MEASUREMENT, or a signer with image and security version", Group.POLICY)
CONFIGURATION = Step("policy", "configuration", "host data, ids and VMPL as the policy names them", Group.POLICY)
GUEST_POLICY = Step("policy", "guest policy", "a guest policy that allows no more than this one", Group.POLICY)
DEBUG = Step("policy", "debug", "production mode", Group.POLICY)
PLATFORM = Step("policy", "platform information", "product, key and platform as the policy names them", Group.POLICY)

_Bytes = BytesField[SnpReport]
MEASURED = _Bytes(
    "measurement", MEASUREMENT, "MEASUREMENT", 48, lambda report: report.measurement, Reason.WRONG_MEASUREMENT
)
ID_KEY = _Bytes(
    "id_key_digest", MEASUREMENT, "ID_KEY_DIGEST", 48, lambda report: report.id_key_digest, Reason.WRONG_SIGNER,
    signer=True,
)  # fmt: skip
AUTHOR_KEY = _Bytes(
    "author_key_digest", MEASUREMENT, "AUTHOR_KEY_DIGEST", 48,
    lambda report: report.author_key_digest if report.author_key_en else b"", Reason.WRONG_SIGNER, signer=True,
)  # fmt: skip
FAMILY_ID = _Bytes("family_id", MEASUREMENT, "FAMILY_ID", 16, lambda report: report.family_id, Reason.WRONG_PRODUCT)
IMAGE_ID = _Bytes("image_id", MEASUREMENT, "IMAGE_ID", 16, lambda report: report.image_id, Reason.WRONG_PRODUCT)
GUEST_SVN: NumberField[SnpReport] = NumberField(
    "min_guest_svn", MEASUREMENT, "GUEST_SVN", 0xFFFFFFFF, lambda report: report.guest_svn, Reason.SVN_TOO_LOW
)
HOST_DATA = _Bytes(
    "host_data", CONFIGURATION, "HOST_DATA", 32, lambda report: report.host_data, Reason.WRONG_CONFIGURATION
)
REPORT_ID = _Bytes("report_id", CONFIGURATION, "REPORT_ID", 32, lambda report: report.report_id, Reason.WRONG_GUEST)
REPORT_ID_MA = _Bytes(
    "report_id_ma", CONFIGURATION, "REPORT_ID_MA", 32, lambda report: report.report_id_ma, Reason.WRONG_GUEST
)

_DEMANDS = ("single_socket", "mem_aes_256_xts", "rapl_dis", "ciphertext_hiding_dram", "page_swap_disable")
"""Bits of a guest policy that protect the guest: a table may want them on."""
_FACTS = (
    "smt_en", "tsme_en", "ecc_en", "rapl_dis", "ciphertext_hiding_dram_en", "alias_check_complete", "tio_en",
)  # fmt: skip
_CSP = "csp:"


@dataclass(frozen=True, slots=True)
class MinAbi(Rule[SnpReport]):
    """The guest's own minimum of the firmware ABI, which the firmware enforces."""

    least: tuple[int, int]

    def check(self, case: Case[SnpReport]) -> str:
        major, minor = case.identity.policy.abi
        if (major, minor) < self.least:
            raise Rejected(Reason.GUEST_POLICY, expected=self.sentence, found=f"ABI {major}.{minor}")
        return f"ABI {major}.{minor}"

    @property
    def sentence(self) -> str:
        return f"a guest policy that demands ABI {self.least[0]}.{self.least[1]} or later"

    @property
    def extent(self) -> Extent:
        return Floor({"": self.least[0] << 8 | self.least[1]})

    def canonical(self) -> Value:
        return list(self.least)


@dataclass(frozen=True, slots=True)
class Products(Rule[Identity]):
    """AMD's product lines."""

    allowed: frozenset[str]

    def check(self, case: Case[Identity]) -> str:
        product = case.verdict.platform.product if case.verdict.platform else None
        if product not in self.allowed:
            raise Rejected(Reason.PLATFORM_NOT_ALLOWED, expected=sorted(self.allowed), found=product or "not stated")
        return str(product)

    @property
    def sentence(self) -> str:
        return f"product {' or '.join(sorted(self.allowed))}"

    @property
    def extent(self) -> Extent:
        return Named(self.allowed)

    def canonical(self) -> Value:
        return list[Value](sorted(self.allowed))


@dataclass(frozen=True, slots=True)
class RevocationChecked(Rule[Identity]):
    """A revocation list was consulted. AMD's is optional: without one a revoked key is found only by its absence."""

    def check(self, case: Case[Identity]) -> str:
        platform = case.verdict.platform
        if platform is None or platform.revocation_checked is not True:
            raise Rejected(Reason.REVOCATION_UNKNOWN, expected=self.sentence, found="no list was supplied")
        return self.sentence

    @property
    def sentence(self) -> str:
        return "revocation checked"

    @property
    def extent(self) -> Extent:
        return Named(frozenset((self.sentence,)))

    def canonical(self) -> Value:
        return True


def _read(table: Table) -> Rules:
    identity, exact = _read_identity(table)
    rules: tuple[Rule[Any], ...] = (
        *identity,
        Exactly("vmpl", CONFIGURATION, "VMPL", lambda report: report.vmpl, table.take("vmpl", number(3), 0),
                Reason.WRONG_VMPL),
        *HOST_DATA.maybe(table),
        *REPORT_ID.maybe(table),
        *REPORT_ID_MA.maybe(table),
        *_read_guest_policy(table),
        *read_firmware(table),
        *_read_platform(table),
        *read_common(table, DEBUG, _platform_id, "chip ids, or 'csp:' and a cloud's id"),
    )  # fmt: skip
    return Rules(rules, exact)


def _read_identity(table: Table) -> tuple[list[Rule[SnpReport]], bool]:
    """`measurement`, or whatever a signer signed as this product from a security version on."""
    signers = [*ID_KEY.maybe(table), *AUTHOR_KEY.maybe(table)]
    signers += [
        Is(key, MEASUREMENT, name, read, table.maybe(key, true, True), Reason.WRONG_SIGNER)
        for key, name, read in _SIGNED
        if table.has(key)
    ]
    if table.has("measurement"):
        more = (*FAMILY_ID.maybe(table), *IMAGE_ID.maybe(table), *GUEST_SVN.maybe(table))
        return [MEASURED.listed(table), *signers, *more], True
    if not any(rule.key in (ID_KEY.key, AUTHOR_KEY.key) for rule in signers):
        table.problem(
            "measurement",
            "missing (or id_key_digest or author_key_digest with family_id, image_id and min_guest_svn)",
        )
        for key in (FAMILY_ID.key, IMAGE_ID.key, GUEST_SVN.key):
            table.drop(key)
        return [], True
    return [*signers, FAMILY_ID.one(table), IMAGE_ID.one(table), GUEST_SVN.minimum(table)], False


_SIGNED: tuple[tuple[str, str, Callable[[SnpReport], bool]], ...] = (
    ("require_id_block", "an ID block", lambda report: bool(report.id_key_digest.strip(b"\0"))),
    ("require_author_key", "an author key", lambda report: report.author_key_en),
)


def _read_guest_policy(table: Table) -> list[Rule[SnpReport]]:
    below = table.below("guest_policy")
    reason = Reason.GUEST_POLICY
    rules: list[Rule[SnpReport]] = [
        Forbidden(below.key("smt"), GUEST_POLICY, "SMT", lambda report: report.policy.smt,
                  below.take("smt", permitted, False), reason, None),
        Forbidden(below.key("cxl_allow"), GUEST_POLICY, "CXL", lambda report: report.policy.cxl_allow,
                  below.maybe("cxl_allow", permitted, False), reason, None),
        Forbidden("dangerous_allow_migration", GUEST_POLICY, "migration", lambda report: report.policy.migrate_ma,
                  table.maybe("dangerous_allow_migration", true, False), Reason.MIGRATABLE_GUEST,
                  "the guest may be moved to a platform that nobody judged"),
    ]  # fmt: skip
    least = below.maybe("min_abi", version, None)
    if least is not None:
        rules.append(MinAbi(below.key("min_abi"), GUEST_POLICY, least))
    rules += [
        Is(below.key(name), GUEST_POLICY, name, _policy_bit(name), below.maybe(name, true, True), reason)
        for name in _DEMANDS
        if below.has(name)
    ]
    below.end({"debug": "it is a key of the whole table", "migrate_ma": "dangerous_allow_migration allows it"})
    return rules


def _policy_bit(name: str) -> Callable[[SnpReport], bool]:
    return lambda report: bool(getattr(report.policy, name))


def _platform_bit(name: str) -> Callable[[SnpReport], bool]:
    return lambda report: bool(getattr(report.platform_info, name))


def _read_platform(table: Table) -> list[Rule[Any]]:
    rules: list[Rule[Any]] = []
    products = table.maybe("products", _products, None)
    if products is not None:
        rules.append(Products("products", PLATFORM, products))
    key = table.maybe("signing_key", _signing_key, None)
    if key is not None:
        read: Callable[[SnpReport], bool] = lambda report: report.signing_key == SigningKey.VLEK  # noqa: E731
        rules.append(Is("signing_key", PLATFORM, "signed by a VLEK", read, key is SigningKey.VLEK, Reason.SIGNING_KEY))
    if table.maybe("require_crl", true, False):
        rules.append(RevocationChecked("require_crl", PLATFORM))
    below = table.below("platform_info", optional=True)
    reason = Reason.PLATFORM_CONFIGURATION
    rules += [
        Is(below.key(name), PLATFORM, name, _platform_bit(name), below.maybe(name, _boolean, False), reason)
        for name in _FACTS
        if below.has(name)
    ]
    below.end({})
    return rules


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false; leave the key out for any")  # noqa: TRY004 - of a file
    return value


def _products(value: object) -> frozenset[str]:
    known = [product.value for product in Product]
    if not isinstance(value, list) or not value or not all(each in known for each in value):
        raise ValueError(f"expected a list of {', '.join(map(repr, known))}")
    return frozenset(value)


def _signing_key(value: object) -> SigningKey | None:
    keys = {"vcek": SigningKey.VCEK, "vlek": SigningKey.VLEK, "any": None}
    if not isinstance(value, str) or value not in keys:
        raise ValueError("expected 'vcek', 'vlek' or 'any'")
    return keys[value]


def _platform_id(value: object) -> str:
    """A chip id (64 bytes, 8 from Turin on), or the id that a cloud has in its VLEK certificates."""
    if isinstance(value, str) and value.startswith(_CSP) and value != _CSP and value.isprintable():
        return value
    if isinstance(value, str) and len(value) == 16:
        return hexadecimal(8)(value).hex()
    return hexadecimal(64)(value).hex()


SNP = RuleSet(
    tee=Tee.SNP,
    kind=SnpReport,
    steps=(
        MEASUREMENT, CONFIGURATION, GUEST_POLICY, DEBUG, REPORT_DATA, PIN, FIRMWARE, PLATFORM, PLATFORMS,
    ),
    identifying=MEASUREMENT,
    loose="any image of this signer",
    read=_read,
    pins={"host_data": PinField("host_data", "HOST_DATA", HOST_DATA.read, bytes)},
)  # fmt: skip
