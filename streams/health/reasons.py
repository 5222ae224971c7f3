"""What a rule yields, and what all of them together mean."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, PlainSerializer

LOOK: Final = "celery -A tasks streams"


class Level(IntEnum):
    """How things stand; the number is a probe's exit code."""

    OK = 0
    DEGRADED = 1
    """Jobs still go through; somebody should look."""
    CRITICAL = 2
    """Jobs don't go through, or may be lost."""

    @property
    def word(self) -> str:
        """As it is shown."""
        return self.name.lower()


ShownLevel = Annotated[Level, PlainSerializer(lambda level: level.word, return_type=str, when_used="json")]


class Reason(BaseModel):
    """One thing that isn't well."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """Name of the rule, such as `no_worker`."""
    level: ShownLevel
    where: str
    """The service, stream and group, or `server`."""
    what: str
    """In one sentence."""
    value: float | None
    """None: not known."""
    threshold: float | None
    """None: the rule has none."""
    to_type: str
    """What to type next."""


class Verdict(BaseModel):
    """What a snapshot means."""

    model_config = ConfigDict(frozen=True)

    level: ShownLevel
    reasons: tuple[Reason, ...]
    """The worst first."""

    @classmethod
    def of(cls, reasons: Iterable[Reason]) -> Verdict:
        """As bad as the worst of its reasons, which come first."""
        ordered = tuple(sorted(reasons, key=lambda reason: -reason.level))
        return cls(level=ordered[0].level if ordered else Level.OK, reasons=ordered)

    def only(self, kinds: Iterable[str]) -> Verdict:
        """The same, by some of the rules."""
        wanted = set(kinds)
        return Verdict.of(reason for reason in self.reasons if reason.kind in wanted)


def reached(value: float, degraded: float, critical: float) -> tuple[Level, float] | None:
    """How bad a value is, and the threshold that it has reached; a threshold of 0 is off."""
    if critical and value >= critical:
        return Level.CRITICAL, critical
    if degraded and value >= degraded:
        return Level.DEGRADED, degraded
    return None


def duration(seconds: float) -> str:
    """As people say it."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
