"""What a run came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.judging import Judged, Violation
from tests.chaos.striking import Struck


@dataclass(frozen=True)
class Report:
    """Everything that the page says."""

    command: str
    seed: int
    commit: str
    machine: str
    server: str
    faults_seconds: float
    whole_seconds: float
    judged: Sequence[Judged]
    units: Counter[str]
    struck: Sequence[Struck]
    orphan_processes: Sequence[str]
    orphan_keys: Sequence[str]
    left: dict[str, int]
    ended_by_themselves: Sequence[str]
    runs: int
    overlaps: Sequence[float]
    lives_after_waking: Sequence[float]
    notices: dict[str, int]
    redriven: int
    discarded: int

    @property
    def violations(self) -> Counter[Violation]:
        return Counter(violation for each in self.judged for violation in each.violations)

    @property
    def is_clean(self) -> bool:
        """Every number that must be 0 is."""
        return not (self.violations or self.orphan_processes or self.orphan_keys or self.left or self.ended_by_themselves)


def complaints(report: Report) -> list[str]:
    """Everything that isn't 0, one line each."""
    return [
        *(
            f"{', '.join(each.violations)}: {each.job.id} ({each.job.outcome}, value {each.job.value}, publishes <= {each.job.most_publishes}): {each.facts}"
            for each in report.judged
            if each.violations
        ),
        *(f"orphan process: {each}" for each in report.orphan_processes),
        *(f"orphan key: {each}" for each in report.orphan_keys),
        *(f"left: {number} {what}" for what, number in report.left.items()),
        *report.ended_by_themselves,
    ]
