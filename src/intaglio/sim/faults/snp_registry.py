"""The list of all faults of SEV-SNP evidence."""

from intaglio.sim.faults.registry import FaultOf, Registry
from intaglio.sim.snp import SnpDraft

__all__ = ["SNP_FAULTS", "SnpFault", "snp_fault"]

SnpFault = FaultOf[SnpDraft]
SNP_FAULTS: Registry[SnpDraft] = Registry()
"""Of reports and their certificates. Those that edit bytes assume a report of version 3 or later with a VCEK."""

snp_fault = SNP_FAULTS.fault
