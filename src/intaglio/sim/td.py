"""Trust domains in the laboratory: their reports, and the quoting enclave that signs them.

No TD runs here. A draft begins with what an honest TDX module would report of a TD, and the platform's own quoting
enclave for TDs, an SGX enclave of product 2 as Intel's is, turns that into a quote of version 4 or 5.
"""

from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha384
from typing import Self

from intaglio.sim.draft import QuoteDraft
from intaglio.sim.machine import Machine
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.quoting import TD_QE_PROD_ID, QuotingEnclave
from intaglio.sim.signing import EnclaveTerms, sign_enclave
from intaglio.sim.world import QE_SVN, Lab
from intaglio.types import Measurement, ReportData, Tee, UnixTime
from intaglio.wire.sgx import AttributeFlag
from intaglio.wire.tdx import TdAttribute, TdBody, TdExtension, TdReport

__all__ = ["TdDraft", "td_quoting_enclave", "td_report"]

TD_QE_IMAGE = Image((TrustedFile("td-quoting-enclave", b"intaglio simulated quoting enclave for TDs\n"),))
TEE_TCB_SVN = bytes((4, 1, 7, *[0] * 13))
"""SVN 4 of version 1 of the module, and microcode that reaches the level a lab publishes as current."""


def td_report(
    body_type: TdBody = TdBody.TDX_1_0, *, name: str = "td", report_data: ReportData | None = None
) -> TdReport:
    """A TD in production mode, whose measurements follow from `name`."""

    def measured(what: str) -> Measurement:
        return Measurement(sha384(f"{name} {what}".encode()).digest())

    nothing = Measurement(bytes(48))
    report = TdReport(
        tee_tcb_svn=TEE_TCB_SVN,
        mr_seam=Measurement(sha384(b"a TDX module").digest()),
        mr_signer_seam=nothing,
        seam_attributes=0,
        td_attributes=TdAttribute.SEPT_VE_DISABLE,
        xfam=0x602E7,
        mr_td=measured("firmware"),
        mr_config_id=nothing,
        mr_owner=nothing,
        mr_owner_config=nothing,
        rtmr0=measured("configuration"),
        rtmr1=measured("kernel"),
        rtmr2=measured("command line"),
        rtmr3=nothing,
        report_data=report_data or ReportData(bytes(range(64))),
    )
    if body_type is TdBody.TDX_1_0:
        return report
    report = replace(report, tee_tcb_svn2=TEE_TCB_SVN, mr_service_td=nothing)
    return replace(report, extension=_extension(name)) if body_type is TdBody.TDX_1_5_EXTENDED else report


def td_quoting_enclave(lab: Lab, machine: Machine, at: UnixTime) -> QuotingEnclave:
    """The one of `machine`, signed by the lab's vendor of quoting enclaves."""
    flags = AttributeFlag.MODE64 | AttributeFlag.PROVISION_KEY
    terms = EnclaveTerms(isv_prod_id=TD_QE_PROD_ID, isv_svn=QE_SVN, flags=flags, debuggable=False)
    sigstruct = sign_enclave(lab.authority.quoting_signer, TD_QE_IMAGE.mr_enclave(), terms, now=at)
    enclave = machine.processor.launch(TD_QE_IMAGE, sigstruct.encode())
    return QuotingEnclave(enclave, machine.quoting.pce, machine.record.pck_chain)


@dataclass(slots=True, kw_only=True)
class TdDraft(QuoteDraft[TdReport]):
    """One quote of one TD."""

    @classmethod
    def of(
        cls,
        lab: Lab,
        at: UnixTime,
        *,
        version: int = 5,
        body_type: TdBody = TdBody.TDX_1_5,
        platform: str = "alpha",
        report_data: ReportData | None = None,
    ) -> Self:
        """The honest draft: a TD in production mode on `platform`. A quote of version 4 has room for `TDX_1_0` only."""
        machine = lab.machine(platform)
        quoting = td_quoting_enclave(lab, machine, at)
        header = replace(quoting.header(), version=version, tee=Tee.TDX)
        return cls.drawn(lab, machine, at, header, td_report(body_type, report_data=report_data), quoting)

    def change(self, **fields: object) -> None:
        """The TD, or the module under it, is another one; everything after that is genuine."""
        self.body = partial(replace, self.body)(**fields)


def _extension(name: str) -> TdExtension:
    nothing = Measurement(bytes(48))
    return TdExtension(
        vm_id=0,
        td_id=sha384(f"{name} id".encode()).digest()[:32],
        device_info=bytes(48),
        init_service_td_hash=nothing,
        init_service_td_attributes=0,
        init_cpu_svn=bytes(16),
        init_tee_tcb_svn=TEE_TCB_SVN,
        init_tee_fmspc=bytes(12),
        current_service_td_hash=nothing,
        current_service_td_attributes=0,
    )
