"""Named attacks on evidence: one change each, signed again by whatever the attacker could sign with.

draft = Draft.of(lab, image, at)
FAULTS["other_attestation_key"].apply(draft)
evidence = draft.build()          # must be refused for FAULTS["other_attestation_key"].reason
"""

from intaglio.sim.faults import (
    certificates,
    collateral,
    enclaves,
    ias_certificates,
    ias_reports,
    local_reports,
    nitro_certificates,
    nitro_documents,
    quotes,
    snp_certificates,
    snp_lists,
    snp_reports,
    tdx_collateral,
    tdx_quotes,
)
from intaglio.sim.faults.ias_registry import IAS_FAULTS, LOCAL_FAULTS, IasFault, LocalFault
from intaglio.sim.faults.nitro_registry import NITRO_FAULTS, NitroFault
from intaglio.sim.faults.registry import FAULTS, TDX_FAULTS, Fault, TdxFault
from intaglio.sim.faults.snp_registry import SNP_FAULTS, SnpFault

__all__ = [
    "FAULTS", "IAS_FAULTS", "LOCAL_FAULTS", "NITRO_FAULTS", "SNP_FAULTS", "TDX_FAULTS", "Fault", "IasFault",
    "LocalFault", "NitroFault", "SnpFault", "TdxFault", "certificates", "collateral", "enclaves", "ias_certificates",
    "ias_reports", "local_reports", "nitro_certificates", "nitro_documents", "quotes", "snp_certificates", "snp_lists",
    "snp_reports", "tdx_collateral", "tdx_quotes",
]  # fmt: skip
