"""From when on something is degraded or critical, and how much is counted to find out. A threshold of 0 turns its rule off."""

from __future__ import annotations

from pydantic import Field

from streams.settings import Settings


class Thresholds(Settings):
    """`HEALTH_...` of the environment."""

    window_seconds: float = Field(default=300.0, validation_alias="HEALTH_WINDOW_SECONDS", ge=1)
    """Over which queue waits, run times and throughput are taken."""
    count_limit: int = Field(default=50_000, validation_alias="HEALTH_COUNT_LIMIT", ge=0)
    """Entries that are counted one by one where the server doesn't know a lag; beyond it the lag is unknown."""

    waiting: int = Field(default=1_000, validation_alias="HEALTH_WAITING", ge=0)
    """Commands of one service that nobody has taken up: degraded."""
    waiting_critical: int = Field(default=10_000, validation_alias="HEALTH_WAITING_CRITICAL", ge=0)
    wait_seconds: float = Field(default=3_600.0, validation_alias="HEALTH_WAIT_SECONDS", ge=0)
    """Age of the oldest command that nobody has taken up: degraded."""
    wait_critical_seconds: float = Field(default=86_400.0, validation_alias="HEALTH_WAIT_CRITICAL_SECONDS", ge=0)
    nobody_seconds: float = Field(default=60.0, validation_alias="HEALTH_NOBODY_SECONDS", ge=0)
    """Something waits that long and nobody who would read it is alive: critical; before that degraded."""
    results_seconds: float = Field(default=30.0, validation_alias="HEALTH_RESULTS_SECONDS", ge=0)
    """Age of the oldest result or status that no bridge has read: degraded."""
    results_critical_seconds: float = Field(default=300.0, validation_alias="HEALTH_RESULTS_CRITICAL_SECONDS", ge=0)
    unresolved_seconds: float = Field(default=300.0, validation_alias="HEALTH_UNRESOLVED_SECONDS", ge=0)
    """A result was read that long ago and isn't resolved: degraded."""
    abandoned_leases: float = Field(default=4.0, validation_alias="HEALTH_ABANDONED_LEASES", ge=0)
    """A dead consumer's entry that nobody claims for so many leases: degraded."""
    deliveries: int = Field(default=3, validation_alias="HEALTH_DELIVERIES", ge=0, le=4)
    """A pending command that was delivered that often (4: more than three times): degraded."""
    overdue_seconds: float = Field(default=30.0, validation_alias="HEALTH_OVERDUE_SECONDS", ge=0)
    """A delayed command that should have been put back that long ago: degraded."""
    overdue_critical_seconds: float = Field(default=600.0, validation_alias="HEALTH_OVERDUE_CRITICAL_SECONDS", ge=0)
    dead_letters: int = Field(default=1, validation_alias="HEALTH_DEAD_LETTERS", ge=0)
    """Dead letters of one service within the hour (`HEALTH_DEAD_LETTERS_SECONDS`): degraded."""
    dead_letters_critical: int = Field(default=100, validation_alias="HEALTH_DEAD_LETTERS_CRITICAL", ge=0)
    dead_letters_seconds: float = Field(default=3_600.0, validation_alias="HEALTH_DEAD_LETTERS_SECONDS", ge=1)
    parked: int = Field(default=1, validation_alias="HEALTH_PARKED", ge=0)
    """Jobs that wait for an operator: degraded."""
    findings: int = Field(default=1, validation_alias="HEALTH_FINDINGS", ge=0)
    """Things that the reconciler found and couldn't repair: degraded."""
    stream_mib: float = Field(default=256.0, validation_alias="HEALTH_STREAM_MIB", ge=0)
    """Size of one stream: degraded."""
    memory_percent: float = Field(default=80.0, validation_alias="HEALTH_MEMORY_PERCENT", ge=0)
    """Of the server's maxmemory: degraded."""
    memory_critical_percent: float = Field(default=95.0, validation_alias="HEALTH_MEMORY_CRITICAL_PERCENT", ge=0)
    require_aof: bool = Field(default=True, validation_alias="HEALTH_REQUIRE_AOF")
    """A server without an append-only file is degraded: what it holds is lost when it crashes."""
