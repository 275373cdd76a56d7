"""`verify` and policies: what holds for the verdict on any bytes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from fuzz import seeds
from fuzz.forge import Forged, Forgery, forge, scripts
from fuzz.forge_dcap import dcap_forgeries
from fuzz.forge_others import ias_forgeries, local_forgeries, nitro_forgeries, snp_forgeries
from fuzz.target import expect, read, target
from intaglio.sim.td import td_report
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
from intaglio.wire.tdx import TdBody
from tests.verify.policies import NITRO, SGX, SNP, SUBJECTS, TDX, genuine, table

REPORT_DATA = bytes(range(64))
_EVERY_STATUS = (
    '["UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",'
    ' "OutOfDateConfigurationNeeded"]'
)
_LENIENT = {"debug": None, "dangerous_allow_debug": "true"}
_LENIENT_INTEL = {"tcb": _EVERY_STATUS, "advisories": '["INTEL-SA-00001"]', "min_tcb_evaluation_number": "0"}


def _from_lenient_to_strict() -> Sequence[Sequence[str]]:
    """For each TEE: what one accepts, those before it accept too."""
    sgx = {**SGX, "mr_enclave": f'["{seeds.IMAGE.mr_enclave().hex()}"]'}
    lenient = table(sgx, **_LENIENT, **_LENIENT_INTEL, dangerous_allow_privileged="true")
    td = td_report(TdBody.TDX_1_5)
    tdx = {**TDX, "mr_td": f'["{td.mr_td.hex()}"]'}
    tdx |= {f"rtmr{n}": f'["{value.hex()}"]' for n, value in enumerate(td.rtmrs[:3])}
    snp = {**SNP, "measurement": f'["{"9f" * 48}"]', "min_tcb": "{ bl = 4, tee = 0, snp = 0, ucode = 0 }"}
    return [
        [
            lenient,
            table(sgx, **_LENIENT_INTEL),
            table(sgx),
            table(sgx, min_config_svn="0", config_id=f'"{"00" * 64}"'),
        ],
        [table(snp, **_LENIENT), table(snp), table(snp, host_data=f'"{"00" * 32}"')],
        [table(NITRO, **_LENIENT), table(NITRO), table(NITRO, pcr8=f'["{"a8" * 48}"]')],
        [table(tdx, **_LENIENT, **_LENIENT_INTEL), table(tdx, **_LENIENT_INTEL), table(tdx)],
    ]


@cache
def policies() -> Sequence[Sequence[Policy]]:
    return [[Policy.parse(text) for text in texts] for texts in _from_lenient_to_strict()]


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
    for chain in policies():
        accepted = [_check_policy(policy, verdict) for policy in chain]
        expect(accepted == sorted(accepted, reverse=True), "adding a rule never improves a verdict")


def _check_policy(policy: Policy, verdict: Verdict, pin_hash: bytes | None = None) -> bool:
    """Whether it accepts."""
    decided = policy.appraise(verdict, report_data=REPORT_DATA if pin_hash else None, pin_hash=pin_hash)
    expect(decided.genuine is verdict.genuine, "a policy leaves genuine alone")
    expect(set(decided.reasons) >= set(verdict.reasons), "a policy takes no reason away")
    expect(decided.checks[: len(verdict.checks)] == verdict.checks, "a policy changes no check")
    expect(decided.decision is not Decision.ACCEPTED or verdict.genuine is True, "only what is genuine is accepted")
    expect((decided.decision is Decision.ACCEPTED) == (not decided.reasons), "accepted: no reason left")
    expect(decided.decision is not Decision.UNDECIDABLE or verdict.genuine is None, "undecidable stays so")
    json.dumps(decided.to_json())
    return decided.decision is Decision.ACCEPTED


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


def _judge_forged(forgeries: Sequence[Forgery], script: bytes) -> None:
    try:
        forged = forge(forgeries, script)
    except ValueError:
        return  # a part is too long to be encoded
    judge(forged.evidence, forged.collateral, forged.roots, forged.at)


@target(lambda: scripts(dcap_forgeries()), short_run=80)
def dcap_forged(data: bytes) -> None:
    """A quote edited by who holds every key gets a sound verdict, the same from a verifier that has seen it before."""
    _judge_forged(dcap_forgeries(), data)


@target(lambda: scripts(snp_forgeries()), short_run=100)
def snp_forged(data: bytes) -> None:
    """An SEV-SNP report edited by who holds every key gets a sound verdict, the same from a verifier that knows it."""
    _judge_forged(snp_forgeries(), data)


@target(lambda: scripts(nitro_forgeries()), short_run=100)
def nitro_forged(data: bytes) -> None:
    """A Nitro document edited by who holds every key gets a sound verdict, the same from a verifier that knows it."""
    _judge_forged(nitro_forgeries(), data)


@target(lambda: scripts(ias_forgeries()), short_run=100)
def ias_forged(data: bytes) -> None:
    """A report of IAS edited by who holds every key gets a sound verdict, the same from a verifier that knows it."""
    _judge_forged(ias_forgeries(), data)


@target(lambda: scripts(local_forgeries()), short_run=200)
def local_forged(data: bytes) -> None:
    """A local report edited by who holds the key gets a sound verdict, the same from a verifier that knows it."""
    _judge_forged(local_forgeries(), data)


_HONEST = (snp_forgeries, nitro_forgeries, ias_forgeries, local_forgeries)


@cache
def _honest() -> Sequence[tuple[Forged, Verdict]]:
    """Of the other TEEs, as they are without an edit, all of them genuine."""
    found = []
    for forgeries in _HONEST:
        for forgery in forgeries():
            made = forgery.build(forgery.parts)
            found.append((made, Verifier(made.roots).verify(made.evidence, made.collateral, made.at)))
    for _, verdict in found:
        expect(verdict.genuine is True, f"honest evidence is genuine, and not {verdict.reasons}")
    return found


@target(lambda: [bytes((i,)) + made.evidence for i, (made, _) in enumerate(_honest())], short_run=200)
def others_without_keys(data: bytes) -> None:
    """Evidence of another TEE edited by who holds no key is genuine only if it says what the original said."""
    honest, said = _honest()[(data[0] if data else 0) % len(_honest())]
    found = judge(data[1:], honest.collateral, honest.roots, honest.at)
    if found is not None and found.genuine:
        expect((found.identity, found.platform) == (said.identity, said.platform), "an edit passed")


@target(lambda: [each.quote for each in seeds.evidence()], short_run=120)
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


def _policy_texts() -> Sequence[bytes]:
    texts = [text for each in _from_lenient_to_strict() for text in each]
    pinned = {"mr_enclave": None, "mr_signer": f'"{"bb" * 32}"', "isv_prod_id": "1", "min_isv_svn": "1"}
    texts.append(table(SGX, **pinned, pin='"config_id"', smt="false"))
    return [text.encode() for text in (*texts, "".join(texts[:3]))]


@target(_policy_texts)
def policy(data: bytes) -> None:
    """Either a policy whose hash follows from what it says, or a PolicyError that names each problem once."""
    try:
        found = Policy.parse(data)
    except PolicyError as error:
        expect(bool(error.problems) and all(error.problems), "there is a problem")
        return
    expect(Policy.parse(data).hash == found.hash, "a policy has one hash")
    for verdict in _some_verdicts():
        _check_policy(found, verdict, bytes(32))


@cache
def _some_verdicts() -> Sequence[Verdict]:
    """Genuine of every TEE, forged, and undecidable."""
    each, verifier = seeds.evidence()[0], DcapVerifier(_lab_roots())
    forged = each.quote[:100] + bytes((each.quote[100] ^ 1,)) + each.quote[101:]
    return [
        *map(genuine, SUBJECTS),
        verifier.verify(each.quote, each.collateral, each.at),
        verifier.verify(forged, each.collateral, each.at),
        verifier.verify(each.quote, None, each.at),
    ]
