"""Settings of the management side: Celery workers that dispatch, beat, and the bridge."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from bridge.upkeep_settings import UpkeepSettings
from streams.bus.settings import StreamsSettings


class Occasion(StrEnum):
    """What people can be told of."""

    FAILED = "failed"
    """A task became FAILURE."""
    DEAD_LETTERED = "dead_lettered"
    """A job's command became a dead letter, also when Celery retries it."""
    CRITICAL = "critical"
    """The verdict of `celery streams health`."""
    RECOVERED = "recovered"
    """It isn't critical any more."""


class BridgeSettings(StreamsSettings, UpkeepSettings):
    """What dispatching and resolving need."""

    dispatch_patience_seconds: float = Field(default=30.0, validation_alias="BRIDGE_DISPATCH_PATIENCE_SECONDS", ge=0)
    """How long a dispatch waits for an unreachable Redis before its message goes back to the broker."""
    backlog_retry_seconds: float = Field(default=5.0, validation_alias="BRIDGE_BACKLOG_RETRY_SECONDS", ge=0.1)
    """How long a task whose stream is full is put off the first time; each time twice as long, with jitter."""
    backlog_retry_max_seconds: float = Field(default=60.0, validation_alias="BRIDGE_BACKLOG_RETRY_MAX_SECONDS", ge=0.1)
    """And no longer than that: below the broker's visibility timeout."""
    result_lease_seconds: float = Field(default=15.0, validation_alias="BRIDGE_RESULT_LEASE_SECONDS", ge=1)
    """After that a result that a bridge began is taken by another."""
    tombstone_days: float = Field(default=7.0, validation_alias="BRIDGE_TOMBSTONE_DAYS", gt=0)
    """How long a finished job's ledger entry is kept, so that a late redelivery is recognised: at least as long as the broker's redelivery."""
    mark_days: float = Field(default=30.0, validation_alias="BRIDGE_MARK_DAYS", gt=0)
    """How long the mark beside a Celery result is kept after the last write; longer than the longest job."""
    longest_job_hours: float | None = Field(default=None, validation_alias="BRIDGE_LONGEST_JOB_HOURS", gt=0)
    """What a bridge that starts compares lifetimes with, such as `result_expires`. None: the longest time limit, if every bridged task has one, else 7 days."""
    max_resolve_attempts: int = Field(default=5, validation_alias="BRIDGE_MAX_RESOLVE_ATTEMPTS", ge=1)
    """A result that can't be resolved that often makes its task FAILURE, and is parked."""
    metrics_port: int | None = Field(default=None, validation_alias="BRIDGE_METRICS_PORT", ge=0, le=65_535)
    """Prometheus scrapes the bridge here; None is off, 0 any free port (the log says which)."""
    metrics_address: str = Field(default="127.0.0.1", validation_alias="BRIDGE_METRICS_ADDRESS", min_length=1)
    metrics_cache_seconds: float = Field(default=5.0, validation_alias="BRIDGE_METRICS_CACHE_SECONDS", ge=0)
    """How long a scrape is answered with the same look at the streams."""
    notify_urls: SecretStr = Field(default=SecretStr(""), validation_alias="NOTIFY_URLS")
    """Where people are told of what goes wrong: apprise's URLs, with spaces or commas between them. Empty is off."""
    notify_on: Annotated[tuple[Occasion, ...], NoDecode] = Field(default=tuple(Occasion), validation_alias="NOTIFY_ON")
    """Of what they are told, with commas."""
    notify_every_seconds: float = Field(default=60.0, validation_alias="NOTIFY_EVERY_SECONDS", ge=0)
    """At most one message in that time; it tells everything that happened meanwhile."""
    notify_look_seconds: float = Field(default=30.0, validation_alias="NOTIFY_LOOK_SECONDS", gt=0)
    """How often the verdict is looked at; two looks in a row have to agree."""

    @field_validator("notify_on", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(filter(None, value.replace(",", " ").split())) if isinstance(value, str) else value

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
