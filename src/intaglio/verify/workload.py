"""One `[[accept]]` table of a policy, and the rules by which it judges a genuine verdict (checks 29, 30, 32, 33).

Every rule of a workload must pass; a rule that can't be judged does not. What these rules read was verified: they
are only applied to evidence that is genuine.
"""

from collections.abc import Callable
from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.types import Measurement, Tee
from intaglio.verify.ledger import Group, Ledger, Step
from intaglio.verify.verdict import Platform, TcbStatus, Verdict
from intaglio.wire.cbor import Value
from intaglio.wire.sgx import AttributeFlag, ReportBody

__all__ = ["RULES", "Binding", "Pin", "SignedBy", "Workload"]

MEASUREMENT = Step("30", "measurement", "MRENCLAVE, or MRSIGNER with product and security version", Group.POLICY)
CONFIGURATION = Step("30", "configuration", "the KSS fields and attributes that the policy names, if any", Group.POLICY)
DEBUG = Step("30", "debug", "production mode", Group.POLICY)
PRIVILEGE = Step("30", "privileged attributes", "neither PROVISION_KEY nor EINITTOKEN_KEY", Group.POLICY)
REPORT_DATA = Step("32", "report data", "the hash that binds this session", Group.POLICY)
PIN = Step("policy", "pin", "the hash of this data centre's pinned keys, where the policy says", Group.POLICY)
TCB = Step("29", "TCB status allowed", "a status that the policy lists", Group.POLICY)
ADVISORIES = Step(
    "29", "advisories allowed", "only advisories that the policy names, in TCB info that can name them", Group.POLICY
)
EVALUATION = Step("19", "minimum TCB evaluation number", "at least the policy's minimum", Group.POLICY)
PLATFORMS = Step("policy", "platform allowed", "a PPID or platform instance id that the policy lists", Group.POLICY)
FLAGS = Step("33", "platform flags", "dynamic platform, cached keys and SMT as the policy allows", Group.POLICY)

RULES = (
    MEASUREMENT, CONFIGURATION, DEBUG, PRIVILEGE, REPORT_DATA, PIN, TCB, ADVISORIES, EVALUATION, PLATFORMS, FLAGS,
)  # fmt: skip
"""In the order in which a reader should look for the cause: who it is, what it is bound to, how current it is."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Where the data centre's pinned keys are measured: `measured` (inside the measurement) or `config_id`."""

    where: str


@dataclass(frozen=True, slots=True)
class SignedBy:
    """A vendor's product from a security version on."""

    mr_signer: Measurement
    isv_prod_id: int
    min_isv_svn: int


@dataclass(frozen=True, slots=True)
class Binding:
    """What the evidence must be bound to. None: the caller can't know it, and the rule is listed as skipped."""

    report_data: bytes | None
    pin_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Workload:
    """What one table accepts. Ages and heartbeat are in seconds; `heartbeat` is None for disconnected workloads.

    `measured_by` is a set of MRENCLAVEs or a signer's product. `platforms` is None for any. Of the flags, False
    means that the platform must not have it, None that it may.
    """

    name: str
    tee: Tee
    measured_by: frozenset[Measurement] | SignedBy
    tcb: frozenset[TcbStatus]
    advisories: frozenset[str]
    min_tcb_evaluation_number: int
    platforms: frozenset[str] | None
    max_session_age: int
    max_offer_age: int
    heartbeat: int | None
    pin: Pin
    dangerous_allow_debug: bool = False
    dangerous_allow_privileged: bool = False
    dangerous_unpinned: bool = False
    config_id: bytes | None = None
    min_config_svn: int | None = None
    family_id: bytes | None = None
    ext_prod_id: bytes | None = None
    attributes: bytes | None = None
    attributes_mask: bytes | None = None
    dynamic_platform: bool | None = None
    cached_keys: bool | None = None
    smt: bool | None = None

    def judge(self, verdict: Verdict, identity: ReportBody, binding: Binding) -> Ledger:
        """All rules on a genuine verdict. It accepts if no rule failed."""
        ledger = Ledger()
        rules: tuple[tuple[Step, Callable[[], object]], ...] = (
            (MEASUREMENT, lambda: self._check_measurement(identity)),
            (CONFIGURATION, lambda: self._check_configuration(identity)),
            (DEBUG, lambda: self._check_debug(identity)),
            (PRIVILEGE, lambda: self._check_privilege(identity)),
            (TCB, lambda: self._check_tcb(verdict)),
            (ADVISORIES, lambda: self._check_advisories(verdict)),
            (EVALUATION, lambda: self._check_evaluation(verdict)),
            (PLATFORMS, lambda: self._check_platform(verdict.platform)),
            (FLAGS, lambda: self._check_flags(verdict.platform)),
        )
        for step, rule in rules:
            ledger.run(step, rule)
        self._judge_binding(identity, binding, ledger)
        return ledger

    def _judge_binding(self, identity: ReportBody, binding: Binding, ledger: Ledger) -> None:
        """Check 32 and the pin: the two rules that need something from the session."""
        report_data, pin_hash = binding.report_data, binding.pin_hash
        if report_data is None:
            ledger.skip(REPORT_DATA, "not asked: no session is known that it could be bound to")
        else:
            ledger.run(REPORT_DATA, lambda: _check_report_data(identity, report_data))
        if self.pin.where == "measured":
            ledger.run(PIN, self._check_measured_pin)
        elif pin_hash is None:
            ledger.skip(PIN, "not asked: the data centre's pinned keys are not known here")
        else:
            ledger.run(PIN, lambda: _check_config_id_pin(identity, pin_hash))

    def _check_measured_pin(self) -> str:
        if not isinstance(self.measured_by, SignedBy):
            return "measured: whoever has this measurement holds our keys"
        # The file's reader refuses this without its ugly name; here nothing depends on that.
        if not self.dangerous_unpinned:
            raise Rejected(Reason.WRONG_PIN, expected='pin = "config_id"', found="any image of this signer")
        return "not pinned: any image of this signer, allowed by dangerous_unpinned"

    def _check_measurement(self, identity: ReportBody) -> str:
        wanted = self.measured_by
        if not isinstance(wanted, SignedBy):
            if identity.mr_enclave not in wanted:
                named = [each.hex() for each in sorted(wanted)]
                raise Rejected(Reason.WRONG_MEASUREMENT, expected=named, found=identity.mr_enclave.hex())
            return f"MRENCLAVE {identity.mr_enclave.hex()}"
        if identity.mr_signer != wanted.mr_signer:
            raise Rejected(Reason.WRONG_SIGNER, expected=wanted.mr_signer.hex(), found=identity.mr_signer.hex())
        if identity.isv_prod_id != wanted.isv_prod_id:
            expected = f"ISVPRODID {wanted.isv_prod_id}"
            raise Rejected(Reason.WRONG_PRODUCT, expected=expected, found=f"ISVPRODID {identity.isv_prod_id}")
        if identity.isv_svn < wanted.min_isv_svn:
            expected = f"ISVSVN of at least {wanted.min_isv_svn}"
            raise Rejected(Reason.SVN_TOO_LOW, expected=expected, found=f"ISVSVN {identity.isv_svn}")
        return f"MRSIGNER {identity.mr_signer.hex()}, ISVPRODID {identity.isv_prod_id}, ISVSVN {identity.isv_svn}"

    def _check_configuration(self, identity: ReportBody) -> None:
        exact = (
            ("CONFIGID", self.config_id, identity.config_id, Reason.WRONG_CONFIGURATION),
            ("ISVFAMILYID", self.family_id, identity.isv_family_id, Reason.WRONG_PRODUCT),
            ("ISVEXTPRODID", self.ext_prod_id, identity.isv_ext_prod_id, Reason.WRONG_PRODUCT),
        )
        for name, expected, found, reason in exact:
            if expected is not None and expected != found:
                raise Rejected(reason, expected=f"{name} {expected.hex()}", found=f"{name} {found.hex()}")
        if self.min_config_svn is not None and identity.config_svn < self.min_config_svn:
            expected_svn = f"CONFIGSVN of at least {self.min_config_svn}"
            raise Rejected(Reason.SVN_TOO_LOW, expected=expected_svn, found=f"CONFIGSVN {identity.config_svn}")
        if self.attributes is not None and self.attributes_mask is not None:
            masked = bytes(map(int.__and__, identity.attributes.encode(), self.attributes_mask))
            if masked != self.attributes:
                expected_attributes = f"attributes {self.attributes.hex()}"
                raise Rejected(Reason.WRONG_CONFIGURATION, expected=expected_attributes, found=masked.hex())

    def _check_debug(self, identity: ReportBody) -> str:
        if identity.debug and not self.dangerous_allow_debug:
            raise Rejected(Reason.DEBUG_ENCLAVE, expected="production", found="debug")
        return "debug, allowed by dangerous_allow_debug" if identity.debug else "production"

    def _check_privilege(self, identity: ReportBody) -> str:
        held = [
            flag.name or ""
            for flag in (AttributeFlag.PROVISION_KEY, AttributeFlag.EINITTOKEN_KEY)
            if identity.attributes.has(flag)
        ]
        if held and not self.dangerous_allow_privileged:
            raise Rejected(Reason.PRIVILEGED_ENCLAVE, found=held)
        return ", ".join(held) or "none"

    def _check_tcb(self, verdict: Verdict) -> str:
        # The file's reader refuses Revoked and NotSupported in `tcb`; here nothing depends on that.
        never = (TcbStatus.REVOKED, TcbStatus.NOT_SUPPORTED, None)
        status = verdict.tcb_status
        if status is None or status in never or status not in self.tcb:
            expected = sorted(each.value for each in self.tcb)
            raise Rejected(Reason.TCB_STATUS, expected=expected, found=status.value if status else "none")
        return status.value

    def _check_advisories(self, verdict: Verdict) -> str:
        if not verdict.advisories_stated:
            # Even platforms that are UpToDate have advisories, and whoever serves collateral chooses its version.
            found = "not stated: TCB info of version 2 names none"
            raise Rejected(Reason.ADVISORY, expected="TCB info that names advisories (version 3)", found=found)
        unnamed = [advisory for advisory in verdict.advisory_ids if advisory not in self.advisories]
        if unnamed:
            raise Rejected(Reason.ADVISORY, expected=sorted(self.advisories) or "none", found=unnamed)
        return ", ".join(verdict.advisory_ids) or "none"

    def _check_evaluation(self, verdict: Verdict) -> str:
        number = verdict.tcb_evaluation_number
        if number is None or number < self.min_tcb_evaluation_number:
            expected = f"at least {self.min_tcb_evaluation_number}"
            raise Rejected(Reason.TCB_EVALUATION_TOO_OLD, expected=expected, found=number)
        return str(number)

    def _check_platform(self, platform: Platform | None) -> str:
        ids = list(platform.ids) if platform else []
        if self.platforms is not None and self.platforms.isdisjoint(ids):
            raise Rejected(Reason.PLATFORM_NOT_ALLOWED, expected=sorted(self.platforms), found=ids)
        return f"{', '.join(ids)}{' (any is allowed)' if self.platforms is None else ''}"

    def _check_flags(self, platform: Platform | None) -> str:
        """A rule of false wants a certificate that says so: silence is not a no."""
        rules = (
            ("dynamic_platform", self.dynamic_platform, platform.dynamic if platform else None),
            ("cached_keys", self.cached_keys, platform.cached_keys if platform else None),
            ("smt", self.smt, platform.smt if platform else None),
        )
        for name, allowed, found in rules:
            if allowed is False and found is not False:
                stated = "not stated by the certificate" if found is None else "true"
                raise Rejected(Reason.PLATFORM_CONFIGURATION, expected=f"{name} false", found=f"{name} {stated}")
        return ", ".join(f"{name} {'not stated' if found is None else found}" for name, _, found in rules).lower()

    def canonical(self) -> dict[Value, Value]:
        """Every rule, for the policy's hash: two files with one meaning have one hash."""
        measured_by = self.measured_by
        measurement: Value = (
            [measured_by.mr_signer, measured_by.isv_prod_id, measured_by.min_isv_svn]
            if isinstance(measured_by, SignedBy)
            else [list(map(bytes, sorted(measured_by)))]
        )
        return {
            "name": self.name,
            "tee": self.tee.value,
            "measured_by": measurement,
            "tcb": sorted(status.value for status in self.tcb),
            "advisories": sorted(self.advisories),
            "min_tcb_evaluation_number": self.min_tcb_evaluation_number,
            "platforms": None if self.platforms is None else sorted(self.platforms),
            "max_session_age": self.max_session_age,
            "max_offer_age": self.max_offer_age,
            "heartbeat": self.heartbeat,
            "pin": self.pin.where,
            "dangerous_allow_debug": self.dangerous_allow_debug,
            "dangerous_allow_privileged": self.dangerous_allow_privileged,
            "dangerous_unpinned": self.dangerous_unpinned,
            "config_id": self.config_id,
            "min_config_svn": self.min_config_svn,
            "family_id": self.family_id,
            "ext_prod_id": self.ext_prod_id,
            "attributes": self.attributes,
            "attributes_mask": self.attributes_mask,
            "dynamic_platform": self.dynamic_platform,
            "cached_keys": self.cached_keys,
            "smt": self.smt,
        }


def _check_report_data(identity: ReportBody, expected: bytes) -> None:
    """Check 32. Zeros are refused even if somebody expects them: a forgotten binding would look like success."""
    if not identity.report_data.strip(b"\0") or identity.report_data != expected:
        raise Rejected(Reason.REPORT_DATA, expected=expected.hex(), found=identity.report_data.hex())


def _check_config_id_pin(identity: ReportBody, pin_hash: bytes) -> None:
    expected = pin_hash + bytes(32)
    if len(pin_hash) != 32 or identity.config_id != expected:
        raise Rejected(Reason.WRONG_PIN, expected=f"CONFIGID {expected.hex()}", found=identity.config_id.hex())
