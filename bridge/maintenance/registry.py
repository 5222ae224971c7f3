"""Every work of upkeep: its name, what does it, and how often. A new one is a line here, and its interval in `UpkeepSettings`: bridge and beat do it then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bridge.connection import Connection
from bridge.maintenance.consumers import delete_idle_consumers
from bridge.maintenance.dead_letters import purge_old_dead_letters
from bridge.maintenance.ghosts import sweep_all_ghosts
from bridge.maintenance.measuring import WORK as METRICS
from bridge.maintenance.measuring import collect_metrics
from bridge.maintenance.memory import watch_memory
from bridge.maintenance.promoting import promote_due
from bridge.maintenance.reaping import reap_silent
from bridge.maintenance.reconciling import reconcile
from bridge.maintenance.repairing import repair_open
from bridge.maintenance.tombstones import purge_tombstones
from bridge.maintenance.trimming import trim_done
from bridge.upkeep_settings import UpkeepSettings


@dataclass(frozen=True, slots=True)
class Work:
    """A work of upkeep. May be done twice, or stop in the middle, with no harm."""

    name: str
    """Of its Celery task `streams.maintenance.<name>`, its turn, and its place in `Keys.upkeep`."""
    do: Callable[[Connection], object]
    """Returns what came out, as JSON takes it."""
    interval: str
    """The field of `UpkeepSettings` that says how often (s); 0 is never."""

    def every_seconds(self, settings: UpkeepSettings) -> float:
        """How often it is done."""
        return float(getattr(settings, self.interval))


WORKS: Final = (
    Work("promote", promote_due, "promote_seconds"),
    Work("reap", reap_silent, "reap_seconds"),
    Work("repair", repair_open, "repair_seconds"),
    Work("reconcile", reconcile, "reconcile_seconds"),
    Work("trim", trim_done, "trim_seconds"),
    Work(METRICS, collect_metrics, "metrics_seconds"),
    Work("memory", watch_memory, "memory_seconds"),
    Work("ghosts", sweep_all_ghosts, "ghosts_seconds"),
    Work("consumers", delete_idle_consumers, "consumers_seconds"),
    Work("dead_letters", purge_old_dead_letters, "dead_letters_seconds"),
    Work("tombstones", purge_tombstones, "tombstones_seconds"),
)


def due_works(settings: UpkeepSettings) -> dict[str, float]:
    """The works that are done at all, by name, and their intervals (s)."""
    return {work.name: work.every_seconds(settings) for work in WORKS if work.every_seconds(settings) > 0}


def work(name: str) -> Work:
    """The work of that name."""
    return next(each for each in WORKS if each.name == name)
