"""Policies: what a file may say, and what each rule does to genuine evidence."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.reasons import Reason
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.draft import Draft
from intaglio.sim.world import DEFAULT_LEVEL, Lab, PlatformPlan, TcbState
from intaglio.types import ReportData
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.policy import Policy, PolicyError, Workload
from intaglio.verify.roots import Roots
from intaglio.verify.rules.intel import Status
from intaglio.verify.rules.reference import FOREVER
from intaglio.verify.verdict import Decision, Outcome, TcbStatus, Verdict
from intaglio.wire.collateral import DcapCollateral
from tests.verify.conftest import IMAGE, NOON, REPORT_DATA, judge

RULES = {
    "name": '"meter"',
    "tee": '"sgx"',
    "mr_enclave": f'["{"9f" * 32}"]',
    "tcb": '["UpToDate", "SWHardeningNeeded"]',
    "advisories": '["INTEL-SA-00615"]',
    "min_tcb_evaluation_number": "17",
    "debug": "false",
    "platforms": '"any"',
    "max_session_age": '"24h"',
    "max_offer_age": '"1h"',
    "heartbeat": '"60s"',
    "pin": '"measured"',
}
"""The table of DESIGN section 3, key by key."""

SIGNER = {"mr_enclave": None, "mr_signer": f'"{"aa" * 32}"', "isv_prod_id": "1", "min_isv_svn": "2"}
PIN_HASH = bytes(range(32))


def table(**changes: str | None) -> str:
    """One [[accept]] table of RULES with these keys changed, added, or (None) left out."""
    rules = {**RULES, **changes}
    return "[[accept]]\n" + "".join(f"{key} = {value}\n" for key, value in rules.items() if value is not None)


def problems(toml: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        Policy.parse(toml)
    return caught.value.problems


def meaning(workload: Workload, key: str) -> object:
    """What this key says, as it goes into the policy's hash."""
    rule = workload.rule(key)
    assert rule is not None
    return rule.canonical()


def for_draft(draft: Draft, **changes: str | None) -> Policy:
    honest = {"mr_enclave": f'["{draft.body.mr_enclave.hex()}"]', "advisories": "[]"}
    return Policy.parse(table(**{**honest, **changes}))


def appraise(
    policy: Policy, draft: Draft, report_data: bytes | None = REPORT_DATA, pin: bytes | None = None
) -> Verdict:
    return policy.appraise(judge(draft.build()), report_data=report_data, pin_hash=pin)


def test_the_table_of_the_design_is_read() -> None:
    (workload,) = Policy.parse(table()).workloads
    assert workload.name == "meter"
    assert meaning(workload, "mr_enclave") == [[b"\x9f" * 32, 0, FOREVER]]
    assert meaning(workload, "tcb") == ["SWHardeningNeeded", "UpToDate"]
    assert meaning(workload, "advisories") == [["INTEL-SA-00615", FOREVER]]
    assert (workload.max_session_age, workload.max_offer_age, workload.heartbeat) == (86400, 3600, 60)
    assert meaning(workload, "platforms") is None
    assert meaning(workload, "debug") is False
    assert workload.dangers == []


def test_a_signer_table_is_read() -> None:
    (workload,) = Policy.parse(table(**SIGNER, pin='"config_id"', heartbeat='"none"')).workloads
    keys = ("mr_signer", "isv_prod_id", "min_isv_svn")
    assert [meaning(workload, key) for key in keys] == [[[b"\xaa" * 32, 0, FOREVER]], 1, 2]
    assert workload.heartbeat is None


@pytest.mark.parametrize("key", RULES)
def test_a_missing_rule_is_an_error(key: str) -> None:
    assert any(f"{key}: missing" in problem for problem in problems(table(**{key: None})))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tcb", '["Revoked"]'), ("tcb", '["NotSupported"]'), ("tcb", '["uptodate"]'), ("tcb", "[]"),
        ("tcb", '"UpToDate"'), ("debug", "true"), ("debug", '"false"'), ("debug", "0"), ("platforms", '"all"'),
        ("platforms", "[]"), ("platforms", '["00"]'), ("mr_enclave", "[]"), ("mr_enclave", '["9f"]'),
        ("mr_enclave", f'"{"9f" * 32}"'), ("mr_enclave", f'["{"zz" * 32}"]'), ("advisories", '"INTEL-SA-00615"'),
        ("advisories", '["*"]'), ("advisories", "[615]"), ("min_tcb_evaluation_number", "-1"),
        ("min_tcb_evaluation_number", "true"), ("min_tcb_evaluation_number", '"17"'), ("max_session_age", "3600"),
        ("max_session_age", '"0s"'), ("max_session_age", '"1w"'), ("max_offer_age", '"none"'), ("heartbeat", '"never"'),
        ("heartbeat", "60"), ("pin", '"host_data"'), ("pin", '"pcr:8"'), ("pin", "false"), ("tee", '"sev"'),
        ("tee", '"SGX"'), ("name", '""'), ("name", '"a b"'), ("name", "7"), ("dangerous_allow_debug", "false"),
        ("dangerous_allow_privileged", "1"), ("config_id", '"00"'), ("min_config_svn", "65536"),
        ("attributes", f'"{"00" * 16}"'), ("attributes_mask", f'"{"00" * 16}"'), ("smt", "true"),
        ("dynamic_platform", '"some"'), ("mr_signer", f'"{"aa" * 32}"'), ("max_sesion_age", '"1h"'),
    ],
)  # fmt: skip
def test_a_wrong_value_is_an_error_that_names_its_key(key: str, value: str) -> None:
    found = problems(table(**{key: value}))
    assert any(problem.startswith("accept ") and f"{key.removesuffix('_mask')}" in problem for problem in found)


def test_all_problems_are_listed_at_once() -> None:
    toml = table(tcb='["Revoked"]', pin=None, colour='"red"') + table(name='"other"', debug="true")
    found = problems(toml)
    assert len(found) == 4
    assert [text for text in ("tcb", "pin", "colour", "debug") if any(text in problem for problem in found)] == [
        "tcb", "pin", "colour", "debug",
    ]  # fmt: skip
    assert any("'other'" in problem for problem in found)


@pytest.mark.parametrize(
    "toml", ["", "a = 1", "[accept]\nname = 1", "accept = []", "accept = [1]", "[[accept]", "\x00"]
)
def test_a_file_without_a_table_is_an_error(toml: str) -> None:
    problems(toml)


@pytest.mark.parametrize("toml", [b"\xff", b"a" * 1_100_000, b"x = " + b"[" * 5000])
def test_bytes_that_are_no_policy(toml: bytes) -> None:
    with pytest.raises(PolicyError):
        Policy.parse(toml)


def test_names_are_unique() -> None:
    assert any("twice" in problem for problem in problems(table() + table()))


def test_a_signer_needs_the_pin_in_its_configuration() -> None:
    """Another image of that signer may pin another data centre."""
    assert any("config_id" in problem for problem in problems(table(**SIGNER)))
    assert Policy.parse(table(**SIGNER, dangerous_unpinned="true")).workloads[0].dangerous_unpinned
    assert Policy.parse(table(**SIGNER, pin='"config_id"')).workloads[0].pin.where == "config_id"


def test_a_verdict_does_not_call_an_unpinned_signer_pinned(draft: Draft) -> None:
    body = draft.body
    signer = {
        "mr_enclave": None, "mr_signer": f'"{body.mr_signer.hex()}"', "isv_prod_id": str(body.isv_prod_id),
        "min_isv_svn": str(body.isv_svn), "dangerous_unpinned": "true",
    }  # fmt: skip
    policy = for_draft(draft, **signer)
    (found,) = (check.found for check in appraise(policy, draft).checks if check.name == "pin")
    assert found == "not pinned: any image of this signer, allowed by dangerous_unpinned"
    (workload,) = policy.workloads
    silent = appraise(Policy((replace(workload, dangerous_unpinned=False),)), draft)
    assert (silent.decision, silent.reasons) == (Decision.REJECTED, (Reason.WRONG_PIN,))


def test_a_fixed_config_id_leaves_no_room_for_the_pin() -> None:
    assert any("config_id" in text for text in problems(table(pin='"config_id"', config_id=f'"{"00" * 64}"')))


def test_the_hash_is_of_the_meaning() -> None:
    one = Policy.parse(table())
    spaced = Policy.parse("# a comment\n" + table(advisories='[ "INTEL-SA-00615", ]', max_session_age='"1440m"'))
    assert one.hash == spaced.hash
    assert len(one.hash) == 32


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", '"other"'), ("mr_enclave", f'["{"9e" * 32}"]'), ("tcb", '["UpToDate"]'), ("advisories", "[]"),
        ("min_tcb_evaluation_number", "18"), ("platforms", f'["{"00" * 16}"]'), ("max_session_age", '"23h"'),
        ("max_offer_age", '"2h"'), ("heartbeat", '"none"'), ("pin", '"config_id"'), ("smt", "false"),
        ("config_id", f'"{"00" * 64}"'), ("min_config_svn", "1"), ("dangerous_allow_privileged", "true"),
        ("family_id", f'"{"00" * 16}"'), ("ext_prod_id", f'"{"00" * 16}"'), ("cached_keys", "false"),
        ("dynamic_platform", "false"),
    ],
)  # fmt: skip
def test_every_rule_is_in_the_hash(key: str, value: str) -> None:
    assert Policy.parse(table(**{key: value})).hash != Policy.parse(table()).hash


def test_debug_by_its_ugly_name(draft: Draft) -> None:
    draft.relaunch(options=LaunchOptions(debug=True))
    assert appraise(for_draft(draft), draft).reasons == (Reason.DEBUG_ENCLAVE,)
    allowed = for_draft(draft, debug=None, dangerous_allow_debug="true")
    assert appraise(allowed, draft).decision is Decision.ACCEPTED


def test_a_table_can_not_refuse_and_allow_debug_at_once() -> None:
    """A reader who meets `debug = false` first would believe it."""
    (problem,) = problems(table(dangerous_allow_debug="true"))
    assert problem.startswith("accept 'meter': debug: contradicts dangerous_allow_debug")


@pytest.mark.parametrize("behind", [0, 1])
def test_tcb_info_that_names_no_advisories_does_not_pass_for_none(lab: Lab, behind: int) -> None:
    """Check 29: Intel's API v3 has the same platforms without their advisories, and a cache chooses what it serves."""
    lab.set_tcb("alpha", TcbState(tuple(max(0, svn - behind) for svn in DEFAULT_LEVEL.components)), NOON)
    draft = Draft.of(lab, IMAGE, NOON, report_data=REPORT_DATA)
    evidence = draft.build()
    old = replace(evidence, collateral=DcapCollateral.parse_json(lab.collateral("alpha", NOON, version=2)))
    policy = for_draft(draft, tcb='["UpToDate", "OutOfDate"]')
    named = for_draft(draft, tcb='["UpToDate", "OutOfDate"]', advisories='["INTEL-SA-00001"]')
    assert judge(old).genuine is True
    for each in (policy, named):
        verdict = each.appraise(judge(old), report_data=REPORT_DATA, pin_hash=None)
        assert (verdict.decision, verdict.reasons) == (Decision.REJECTED, (Reason.ADVISORY,))
    verdict = named.appraise(judge(evidence), report_data=REPORT_DATA, pin_hash=None)
    assert (verdict.decision, verdict.advisories_stated) == (Decision.ACCEPTED, True)


def test_privileged_attributes_by_their_ugly_name(draft: Draft) -> None:
    body = draft.body
    draft.body = replace(body, attributes=replace(body.attributes, flags=body.attributes.flags | 0x10))
    assert appraise(for_draft(draft), draft).reasons == (Reason.PRIVILEGED_ENCLAVE,)
    assert appraise(for_draft(draft, dangerous_allow_privileged="true"), draft).decision is Decision.ACCEPTED


def test_report_data(draft: Draft) -> None:
    """Check 32: given, it must be equal and not all zero; not given, it is listed as skipped."""
    policy = for_draft(draft)
    assert appraise(policy, draft).decision is Decision.ACCEPTED
    assert appraise(policy, draft, bytes(64)).reasons == (Reason.REPORT_DATA,)
    assert appraise(policy, draft, REPORT_DATA[:32]).reasons == (Reason.REPORT_DATA,)
    unknown = appraise(policy, draft, None)
    assert unknown.decision is Decision.ACCEPTED
    assert [c.outcome for c in unknown.checks if c.name == "report data"] == [Outcome.SKIPPED]
    draft.body = replace(draft.body, report_data=ReportData(bytes(64)))
    assert appraise(policy, draft, bytes(64)).reasons == (Reason.REPORT_DATA,)


@pytest.mark.parametrize(
    ("config_id", "pin", "reasons"),
    [
        (PIN_HASH + bytes(32), PIN_HASH, ()),
        (PIN_HASH + bytes(32), bytes(32), (Reason.WRONG_PIN,)),
        (PIN_HASH + PIN_HASH, PIN_HASH, (Reason.WRONG_PIN,)),
        (bytes(64), PIN_HASH, (Reason.WRONG_PIN,)),
        (bytes(64), b"", (Reason.WRONG_PIN,)),
    ],
)
def test_the_pin_in_config_id(draft: Draft, config_id: bytes, pin: bytes, reasons: tuple[Reason, ...]) -> None:
    draft.body = replace(draft.body, config_id=config_id)
    assert appraise(for_draft(draft, pin='"config_id"'), draft, pin=pin).reasons == reasons


def test_the_pin_that_nobody_knows_is_skipped(draft: Draft) -> None:
    verdict = appraise(for_draft(draft, pin='"config_id"'), draft)
    assert verdict.decision is Decision.ACCEPTED
    assert [c.outcome for c in verdict.checks if c.name == "pin"] == [Outcome.SKIPPED]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config_id": f'"{"01" * 64}"'}, Reason.WRONG_CONFIGURATION),
        ({"family_id": f'"{"01" * 16}"'}, Reason.WRONG_PRODUCT),
        ({"ext_prod_id": f'"{"01" * 16}"'}, Reason.WRONG_PRODUCT),
        ({"min_config_svn": "9"}, Reason.SVN_TOO_LOW),
        (
            {"attributes": f'"{"80" + "00" * 15}"', "attributes_mask": f'"{"80" + "00" * 15}"'},
            Reason.WRONG_CONFIGURATION,
        ),
        ({"min_tcb_evaluation_number": "20"}, Reason.TCB_EVALUATION_TOO_OLD),
        ({"platforms": f'["{"01" * 16}"]'}, Reason.PLATFORM_NOT_ALLOWED),
        ({"smt": "false"}, Reason.PLATFORM_CONFIGURATION),
        ({"tcb": '["SWHardeningNeeded"]'}, Reason.TCB_STATUS),
        ({"mr_enclave": f'["{"01" * 32}"]'}, Reason.WRONG_MEASUREMENT),
    ],
)
def test_each_rule_refuses_alone(draft: Draft, changes: dict[str, str | None], reason: Reason) -> None:
    verdict = appraise(for_draft(draft, **changes), draft)
    assert verdict.decision is Decision.REJECTED
    assert verdict.reasons == (reason,)
    assert verdict.genuine is True


@pytest.mark.parametrize("kind", ["ppid", "platform_instance_id"])
def test_platforms_by_either_id(draft: Draft, kind: str) -> None:
    platform = judge(draft.build()).platform
    identifier = getattr(platform, kind).upper()
    assert appraise(for_draft(draft, platforms=f'["{identifier}"]'), draft).decision is Decision.ACCEPTED


def test_a_silent_certificate_does_not_say_no(lab: Lab) -> None:
    """Certificates of the processor CA state no flags; a rule of false wants a certificate that does."""
    lab.add_platform(PlatformPlan("client", ca="processor", smt_enabled=False), NOON)
    draft = Draft.of(lab, IMAGE, NOON, platform="client", report_data=REPORT_DATA)
    assert appraise(for_draft(draft), draft).decision is Decision.ACCEPTED
    assert appraise(for_draft(draft, smt="false"), draft).reasons == (Reason.PLATFORM_CONFIGURATION,)


def _lowered(draft: Draft) -> None:
    levels = draft.tcb_info.content["tcbLevels"]
    assert isinstance(levels, list)
    levels[0].update(tcbStatus="SWHardeningNeeded", advisoryIDs=["INTEL-SA-00615", "INTEL-SA-00657"])


@pytest.mark.parametrize(
    ("advisories", "accepted"), [([], False), (["INTEL-SA-00615"], False), (["INTEL-SA-00615", "INTEL-SA-00657"], True)]
)
def test_only_named_advisories_pass(draft: Draft, advisories: list[str], accepted: bool) -> None:
    _lowered(draft)
    verdict = appraise(for_draft(draft, advisories=str(advisories)), draft)
    assert (verdict.decision is Decision.ACCEPTED) is accepted
    assert verdict.reasons == (() if accepted else (Reason.ADVISORY,))


def _revoked(draft: Draft) -> None:
    levels = draft.tcb_info.content["tcbLevels"]
    assert isinstance(levels, list)
    levels[0]["tcbStatus"] = "Revoked"


def _unsupported(draft: Draft) -> None:
    levels = draft.tcb_info.content["tcbLevels"]
    assert isinstance(levels, list)
    for level in levels:
        level["tcb"]["pcesvn"] = 60_000 + levels.index(level)


@pytest.mark.parametrize(("change", "status"), [(_revoked, TcbStatus.REVOKED), (_unsupported, TcbStatus.NOT_SUPPORTED)])
def test_nothing_makes_these_acceptable(draft: Draft, change: Callable[[Draft], None], status: TcbStatus) -> None:
    """Even a policy object that was not read from a file."""
    change(draft)
    every = frozenset(TcbStatus)
    (workload,) = for_draft(draft).workloads
    rules = tuple(replace(r, allowed=every) if isinstance(r, Status) else r for r in workload.rules)
    policy = Policy((replace(workload, rules=rules),))
    verdict = appraise(policy, draft)
    assert verdict.tcb_status is status
    assert verdict.reasons == (Reason.TCB_STATUS,)


def test_the_first_accepting_workload_wins(draft: Draft) -> None:
    ours = f'["{draft.body.mr_enclave.hex()}"]'
    tables = [table(name=f'"{name}"', mr_enclave=ours, advisories="[]", smt=smt) for name, smt in
              (("strict", "false"), ("first", None), ("second", None))]  # fmt: skip
    verdict = appraise(Policy.parse("".join(tables)), draft)
    assert verdict.workload == "first"
    assert verdict.reasons == ()


def test_reasons_are_those_of_the_closest_workload(draft: Draft) -> None:
    """Measurement before everything: another enclave's table says nothing about this one."""
    ours = f'["{draft.body.mr_enclave.hex()}"]'
    stranger = table(name='"stranger"', advisories="[]")
    near = table(name='"near"', mr_enclave=ours, smt="false", min_tcb_evaluation_number="99")
    nearer = table(name='"nearer"', mr_enclave=ours, smt="false")
    verdict = appraise(Policy.parse(stranger + near + nearer), draft)
    assert verdict.reasons == (Reason.PLATFORM_CONFIGURATION,)
    assert verdict.workload is None
    assert any("'nearer'" in check.found for check in verdict.checks if check.name == "workload")


def test_what_is_not_genuine_is_never_accepted(draft: Draft) -> None:
    policy, evidence = for_draft(draft), draft.build()
    verifier = DcapVerifier(Roots.lab(evidence.root))
    undecidable = policy.appraise(
        verifier.verify(evidence.quote, None, NOON), report_data=REPORT_DATA, pin_hash=PIN_HASH
    )
    assert undecidable.decision is Decision.UNDECIDABLE
    assert undecidable.reasons == (Reason.COLLATERAL_MISSING,)
    refused = policy.appraise(verifier.verify(b"", None, NOON), report_data=None, pin_hash=None)
    assert refused.decision is Decision.REJECTED
    assert all(c.outcome is Outcome.SKIPPED for c in refused.checks if c.number == "policy")


def test_the_verdict_names_the_policy(draft: Draft) -> None:
    policy = for_draft(draft)
    verdict = appraise(policy, draft)
    assert verdict.policy_hash == policy.hash
    assert verdict.to_json()["verdict"] == "accepted"
    assert policy.workload("meter").max_session_age == 86400
    with pytest.raises(KeyError):
        policy.workload("other")


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from(sorted(RULES)), value=st.text(max_size=20))
def test_any_text_as_a_value(key: str, value: str) -> None:
    try:
        Policy.parse(table(**{key: value}))
    except PolicyError as error:
        assert error.problems
