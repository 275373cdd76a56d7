"""Policies for tests, one table at a time, and genuine verdicts of any identity without any evidence behind them."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from intaglio.reasons import Reason
from intaglio.types import Measurement, ReportData, Tee, UnixTime
from intaglio.verify.policy import Policy, PolicyError
from intaglio.verify.verdict import Checks, Decision, Identity, Platform, TcbStatus, Verdict, issue
from intaglio.wire.sgx import AttributeFlag, Attributes, ReportBody

NOON = UnixTime(1_780_315_200)
"""2026-06-01T12:00:00Z."""
DAY = 86400
REPORT_DATA = ReportData(bytes(range(64)))
PIN_HASH = bytes(range(32))
Keys = dict[str, str | None]

TERMS: Keys = {
    "name": '"meter"', "debug": "false", "platforms": '"any"', "max_session_age": '"24h"', "max_offer_age": '"1h"',
    "heartbeat": '"none"', "pin": '"measured"',
}  # fmt: skip
INTEL: Keys = {"tcb": '["UpToDate"]', "advisories": "[]", "min_tcb_evaluation_number": "17"}

SGX_BODY = ReportBody(
    cpu_svn=bytes(16), misc_select=0, cet_attributes=0, isv_ext_prod_id=b"\x0e" * 16,
    attributes=Attributes(AttributeFlag.INIT | AttributeFlag.MODE64, 3), mr_enclave=Measurement(b"\xaa" * 32),
    mr_signer=Measurement(b"\xbb" * 32), config_id=b"\xcc" * 64, isv_prod_id=1, isv_svn=2, config_svn=3,
    isv_family_id=b"\x0f" * 16, report_data=REPORT_DATA,
)  # fmt: skip
SGX: Keys = {"tee": '"sgx"', "mr_enclave": f'["{"aa" * 32}"]', **TERMS, **INTEL}


class Subject(NamedTuple):
    """An honest identity of one kind of TEE with a table that accepts it, and what its verdict says besides."""

    tee: Tee
    keys: Keys
    identity: Any
    facts: dict[str, Any]


INTEL_FACTS: dict[str, Any] = {
    "tcb_status": TcbStatus.UP_TO_DATE, "tcb_date": UnixTime(NOON - 100 * DAY), "advisories_stated": True,
    "tcb_evaluation_number": 17,
    "platform": Platform(ppid="01" * 16, platform_instance_id="02" * 16, fmspc="03" * 6, pce_id="0000",
                         dynamic=False, cached_keys=False, smt=True),
}  # fmt: skip
SGX_SUBJECT = Subject(Tee.SGX, SGX, SGX_BODY, INTEL_FACTS)


def table(keys: Keys, **changes: str | None) -> str:
    """One [[accept]] table of `keys`, with these changed, added, or (None) left out."""
    rules = {**keys, **changes}
    return "[[accept]]\n" + "".join(f"{key} = {value}\n" for key, value in rules.items() if value is not None)


def problems(toml: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        Policy.parse(toml)
    return caught.value.problems


def genuine(subject: Subject, at: int = NOON, **facts: Any) -> Verdict:
    """A genuine verdict about `subject`. `identity` among the facts replaces it."""
    identity: Identity = facts.pop("identity", subject.identity)
    return issue(
        tee=subject.tee, genuine=True, reasons=(), checks=Checks(tuple), evidence_hash=bytes(32), at=UnixTime(at),
        identity=identity, **{**subject.facts, **facts},
    )  # fmt: skip


def appraise(policy: Policy, verdict: Verdict, pin: bytes | None = None) -> Verdict:
    return policy.appraise(verdict, report_data=REPORT_DATA, pin_hash=pin)


def reasons(subject: Subject, keys: Keys, at: int = NOON, pin: bytes | None = None, **facts: Any) -> tuple[Reason, ...]:
    """Why the subject's table with these keys refuses it; nothing if it accepts. `body` among the facts changes fields
    of the identity."""
    if "body" in facts:
        facts["identity"] = replace(subject.identity, **facts.pop("body"))
    verdict = appraise(Policy.parse(table(subject.keys, **keys)), genuine(subject, at, **facts), pin)
    assert (verdict.decision is Decision.ACCEPTED) == (not verdict.reasons)
    return verdict.reasons
