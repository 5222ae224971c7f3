"""What a run costs."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, field
from typing import Any


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass(slots=True)
class Usage:
    """What the run costs, from here on: a warm child's import is not the job's."""

    began: float = field(default_factory=time.monotonic)
    cpu_began: float = field(default_factory=_cpu_seconds)

    def so_far(self) -> dict[str, Any]:
        """`run_seconds`, `cpu_seconds`, and `peak_rss` in bytes."""
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return {
            "run_seconds": round(time.monotonic() - self.began, 3),
            "cpu_seconds": round(_cpu_seconds() - self.cpu_began, 3),
            "peak_rss": peak * 1024,
        }
