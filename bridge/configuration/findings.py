"""What `bridge.configuration.checks` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What becomes of a finding."""

    REFUSE = "refuse"
    """Jobs, or their results, would be lost."""
    WARN = "warn"
    """Under some circumstances something doesn't work; those are named."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One setting that should be another."""

    severity: Severity
    setting: str
    """As one would look for it: a Celery setting, an environment variable, or a server's."""
    found: str
    why: str
    to_set: str

    def __str__(self) -> str:
        return f"{self.setting} is {self.found}: {self.why}. Set {self.to_set}"


def refuse(setting: str, found: str, why: str, to_set: str) -> Finding:
    """A finding under which jobs would be lost."""
    return Finding(Severity.REFUSE, setting, found, why, to_set)


def warn(setting: str, found: str, why: str, to_set: str) -> Finding:
    """Any other."""
    return Finding(Severity.WARN, setting, found, why, to_set)
