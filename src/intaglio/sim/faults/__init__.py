"""Named attacks on evidence: one change each, signed again by whatever the attacker could sign with.

draft = Draft.of(lab, image, at)
FAULTS["other_attestation_key"].apply(draft)
evidence = draft.build()          # must be refused for FAULTS["other_attestation_key"].reason
"""

from intaglio.sim.faults import certificates, collateral, enclaves, quotes
from intaglio.sim.faults.registry import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "certificates", "collateral", "enclaves", "quotes"]
