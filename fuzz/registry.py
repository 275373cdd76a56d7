"""All targets: importing this module registers them."""

from fuzz import endorsements, foreign, messages, reports, verifiers
from fuzz.target import TARGETS, Target

__all__ = ["ALL", "Target"]

_MODULES = (reports, endorsements, messages, foreign, verifiers)
ALL = TARGETS
"""Every target by its name."""
