"""Settings of upkeep: who does it, how often, and how long what is kept is kept."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from streams.settings import Settings


class Upkeeper(StrEnum):
    """Who does the upkeep."""

    BRIDGE = "bridge"
    """The bridges do it by themselves."""
    BEAT = "beat"
    """Celery tasks do it, which beat sends (`maintenance_schedule`)."""


def _every(seconds: float, variable: str) -> float:
    every: float = Field(default=seconds, validation_alias=variable, ge=0)
    return every


class UpkeepSettings(Settings):
    """How often (s) each work is done, 0 for never; and its limits."""

    upkeep: Upkeeper = Field(default=Upkeeper.BRIDGE, validation_alias="BRIDGE_UPKEEP")
    promote_seconds: float = _every(1.0, "BRIDGE_PROMOTE_SECONDS")
    repair_seconds: float = _every(60.0, "BRIDGE_REPAIR_SECONDS")
    reconcile_seconds: float = _every(300.0, "BRIDGE_RECONCILE_SECONDS")
    trim_seconds: float = _every(300.0, "BRIDGE_TRIM_SECONDS")
    reap_seconds: float = _every(15.0, "BRIDGE_REAP_SECONDS")
    metrics_seconds: float = _every(60.0, "BRIDGE_METRICS_SECONDS")
    memory_seconds: float = _every(15.0, "BRIDGE_MEMORY_SECONDS")
    ghosts_seconds: float = _every(600.0, "BRIDGE_GHOSTS_SECONDS")
    consumers_seconds: float = _every(3600.0, "BRIDGE_CONSUMERS_SECONDS")
    dead_letters_seconds: float = _every(3600.0, "BRIDGE_DEAD_LETTERS_SECONDS")
    tombstones_seconds: float = _every(21_600.0, "BRIDGE_TOMBSTONES_SECONDS")

    consumer_idle_seconds: float = Field(default=86_400.0, validation_alias="BRIDGE_CONSUMER_IDLE_SECONDS", ge=60)
    """A consumer that owns nothing and did nothing for so long is deleted: each worker process has a name of its own."""
    dead_letter_days: float = Field(default=30.0, validation_alias="BRIDGE_DEAD_LETTER_DAYS", gt=0)
    """How long a dead letter is kept whose job has ended; one of a parked job stays."""
