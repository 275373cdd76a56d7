"""What a probe says: how bad it is, what it saw, what that means, and what to do."""

from enum import Enum
from typing import NamedTuple

__all__ = ["Finding", "Level", "good", "problem", "warning"]


class Level(Enum):
    """Whether somebody must act."""

    OK = "ok"
    WARNING = "warning"
    """It works, or may work, but not as well or as safely as it should."""
    PROBLEM = "problem"
    """Attestation will not work until somebody acts."""


class Finding(NamedTuple):
    """`subject` is what was looked at; `meaning` and `remedy` are empty where all is well."""

    level: Level
    subject: str
    found: str
    meaning: str = ""
    remedy: str = ""

    def lowered(self) -> "Finding":
        """The same as a warning."""
        return self._replace(level=Level.WARNING)

    def to_json(self) -> dict[str, str]:
        return {
            "level": self.level.value,
            "subject": self.subject,
            "found": self.found,
            "meaning": self.meaning,
            "remedy": self.remedy,
        }


def good(subject: str, found: str) -> Finding:
    return Finding(Level.OK, subject, found)


def warning(subject: str, found: str, meaning: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, subject, found, meaning, remedy)


def problem(subject: str, found: str, meaning: str, remedy: str) -> Finding:
    return Finding(Level.PROBLEM, subject, found, meaning, remedy)
