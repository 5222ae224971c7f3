"""Settings of the management side: Celery workers that dispatch, beat, and the bridge."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from streams.bus.settings import StreamsSettings


class BridgeSettings(StreamsSettings):
    """What dispatching and resolving need."""

    dispatch_patience_seconds: float = Field(default=30.0, validation_alias="BRIDGE_DISPATCH_PATIENCE_SECONDS", ge=0)
    """How long a dispatch waits for an unreachable Redis before its message goes back to the broker."""
    result_lease_seconds: float = Field(default=15.0, validation_alias="BRIDGE_RESULT_LEASE_SECONDS", ge=1)
    """After that a result that a bridge began is taken by another."""
    tombstone_days: float = Field(default=7.0, validation_alias="BRIDGE_TOMBSTONE_DAYS", gt=0)
    """How long a finished job's ledger entry is kept, so that a late redelivery is recognised: at least as long as the broker's redelivery."""
    dead_letter_days: float = Field(default=30.0, validation_alias="BRIDGE_DEAD_LETTER_DAYS", gt=0)
    """How long a dead letter, and what is needed to redrive it, is kept. A parked task's is kept until somebody decides."""
    mark_days: float = Field(default=30.0, validation_alias="BRIDGE_MARK_DAYS", gt=0)
    """How long the mark beside a Celery result is kept after the last write; longer than the longest job."""
    longest_job_hours: float | None = Field(default=None, validation_alias="BRIDGE_LONGEST_JOB_HOURS", gt=0)
    """What a bridge that starts compares lifetimes with, such as `result_expires`. None: the longest time limit, if every bridged task has one, else 7 days."""
    max_resolve_attempts: int = Field(default=5, validation_alias="BRIDGE_MAX_RESOLVE_ATTEMPTS", ge=1)
    """A result that can't be resolved that often makes its task FAILURE, and is parked."""

    @property
    def result_lease(self) -> timedelta:
        """Lease of a bridge on a result."""
        return timedelta(seconds=self.result_lease_seconds)

    @property
    def tombstone(self) -> timedelta:
        """Life of a closed ledger entry."""
        return timedelta(days=self.tombstone_days)

    @property
    def dead_letter_tombstone(self) -> timedelta:
        """Life of a closed ledger entry whose command is a dead letter: it can be redriven for as long as that is kept."""
        return max(self.tombstone, timedelta(days=self.dead_letter_days))

    @property
    def mark_ttl_seconds(self) -> int:
        """Life of a mark."""
        return int(self.mark_days * 86_400)
