"""The public functions: how the streams are, now."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from streams.health.assembling import assemble
from streams.health.collect import measure
from streams.health.deployment import ConnectedApp, Deployment, StreamsConnection
from streams.health.reasons import Verdict
from streams.health.snapshot import Lag, Snapshot
from streams.health.thresholds import Thresholds
from streams.health.verdict import judge


class Health(BaseModel):
    """A verdict, and what it was made of."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    snapshot: Snapshot


class ConsumerLag(BaseModel):
    """What one group has still to read of one stream."""

    model_config = ConfigDict(frozen=True)

    stream: str
    """Without prefix."""
    group: str
    lag: Lag
    pending: int
    oldest_unread_age_seconds: float | None
    oldest_pending_age_seconds: float | None
    consumers_alive: int


def collect_stream_metrics(source: Deployment | StreamsConnection | ConnectedApp, thresholds: Thresholds | None = None) -> Snapshot:
    """Measure every stream, group, consumer and service. It only reads, in a few round trips, with no SCAN or KEYS.

    Args:
        source: a Celery app after `bridge.connect`, or a `Deployment` of a client, keys and services.
        thresholds: say how much is counted; by default read from the environment.

    Raises:
        one of streams.bus.clients.CONNECTION_ERRORS: the server can't be asked now.
        redis.ResponseError: it refuses to answer.
    """
    deployment, thresholds = Deployment.of(source), thresholds or Thresholds.load()
    return assemble(deployment, thresholds, measure(deployment, thresholds))


def check_stream_health(source: Deployment | StreamsConnection | ConnectedApp, thresholds: Thresholds | None = None) -> Health:
    """Whether all is `ok`, `degraded` or `critical`, and why. Arguments and errors are those of `collect_stream_metrics`."""
    thresholds = thresholds or Thresholds.load()
    snapshot = collect_stream_metrics(source, thresholds)
    return Health(verdict=judge(snapshot, thresholds), snapshot=snapshot)


def check_consumer_lag(source: Deployment | StreamsConnection | ConnectedApp, thresholds: Thresholds | None = None) -> tuple[ConsumerLag, ...]:
    """What each group of each stream has still to read: exactly, or unknown with the reason. Arguments and errors are those of `collect_stream_metrics`."""
    return lags_of(collect_stream_metrics(source, thresholds))


def lags_of(snapshot: Snapshot) -> tuple[ConsumerLag, ...]:
    """The groups of a snapshot."""
    return tuple(
        ConsumerLag(
            stream=stream.name,
            group=group.name,
            lag=group.lag,
            pending=group.pending,
            oldest_unread_age_seconds=group.oldest_unread_age_seconds,
            oldest_pending_age_seconds=group.oldest_pending_age_seconds,
            consumers_alive=group.alive,
        )
        for stream in snapshot.streams
        for group in stream.groups
    )
