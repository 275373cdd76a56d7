"""Faults of what runs: the wrong enclave, a debug enclave, an enclave that certifies quotes and is not the
quoting enclave.

Those marked `by_policy` are genuine evidence of something that the data centre did not ask for.
"""

from dataclasses import replace

from intaglio.reasons import Reason
from intaglio.sim.cpu import Enclave, LaunchOptions
from intaglio.sim.draft import Draft, launch
from intaglio.sim.faults.registry import fault
from intaglio.sim.loader import PINNED_NAME
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.signing import EnclaveTerms
from intaglio.sim.world import PlatformPlan, TcbState
from intaglio.types import ReportData
from intaglio.wire.sgx import AttributeFlag, Attributes


@fault(Reason.DEBUG_ENCLAVE, by_policy=True)
def debug_bit(draft: Draft) -> None:
    """the host launches the vendor's own enclave in debug mode and reads its memory"""
    draft.relaunch(options=LaunchOptions(debug=True))


@fault(Reason.WRONG_MEASUREMENT, by_policy=True)
def other_image(draft: Draft) -> None:
    """the host launches a changed program, signed with the vendor's leaked key"""
    changed = Image((*draft.image.files, TrustedFile("backdoor.py", b"import this\n")))
    _run(draft, launch(draft.lab, draft.machine, changed, draft.at))


@fault(Reason.WRONG_MEASUREMENT, by_policy=True)
def other_pin(draft: Draft) -> None:
    """the host launches the vendor's program with the key of its own data centre pinned"""
    others = (file for file in draft.image.files if file.name != PINNED_NAME)
    changed = Image((*others, TrustedFile(PINNED_NAME, b"the host's own data centre\n")))
    _run(draft, launch(draft.lab, draft.machine, changed, draft.at))


@fault(Reason.WRONG_SIGNER, by_policy=True)
def other_signer(draft: Draft) -> None:
    """the same program, signed by somebody else"""
    somebody = replace(draft.lab, vendor=draft.lab.authority.quoting_signer)
    _run(draft, launch(somebody, draft.machine, draft.image, draft.at))


@fault(Reason.WRONG_PRODUCT, by_policy=True)
def other_product(draft: Draft) -> None:
    """another product of the same vendor"""
    draft.relaunch(EnclaveTerms(isv_prod_id=2))


@fault(Reason.SVN_TOO_LOW, by_policy=True)
def old_release(draft: Draft) -> None:
    """an old release of the vendor's enclave, chosen for a hole that was fixed since"""
    draft.relaunch(EnclaveTerms(isv_svn=0))


@fault(Reason.PRIVILEGED_ENCLAVE, by_policy=True)
def provision_key(draft: Draft) -> None:
    """the enclave was launched with the right to derive provisioning keys"""
    draft.relaunch(EnclaveTerms(flags=AttributeFlag.MODE64 | AttributeFlag.PROVISION_KEY))


@fault(Reason.PRIVILEGED_ENCLAVE, by_policy=True)
def launch_key(draft: Draft) -> None:
    """the enclave was launched with the right to derive launch tokens"""
    draft.relaunch(EnclaveTerms(flags=AttributeFlag.MODE64 | AttributeFlag.EINITTOKEN_KEY))


@fault(Reason.ENCLAVE_NOT_INITIALISED)
def never_initialised(draft: Draft) -> None:
    """the owner of an extracted attestation key invents a report and forgets the INIT bit"""
    attributes = draft.body.attributes
    draft.body = replace(draft.body, attributes=replace(attributes, flags=attributes.flags & ~AttributeFlag.INIT))


@fault(Reason.PLATFORM_NOT_ALLOWED, by_policy=True)
def stranger_platform(draft: Draft) -> None:
    """genuine evidence from a machine that is not ours, as an attestation key extracted elsewhere would make"""
    lab = draft.lab.copy()
    lab.add_platform(PlatformPlan("stranger", draft.machine.record.fmspc, draft.machine.record.ca), draft.at)
    draft.become(Draft.of(lab, draft.image, draft.at, platform="stranger", report_data=draft.body.report_data))


@fault(Reason.TCB_STATUS, by_policy=True, also=(Reason.ADVISORY,))
def outdated_platform(draft: Draft) -> None:
    """a platform without the last microcode update"""
    facts, name = draft.machine.record.facts, draft.machine.record.name
    lab = draft.lab.copy()
    lab.set_tcb(name, TcbState(tuple(max(0, svn - 1) for svn in facts.components), facts.pce_svn), draft.at)
    draft.become(Draft.of(lab, draft.image, draft.at, platform=name, report_data=draft.body.report_data))


@fault(Reason.QE_IDENTITY_MISMATCH)
def app_as_quoting_enclave(draft: Draft) -> None:
    """an ordinary enclave, certified by a broken PCE, plays the quoting enclave"""
    draft.qe_report = replace(draft.body, report_data=draft.qe_report.report_data)


@fault(Reason.QE_IDENTITY_MISMATCH)
def other_product_as_quoting_enclave(draft: Draft) -> None:
    """another architectural enclave of the same signer (the PCE, say) plays the quoting enclave"""
    draft.qe_report = replace(draft.qe_report, isv_prod_id=draft.qe_report.isv_prod_id + 1)


@fault(Reason.QE_IDENTITY_MISMATCH)
def debug_quoting_enclave(draft: Draft) -> None:
    """the quoting enclave runs in debug mode: the host reads its attestation key"""
    attributes = draft.qe_report.attributes
    debug = Attributes(attributes.flags | AttributeFlag.DEBUG, attributes.xfrm)
    draft.qe_report = replace(draft.qe_report, attributes=debug)


@fault(Reason.QE_IDENTITY_MISMATCH)
def quoting_enclave_misc_select(draft: Draft) -> None:
    """the quoting enclave has MISCSELECT bits that its identity forbids"""
    draft.qe_report = replace(draft.qe_report, misc_select=1)


@fault(Reason.REPORT_DATA, by_policy=True)
def other_session(draft: Draft) -> None:
    """evidence that was made for another session"""
    draft.body = replace(draft.body, report_data=ReportData(bytes(reversed(draft.body.report_data))))


@fault(Reason.REPORT_DATA, by_policy=True)
def no_session(draft: Draft) -> None:
    """evidence that binds nothing: the report data is all zero"""
    draft.body = replace(draft.body, report_data=ReportData(bytes(64)))


def _run(draft: Draft, enclave: Enclave) -> None:
    draft.body = replace(enclave.identity, report_data=draft.body.report_data)
