"""The list of all faults of Nitro documents."""

from intaglio.sim.faults.registry import FaultOf, Registry
from intaglio.sim.nitro import NitroDraft

__all__ = ["NITRO_FAULTS", "NitroFault", "nitro_fault"]

NitroFault = FaultOf[NitroDraft]
NITRO_FAULTS: Registry[NitroDraft] = Registry()

nitro_fault = NITRO_FAULTS.fault
