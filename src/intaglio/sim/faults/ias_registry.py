"""The lists of all faults of IAS reports and of local reports."""

from intaglio.sim.faults.registry import FaultOf, Registry
from intaglio.sim.ias import IasDraft
from intaglio.sim.local_report import LocalDraft

__all__ = ["IAS_FAULTS", "LOCAL_FAULTS", "IasFault", "LocalFault", "ias_fault", "local_fault"]

IasFault = FaultOf[IasDraft]
IAS_FAULTS: Registry[IasDraft] = Registry()

LocalFault = FaultOf[LocalDraft]
LOCAL_FAULTS: Registry[LocalDraft] = Registry()

ias_fault = IAS_FAULTS.fault
local_fault = LOCAL_FAULTS.fault
