"""`verify` and policies: what holds for the verdict on any bytes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from fuzz import seeds
from fuzz.forge import PARTS, forge, script_of
from fuzz.target import expect, read, target
from intaglio.sim.signing import signer_of
from intaglio.types import UnixTime
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.evidence import Verifier, classify
from intaglio.verify.policy import Policy, PolicyError
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision, Outcome, Verdict
from intaglio.wire.dcap import Quote
from intaglio.wire.endorsement import Collateral, parse_collateral
from intaglio.wire.snp import signed_part
from intaglio.wire.snp_collateral import SnpCollateral

REPORT_DATA = bytes(range(64))

_TABLE = """
[[accept]]
name = "{name}"
tee = "sgx"
{measured}
tcb = {tcb}
advisories = {advisories}
min_tcb_evaluation_number = {number}
platforms = "any"
max_session_age = "24h"
max_offer_age = "1h"
heartbeat = "none"
{more}
"""
_EVERY_STATUS = (
    '["UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",'
    ' "OutOfDateConfigurationNeeded"]'
)


@cache
def policy_texts() -> Sequence[str]:
    """From lenient to strict: what one accepts, those before it accept too."""
    measured = f'mr_enclave = ["{seeds.IMAGE.mr_enclave().hex()}"]\npin = "measured"'
    anything = "dangerous_allow_debug = true\ndangerous_allow_privileged = true"
    lenient = {"tcb": _EVERY_STATUS, "advisories": '["INTEL-SA-00001"]', "number": 0}
    strict = {"tcb": '["UpToDate"]', "advisories": "[]", "number": 17}
    more = f'debug = false\nmin_config_svn = 0\nconfig_id = "{"00" * 64}"'
    return [
        _TABLE.format(name="a", measured=measured, more=anything, **lenient),
        _TABLE.format(name="b", measured=measured, more="debug = false", **lenient),
        _TABLE.format(name="c", measured=measured, more="debug = false", **strict),
        _TABLE.format(name="d", measured=measured, more=more, **strict),
    ]


@cache
def policies() -> Sequence[Policy]:
    return [Policy.parse(text) for text in policy_texts()]


def _signer_policy() -> str:
    measured = f'mr_signer = "{signer_of(seeds.lab().vendor).hex()}"\nisv_prod_id = 1\nmin_isv_svn = 1'
    more = 'debug = false\nsmt = false\ncached_keys = "any"'
    rest = {"tcb": _EVERY_STATUS, "advisories": "[]", "number": 0}
    return _TABLE.format(name="e", measured=measured + '\npin = "config_id"', more=more, **rest)


def check_verdict(verdict: Verdict) -> None:
    """What every verdict says of itself."""
    outcomes = {check.outcome for check in verdict.checks}
    expect((verdict.genuine is True) == (outcomes == {Outcome.OK}), "genuine: every step of the procedure is ok")
    expect((verdict.genuine is True) == (not verdict.reasons), "there is a reason if and only if it is not genuine")
    expect((verdict.genuine is False) == (Outcome.FAILED in outcomes), "not genuine: a step failed")
    given = {check.reason for check in verdict.checks if check.reason}
    expect(given == set(verdict.reasons), "the reasons are those of the steps")
    expect(len(set(verdict.reasons)) == len(verdict.reasons), "each reason is given once")
    for check in verdict.checks:
        expect((check.reason is None) == (check.outcome in (Outcome.OK, Outcome.SKIPPED)), "a reason for what failed")
    expect(verdict.genuine is True or verdict.tcb_status is None, "no TCB status beside a forged signature")
    expect(verdict.genuine is not True or verdict.identity is not None, "genuine evidence says what runs")
    expect(verdict.decision is None, "only a policy decides")
    json.dumps(verdict.to_json())


def check_policies(verdict: Verdict) -> None:
    """A policy never improves a verdict, and a stricter one never accepts what a more lenient one refuses."""
    accepted = []
    for policy in policies():
        decided = policy.appraise(verdict, report_data=None, pin_hash=None)
        expect(decided.genuine is verdict.genuine, "a policy leaves genuine alone")
        expect(set(decided.reasons) >= set(verdict.reasons), "a policy takes no reason away")
        expect(decided.checks[: len(verdict.checks)] == verdict.checks, "a policy changes no check")
        expect(decided.decision is not Decision.ACCEPTED or verdict.genuine is True, "only what is genuine is accepted")
        expect((decided.decision is Decision.ACCEPTED) == (not decided.reasons), "accepted: no reason left")
        expect(decided.decision is not Decision.UNDECIDABLE or verdict.genuine is None, "undecidable stays so")
        json.dumps(decided.to_json())
        accepted.append(decided.decision is Decision.ACCEPTED)
    expect(accepted == sorted(accepted, reverse=True), "adding a rule never improves a verdict")


@cache
def _warm(roots: Roots) -> Verifier:
    """One verifier for the whole run, which has seen everything before."""
    return Verifier(roots)


def judge(evidence: bytes, collateral: Collateral | None, roots: Roots, at: UnixTime) -> Verdict | None:
    """The verdict, with all that holds for any; None for bytes that are no known kind of evidence."""
    verdict = read(lambda raw: Verifier(roots).verify(raw, collateral, at), evidence)
    expect((verdict is None) == (read(classify, evidence) is None), "every known kind of evidence gets a verdict")
    if verdict is None:
        return None
    check_verdict(verdict)
    for _ in range(2):
        again = _warm(roots).verify(evidence, collateral, at)
        expect(again.to_json() == verdict.to_json(), "a verdict is a function of its inputs")
    check_policies(verdict)
    return verdict


@cache
def _lab_roots() -> Roots:
    return Roots.lab(seeds.evidence()[0].root)


_SCRIPTS = [
    script_of(3),
    script_of(4),
    script_of(5),
    *(script_of(3, (part, "overwrite", 40, b"\xff")) for part in PARTS),
    *(script_of(4, (part, "insert", 9, b"\0\1")) for part in PARTS),
    *(script_of(5, (part, "delete", 20, b"\0" * 5)) for part in PARTS),
    script_of(3, ("tcb_info", "repeat", 300, b"\0" * 90), ("qe_identity", "overwrite", 30, b"9")),
]


@target(lambda: _SCRIPTS, short_run=250)
def dcap_forged(data: bytes) -> None:
    """Evidence edited by who holds every key gets a sound verdict, the same from a verifier that has seen it before."""
    try:
        evidence = forge(data)
    except ValueError:
        return  # too long to be encoded
    judge(evidence.quote, evidence.collateral, _lab_roots(), evidence.at)


@target(lambda: [each.quote for each in seeds.evidence()], short_run=200)
def dcap_without_keys(data: bytes) -> None:
    """A quote edited by who holds no key is genuine only if nothing that was signed has changed."""
    found = judge(data, seeds.collateral(), _lab_roots(), seeds.NOON)
    if found is not None and found.genuine:
        expect(_signed_parts(data) in map(_signed_parts, (each.quote for each in seeds.evidence())), "an edit passed")


def _signed_parts(quote: bytes) -> tuple[object, ...]:
    parsed = Quote.parse(quote)
    return parsed.signed, parsed.attestation_key, parsed.qe_report_signed, parsed.qe_auth_data


@target(lambda: [seeds.collateral().encode_json(), *seeds.collaterals()], short_run=200)
def dcap_collateral_without_keys(data: bytes) -> None:
    """Collateral edited by who holds no key makes a quote genuine only if no signed document has changed."""
    collateral = read(parse_collateral, data)
    honest = seeds.collateral()
    found = None if collateral is None else judge(seeds.quotes()[0], collateral, _lab_roots(), seeds.NOON)
    if found is not None and found.genuine:
        for part in ("tcb_info", "qe_identity", "pck_crl", "root_ca_crl"):
            expect(getattr(collateral, part)[:-80] == getattr(honest, part)[:-80], f"an edited {part} passed")


@target(lambda: [bytes((i,)) + each.report for i, each in enumerate(seeds.snp_evidence())], short_run=200)
def snp_without_keys(data: bytes) -> None:
    """A SEV-SNP report edited by who holds no key is genuine only if nothing that was signed has changed."""
    if not data:
        return
    each = seeds.snp_evidence()[data[0] % len(seeds.snp_evidence())]
    found = judge(data[1:], each.collateral, Roots.lab(each.root), each.at)
    if found is not None and found.genuine:
        expect(signed_part(data[1:]) == signed_part(each.report), "an edit passed")


@target(
    lambda: [bytes((i,)) + each.collateral.encode_json() for i, each in enumerate(seeds.snp_evidence())], short_run=200
)
def snp_collateral_without_keys(data: bytes) -> None:
    """Certificates edited by who holds no key make a report genuine only if none has changed but a list left out."""
    collateral = read(parse_collateral, data[1:])
    if collateral is None:
        return
    each = seeds.snp_evidence()[data[0] % len(seeds.snp_evidence())]
    found = judge(each.report, collateral, Roots.lab(each.root), each.at)
    if found is not None and found.genuine and isinstance(collateral, SnpCollateral):
        expect(collateral in (each.collateral, replace(each.collateral, crl=b"")), "an edited certificate passed")


@cache
def _real() -> Sequence[tuple[bytes, Collateral | None, UnixTime]]:
    """Evidence, collateral and time of real cases, of every TEE; of each kind the first few."""
    found = []
    for kind, file in (("sgx", "quote.bin"), ("tdx", "quote.bin"), ("snp", "report.bin"), ("nitro", "*.cbor")):
        for path in sorted((seeds.VECTORS / kind).glob(f"[a-z]*/{file}"))[: seeds.MAX_OF_A_KIND]:
            case = json.loads((path.parent / "case.json").read_bytes())
            file_of = path.parent / "collateral.json"
            collateral = parse_collateral(file_of.read_bytes()) if file_of.is_file() else None
            found.append((path.read_bytes(), collateral, UnixTime(int(case.get("time") or seeds.NOON))))
    return found


@target(lambda: [bytes((i,)) + raw for i, (raw, _, _) in enumerate(_real())] or [b"\0"], short_run=150)
def real_evidence(data: bytes) -> None:
    """Real evidence edited by who holds no key gets a sound verdict, and is genuine only where the original is."""
    if not data or not _real():
        return
    raw, collateral, at = _real()[data[0] % len(_real())]
    found = judge(data[1:], collateral, Roots.production(), at)
    if found is not None and found.genuine:
        honest = Verifier(Roots.production()).verify(raw, collateral, at)
        expect(honest.genuine is True and honest.identity == found.identity, "an edit passed")


@target(lambda: [text.encode() for text in (*policy_texts(), "".join(policy_texts()), _signer_policy())])
def policy(data: bytes) -> None:
    """Either a policy whose hash follows from what it says, or a PolicyError that names each problem once."""
    try:
        found = Policy.parse(data)
    except PolicyError as error:
        expect(bool(error.problems) and all(error.problems), "there is a problem")
        return
    expect(Policy.parse(data).hash == found.hash, "a policy has one hash")
    for verdict in _honest_verdicts():
        decided = found.appraise(verdict, report_data=REPORT_DATA, pin_hash=bytes(32))
        expect(decided.genuine is verdict.genuine, "a policy leaves genuine alone")
        expect((decided.decision is Decision.ACCEPTED) == (not decided.reasons), "accepted: no reason left")
        expect(decided.decision is not Decision.ACCEPTED or verdict.genuine is True, "only what is genuine is accepted")


@cache
def _honest_verdicts() -> Sequence[Verdict]:
    """Genuine, forged and undecidable."""
    each, verifier = seeds.evidence()[0], DcapVerifier(_lab_roots())
    forged = each.quote[:100] + bytes((each.quote[100] ^ 1,)) + each.quote[101:]
    return [
        verifier.verify(each.quote, each.collateral, each.at),
        verifier.verify(forged, each.collateral, each.at),
        verifier.verify(each.quote, None, each.at),
    ]
