"""Faults of TCB info and QE identity: edits, wrong signers, wrong subjects, wrong times, and bad news from the
vendor."""

import json
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec

from intaglio.reasons import Reason
from intaglio.sim.authority import TCB_SIGNER_NAME
from intaglio.sim.draft import Draft, QuoteDraft, SignedDocument
from intaglio.sim.faults.registry import fault, shared_fault
from intaglio.sim.pki import DAY, YEAR, Holder, Plan, issue
from intaglio.sim.publication import JsonObject, compact, iso
from intaglio.types import Tee, UnixTime


@fault(Reason.TCB_INFO_SIGNATURE)
def edited_tcb_info(draft: Draft) -> None:
    """somebody makes an old platform look current in the TCB info"""
    draft.tcb_info.serve = lambda body: body.replace(b'"svn":12', b'"svn":11', 1)


@shared_fault(Reason.TCB_INFO_SIGNATURE)
def reserialised_tcb_info(draft: QuoteDraft[Any]) -> None:
    """a cache parsed the TCB info and wrote it again, prettier: the signature was over the bytes"""
    draft.tcb_info.serve = _pretty


@fault(Reason.QE_IDENTITY_SIGNATURE)
def edited_qe_identity(draft: Draft) -> None:
    """somebody names another quoting enclave"""
    draft.qe_identity.serve = lambda body: body.replace(b'"isvprodid":1', b'"isvprodid":2', 1)


@shared_fault(Reason.QE_IDENTITY_SIGNATURE)
def reserialised_qe_identity(draft: QuoteDraft[Any]) -> None:
    """a cache wrote the QE identity again"""
    draft.qe_identity.serve = _pretty


@shared_fault(Reason.COLLATERAL_SIGNER)
def tcb_info_signed_by_platform(draft: QuoteDraft[Any]) -> None:
    """the owner of one platform's PCK key signs TCB info for the whole family"""
    draft.tcb_info.key, draft.tcb_info.chain = draft.pck_key, list(draft.chain)


@shared_fault(Reason.COLLATERAL_SIGNER)
def qe_identity_signed_by_platform(draft: QuoteDraft[Any]) -> None:
    """the owner of one platform's PCK key names its own quoting enclave"""
    draft.qe_identity.key, draft.qe_identity.chain = draft.pck_key, list(draft.chain)


@shared_fault(Reason.COLLATERAL_SIGNER)
def tcb_info_signed_by_ca(draft: QuoteDraft[Any]) -> None:
    """the CA of the platforms signs TCB info, which is not its office"""
    draft.tcb_info.sign_as(draft.issuer, draft.lab.authority.root)


@shared_fault(Reason.COLLATERAL_SIGNER)
def tcb_signer_under_the_platform_ca(draft: QuoteDraft[Any]) -> None:
    """a TCB signer by name, but issued by the platform CA instead of the root"""
    key = ec.generate_private_key(ec.SECP256R1())
    plan = Plan(TCB_SIGNER_NAME, UnixTime(draft.at - DAY), UnixTime(draft.at + YEAR))
    signer = Holder(key, issue(plan, key.public_key(), draft.issuer))
    draft.tcb_info.sign_as(signer, draft.issuer, draft.lab.authority.root)


@shared_fault(Reason.COLLATERAL_EXPIRED)
def expired_tcb_signer(draft: QuoteDraft[Any]) -> None:
    """the certificate of the TCB signer ended yesterday; its key is still used"""
    signer = draft.lab.authority.tcb_signer
    plan = Plan(TCB_SIGNER_NAME, UnixTime(draft.at - YEAR), UnixTime(draft.at - DAY))
    expired = Holder(signer.key, issue(plan, signer.key.public_key(), draft.lab.authority.root))
    draft.tcb_info.sign_as(expired, draft.lab.authority.root)


@shared_fault(Reason.COLLATERAL_EXPIRED)
def expired_tcb_info(draft: QuoteDraft[Any]) -> None:
    """the TCB info is past its next update"""
    _date(draft.tcb_info, draft.at, -40, -10)


@shared_fault(Reason.COLLATERAL_NOT_YET_VALID)
def future_tcb_info(draft: QuoteDraft[Any]) -> None:
    """the TCB info was issued tomorrow"""
    _date(draft.tcb_info, draft.at, 1, 31)


@shared_fault(Reason.COLLATERAL_EXPIRED)
def expired_qe_identity(draft: QuoteDraft[Any]) -> None:
    """the QE identity is past its next update"""
    _date(draft.qe_identity, draft.at, -40, -10)


@shared_fault(Reason.COLLATERAL_NOT_YET_VALID)
def future_qe_identity(draft: QuoteDraft[Any]) -> None:
    """the QE identity was issued tomorrow"""
    _date(draft.qe_identity, draft.at, 1, 31)


@shared_fault(Reason.COLLATERAL_MISMATCH)
def other_family(draft: QuoteDraft[Any]) -> None:
    """genuine TCB info of another platform family"""
    draft.tcb_info.content["fmspc"] = "00906ED50000"


@shared_fault(Reason.COLLATERAL_MISMATCH)
def other_pce_id(draft: QuoteDraft[Any]) -> None:
    """genuine TCB info for another PCE"""
    draft.tcb_info.content["pceId"] = "0100"


@fault(Reason.COLLATERAL_MISMATCH)
def tcb_info_for_tdx(draft: Draft) -> None:
    """genuine TCB info of the same family, for TDX"""
    pcs = draft.lab.pcs
    draft.tcb_info.content = pcs.tcb_info(pcs.edition(), draft.machine.record.fmspc, draft.at, tee=Tee.TDX)


@shared_fault(Reason.COLLATERAL_MISMATCH)
def identity_of_the_verification_enclave(draft: QuoteDraft[Any]) -> None:
    """the identity of Intel's quote verification enclave in the place of the quoting enclave's"""
    draft.qe_identity.content["id"] = "QVE"


@fault(Reason.COLLATERAL_MISMATCH)
def identity_of_the_td_quoting_enclave(draft: Draft) -> None:
    """the identity of the quoting enclave for TDX in the place of the one for SGX"""
    pcs = draft.lab.pcs
    draft.qe_identity.content = pcs.qe_identity(pcs.edition(), draft.at, "TD_QE")


@shared_fault(Reason.COLLATERAL_MALFORMED)
def repeated_level(draft: QuoteDraft[Any]) -> None:
    """two TCB levels for the same SVNs: which one counts would depend on the reader"""
    levels = _levels(draft.tcb_info)
    levels.insert(1, {**levels[0], "tcbStatus": "Revoked"})


@shared_fault(Reason.COLLATERAL_MALFORMED)
def no_levels(draft: QuoteDraft[Any]) -> None:
    """TCB info without a level"""
    _levels(draft.tcb_info).clear()


@shared_fault(Reason.COLLATERAL_MALFORMED)
def unknown_status(draft: QuoteDraft[Any]) -> None:
    """a TCB status that this release does not know"""
    _levels(draft.tcb_info)[0]["tcbStatus"] = "MostlyHarmless"


@shared_fault(Reason.COLLATERAL_MALFORMED)
def missing_status(draft: QuoteDraft[Any]) -> None:
    """a TCB level without a status, which a careless reader takes for UpToDate"""
    del _levels(draft.tcb_info)[0]["tcbStatus"]


@shared_fault(Reason.COLLATERAL_MALFORMED)
def fifteen_components(draft: QuoteDraft[Any]) -> None:
    """a TCB level with fifteen components: a matcher that zips them ignores the last"""
    tcb = cast(JsonObject, _levels(draft.tcb_info)[0]["tcb"])
    cast(list[object], tcb["sgxtcbcomponents"]).pop()


@shared_fault(Reason.COLLATERAL_MALFORMED)
def unknown_tcb_info_version(draft: QuoteDraft[Any]) -> None:
    """TCB info of a version that nobody has defined"""
    draft.tcb_info.content["version"] = 9


@shared_fault(Reason.COLLATERAL_MALFORMED)
def repeated_key(draft: QuoteDraft[Any]) -> None:
    """the FMSPC stands twice in the TCB info: which one counts would depend on the reader"""
    draft.tcb_info.encode = lambda content: compact(content)[:-1] + b',"fmspc":"00906ED50000"}'


@shared_fault(Reason.COLLATERAL_MALFORMED)
def deep_nesting(draft: QuoteDraft[Any]) -> None:
    """TCB info nested so deep that a recursive reader runs out of stack"""
    depth = 20_000
    draft.tcb_info.encode = lambda content: compact(content)[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"


@shared_fault(Reason.QE_IDENTITY_MISMATCH)
def identity_names_other_signer(draft: QuoteDraft[Any]) -> None:
    """the vendor's identity names another signer than that of this platform's quoting enclave"""
    draft.qe_identity.content["mrsigner"] = "8C4F5775D796503E96137F77C68A829A0056AC8DED70140B081B094490C57BFF"


@fault(Reason.TCB_STATUS, by_policy=True)
def revoked_level(draft: Draft) -> None:
    """the vendor revokes the platform's TCB level"""
    _levels(draft.tcb_info)[0]["tcbStatus"] = "Revoked"


@fault(Reason.TCB_STATUS, by_policy=True)
def configuration_needed(draft: Draft) -> None:
    """the vendor finds that platforms of this level need another configuration"""
    _levels(draft.tcb_info)[0]["tcbStatus"] = "ConfigurationNeeded"


@fault(Reason.TCB_STATUS, by_policy=True)
def below_all_levels(draft: Draft) -> None:
    """the platform reaches no level at all"""
    for level in _levels(draft.tcb_info):
        cast(JsonObject, level["tcb"])["pcesvn"] = 0xFFFF
    del _levels(draft.tcb_info)[1:]


@fault(Reason.TCB_STATUS, by_policy=True)
def outdated_quoting_enclave(draft: Draft) -> None:
    """the platform is current, its quoting enclave is not"""
    _levels(draft.qe_identity)[0]["tcbStatus"] = "OutOfDate"


@fault(Reason.TCB_STATUS, by_policy=True)
def revoked_quoting_enclave(draft: Draft) -> None:
    """the vendor revokes the quoting enclave's level"""
    _levels(draft.qe_identity)[0]["tcbStatus"] = "Revoked"


@fault(Reason.ADVISORY, by_policy=True)
def new_advisory(draft: Draft) -> None:
    """an advisory applies to the platform's level, though the level counts as current"""
    _levels(draft.tcb_info)[0]["advisoryIDs"] = ["INTEL-SA-99999"]


@fault(Reason.TCB_EVALUATION_TOO_OLD, by_policy=True)
def rolled_back_collateral(draft: Draft) -> None:
    """genuine, unexpired collateral from before the last TCB recovery"""
    draft.tcb_info.content["tcbEvaluationDataNumber"] = 3


def _levels(document: SignedDocument) -> list[JsonObject]:
    return cast(list[JsonObject], document.content["tcbLevels"])


def _date(document: SignedDocument, at: UnixTime, first_day: int, last_day: int) -> None:
    document.content["issueDate"] = iso(UnixTime(at + first_day * DAY))
    document.content["nextUpdate"] = iso(UnixTime(at + last_day * DAY))


def _pretty(body: bytes) -> bytes:
    return json.dumps(json.loads(body), indent=2).encode("ascii")
