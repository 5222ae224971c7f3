"""A stream worker as it last told of itself, in the hash `workers` that the bridge keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from streams.bus.codec import decode_json
from streams.errors import DecodeError
from streams.jobs.messages import WorkerStatus, WorkerStatusKind

STALE_SECONDS: Final = 10.0
"""A heartbeat that was read later than that is no news: the bridge was away."""


@dataclass(frozen=True, slots=True)
class StreamWorker:
    """A worker that was heard of lately."""

    service: str
    status: WorkerStatus
    seconds_ago: float
    """Since it was last heard of, by the clock of the streams' server: that of its machine may be wrong."""

    @property
    def name(self) -> str:
        """Its node name."""
        return self.status.worker

    @property
    def alive(self) -> bool:
        """Whether it was heard of within some heartbeats."""
        return self.status.kind is not WorkerStatusKind.OFFLINE and self.seconds_ago < STALE_SECONDS + 3 * self.status.freq


def read_worker(told: Any, now: float) -> StreamWorker | None:
    """A value of the hash; None of what can't be read.

    Args:
        told: JSON.
        now: by the server's clock, in seconds since the epoch.
    """
    try:
        fields = decode_json(told)
        return StreamWorker(fields["service"], WorkerStatus.from_redis_dict(fields), max(0.0, now - float(fields["heard_at"])))
    except (DecodeError, KeyError, TypeError, ValueError):
        return None
