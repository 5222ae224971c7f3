"""Where Redis is, and how this deployment's keys are called."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, field_validator
from redis.connection import parse_url

from streams.bus.limits import LimitsSettings
from streams.bus.services import ServicesSettings
from streams.bus.topology import Keys


class StreamsSettings(ServicesSettings, LimitsSettings):
    """What everything that talks to the streams needs."""

    redis_url: str = Field(default="redis://127.0.0.1:6379/0", validation_alias="REDIS_URL")
    """`redis://`, `rediss://` or `unix://`, as redis-py takes it."""
    streams_prefix: str = Field(default="", validation_alias="STREAMS_PREFIX", pattern=r"^[\w{}.:-]*$")
    """In front of every key; a hash tag such as `{prod}:` keeps a deployment on one Redis Cluster slot."""
    lease_seconds: float = Field(default=15.0, validation_alias="STREAMS_LEASE_SECONDS", ge=1, le=3600)
    """A worker or bridge that hasn't been heard of for that long loses what it holds."""
    max_deliveries: int = Field(default=3, validation_alias="STREAMS_MAX_DELIVERIES", ge=1, le=100)
    """Runs of one publish, crashes and transient failures together, before it is a dead letter."""
    max_message_bytes: int = Field(default=1 << 20, validation_alias="STREAMS_MAX_MESSAGE_BYTES", ge=1024)
    """Largest command or result; larger outputs are artifacts."""

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_url(cls, url: str) -> str:
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        try:
            parse_url(url)  # type: ignore[no-untyped-call]
        except ValueError as exc:
            raise ValueError(f"can't be read: {exc}") from None
        return url

    @property
    def keys(self) -> Keys:
        """Key names of this deployment."""
        return Keys(self.streams_prefix)

    @property
    def lease(self) -> timedelta:
        """The lease as a duration."""
        return timedelta(seconds=self.lease_seconds)


class EventBusSettings(StreamsSettings):
    """What an event bus needs."""

    idempotency_days: float = Field(default=7.0, validation_alias="STREAMS_IDEMPOTENCY_DAYS", gt=0)
    """How long an idempotency key is remembered: longer than any message lies in a spool."""
    spool_dir: Path | None = Field(default=None, validation_alias="STREAMS_SPOOL_DIR")
    """Where `send_with_retry` keeps messages while Redis is away; a folder of this one service. None: its caller keeps them."""

    @property
    def idempotency_life(self) -> timedelta:
        """Life of an idempotency key."""
        return timedelta(days=self.idempotency_days)
