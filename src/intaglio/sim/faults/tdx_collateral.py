"""Faults of what TDX quotes are judged by: documents of the other TEE, and what they say of TDX modules."""

from typing import cast

from intaglio.reasons import Reason
from intaglio.sim.faults.registry import tdx_fault
from intaglio.sim.publication import JsonObject
from intaglio.sim.td import TdDraft
from intaglio.types import Tee


@tdx_fault(Reason.COLLATERAL_MISMATCH)
def tcb_info_for_sgx(draft: TdDraft) -> None:
    """genuine TCB info of the same family, for SGX: it knows nothing of TDX modules"""
    pcs = draft.lab.pcs
    draft.tcb_info.content = pcs.tcb_info(pcs.edition(), draft.machine.record.fmspc, draft.at)


@tdx_fault(Reason.COLLATERAL_MISMATCH)
def old_tcb_info_for_sgx(draft: TdDraft) -> None:
    """genuine TCB info of version 2, which does not even say that it is for SGX"""
    pcs = draft.lab.pcs
    draft.tcb_info.content = pcs.tcb_info(pcs.edition(), draft.machine.record.fmspc, draft.at, version=2)


@tdx_fault(Reason.COLLATERAL_MISMATCH)
def identity_of_the_quoting_enclave_for_sgx(draft: TdDraft) -> None:
    """the identity of the quoting enclave for SGX in the place of the one for TDX"""
    pcs = draft.lab.pcs
    draft.qe_identity.content = pcs.qe_identity(pcs.edition(), draft.at)


@tdx_fault(Reason.COLLATERAL_MISMATCH)
def identity_of_unknown_version(draft: TdDraft) -> None:
    """an identity of a version that nobody has defined"""
    draft.qe_identity.content["version"] = 4


@tdx_fault(Reason.QE_IDENTITY_MISMATCH)
def identity_names_the_product_for_sgx(draft: TdDraft) -> None:
    """the vendor's identity for TDX names the product id of the enclave for SGX"""
    draft.qe_identity.content["isvprodid"] = 1


@tdx_fault(Reason.TCB_INFO_SIGNATURE)
def edited_module_level(draft: TdDraft) -> None:
    """somebody makes an old module look current in the TCB info"""
    draft.tcb_info.serve = lambda body: body.replace(b'{"isvsvn":4}', b'{"isvsvn":3}', 1)


@tdx_fault(Reason.TCB_INFO_SIGNATURE)
def edited_tdx_components(draft: TdDraft) -> None:
    """somebody lowers what the microcode of a TDX platform must reach"""
    draft.tcb_info.serve = lambda body: body.replace(
        b'"tdxtcbcomponents":[{"svn":5}', b'"tdxtcbcomponents":[{"svn":0}', 1
    )


@tdx_fault(Reason.COLLATERAL_MALFORMED)
def level_without_tdx_components(draft: TdDraft) -> None:
    """a TCB level without the TDX components: a matcher that finds none compares none"""
    del _tcb(draft)["tdxtcbcomponents"]


@tdx_fault(Reason.COLLATERAL_MALFORMED)
def fifteen_tdx_components(draft: TdDraft) -> None:
    """a TCB level with fifteen TDX components: a matcher that zips them ignores the last"""
    cast(list[object], _tcb(draft)["tdxtcbcomponents"]).pop()


@tdx_fault(Reason.COLLATERAL_MALFORMED)
def no_tdx_module(draft: TdDraft) -> None:
    """TCB info that does not say who signs the TDX module"""
    del draft.tcb_info.content["tdxModule"]


@tdx_fault(Reason.COLLATERAL_MALFORMED)
def module_identity_twice(draft: TdDraft) -> None:
    """two identities for one version of the module: which one counts would depend on the reader"""
    identities = _modules(draft)
    identities.append({**identities[-1], "id": str(identities[-1]["id"]).lower()})


@tdx_fault(Reason.COLLATERAL_MALFORMED)
def module_level_twice(draft: TdDraft) -> None:
    """two levels of the module for one SVN"""
    levels = _module_levels(draft)
    levels.insert(0, {**levels[0], "tcbStatus": "Revoked"})


@tdx_fault(Reason.COLLATERAL_MALFORMED)
def module_without_levels(draft: TdDraft) -> None:
    """a module identity without a level"""
    _module_levels(draft).clear()


@tdx_fault(Reason.COLLATERAL_MALFORMED)
def unknown_module_status(draft: TdDraft) -> None:
    """a status of the module that this release does not know"""
    _module_levels(draft)[0]["tcbStatus"] = "Sparkling"


@tdx_fault(Reason.COLLATERAL_MALFORMED)
def short_module_signer(draft: TdDraft) -> None:
    """a signer of the module with 47 bytes"""
    _module(draft)["mrsigner"] = "00" * 47


@tdx_fault(Reason.TDX_MODULE_MISMATCH)
def no_module_identities(draft: TdDraft) -> None:
    """TCB info from before modules had versions"""
    del draft.tcb_info.content["tdxModuleIdentities"]


@tdx_fault(Reason.TDX_MODULE_MISMATCH)
def identity_of_another_modules_signer(draft: TdDraft) -> None:
    """the vendor describes a module that somebody else signed"""
    _module(draft)["mrsigner"] = "01" * 48


@tdx_fault(Reason.TDX_MODULE_MISMATCH)
def module_attributes_that_are_listed(draft: TdDraft) -> None:
    """a module in a special mode that the TCB info lists: Intel's library refuses every one, whatever is listed"""
    draft.change(seam_attributes=1)
    _module(draft)["attributes"] = "01" + "00" * 7


@tdx_fault(Reason.TCB_STATUS, by_policy=True)
def revoked_module(draft: TdDraft) -> None:
    """the vendor revokes the module's level"""
    _module_levels(draft)[0]["tcbStatus"] = "Revoked"


@tdx_fault(Reason.TCB_STATUS, by_policy=True)
def module_revoked_under_the_td(draft: TdDraft) -> None:
    """the module that launched the TD is current, the older one that runs now is revoked"""
    levels = _module_levels(draft)
    levels[0]["tcbStatus"] = "Revoked"
    levels.insert(0, {**levels[0], "tcb": {"isvsvn": 5}, "tcbStatus": "UpToDate"})
    draft.change(tee_tcb_svn=b"\5" + draft.body.tee_tcb_svn[1:])


@tdx_fault(Reason.TCB_STATUS, by_policy=True)
def module_of_a_status_that_modules_do_not_have(draft: TdDraft) -> None:
    """a status of platforms at a module: it must not vanish in the platform's"""
    _module_levels(draft)[0]["tcbStatus"] = "SWHardeningNeeded"


@tdx_fault(Reason.TCB_STATUS, by_policy=True)
def outdated_quoting_enclave_for_tds(draft: TdDraft) -> None:
    """platform and module are current, the quoting enclave for TDs is not"""
    cast(list[JsonObject], draft.qe_identity.content["tcbLevels"])[0]["tcbStatus"] = "OutOfDate"


@tdx_fault(Reason.ADVISORY, by_policy=True)
def new_advisory_for_the_module(draft: TdDraft) -> None:
    """an advisory applies to the module's level, though the level counts as current"""
    _module_levels(draft)[0]["advisoryIDs"] = ["INTEL-SA-99999"]


@tdx_fault(Reason.TCB_EVALUATION_TOO_OLD, by_policy=True)
def rolled_back_tdx_collateral(draft: TdDraft) -> None:
    """genuine, unexpired collateral from before the last TCB recovery, for TDX"""
    pcs = draft.lab.pcs
    draft.tcb_info.content = pcs.tcb_info(pcs.edition(), draft.machine.record.fmspc, draft.at, tee=Tee.TDX)
    draft.tcb_info.content["tcbEvaluationDataNumber"] = 3


def _tcb(draft: TdDraft) -> JsonObject:
    return cast(JsonObject, cast(list[JsonObject], draft.tcb_info.content["tcbLevels"])[0]["tcb"])


def _modules(draft: TdDraft) -> list[JsonObject]:
    return cast(list[JsonObject], draft.tcb_info.content["tdxModuleIdentities"])


def _module(draft: TdDraft) -> JsonObject:
    """The identity of the module that honest TDs run under."""
    return next(each for each in _modules(draft) if each["id"] == "TDX_01")


def _module_levels(draft: TdDraft) -> list[JsonObject]:
    return cast(list[JsonObject], _module(draft)["tcbLevels"])
