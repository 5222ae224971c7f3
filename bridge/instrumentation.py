"""Every counter of a bridge, and what it shows of the streams when it is scraped. Labels are services, streams, outcomes and reasons, never jobs.

The functions here are called from where things happen, one line each; none of them can fail or hold up a resolve.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import redis
from celery import signals
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.registry import Collector

from bridge.connection import Connection
from bridge.notifications import notifying
from streams.bus.clients import CONNECTION_ERRORS
from streams.health import Health, Thresholds, check_stream_health, recent
from streams.health.assembling import known_reason
from streams.health.exposition import SECONDS, Exposition, expose
from streams.health.prometheus import SnapshotCollector
from streams.health.recent import RecentJob
from streams.jobs.messages import ResultStatus

if TYPE_CHECKING:
    from bridge.resume import WonResult

logger = logging.getLogger(__name__)

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

QUEUE_WAIT: Final = Histogram(
    "celery_streams_queue_wait_seconds", "From a job's dispatch to its first start.", ["service"], buckets=SECONDS, registry=REGISTRY
)
RUN: Final = Histogram(
    "celery_streams_run_seconds", "How long the run took that gave the result.", ["service", "outcome"], buckets=SECONDS, registry=REGISTRY
)
DELIVERIES: Final = Histogram(
    "celery_streams_job_deliveries", "How often a job was delivered until it ended.", ["service"], buckets=(1, 2, 3, 5, 10), registry=REGISTRY
)
RESOLVE: Final = Histogram(
    "celery_streams_resolve_latency_seconds",
    "From a result's arrival on its stream to its task's outcome.",
    ["service"],
    buckets=SECONDS,
    registry=REGISTRY,
)
DEAD_LETTERS: Final = Counter(
    "celery_streams_dead_letters", "Jobs that ended as dead letters, or were parked.", ["service", "reason"], registry=REGISTRY
)
SUPERSEDED: Final = Counter("celery_streams_superseded", "Results that didn't count, kept aside.", ["service", "verdict"], registry=REGISTRY)
NOT_RESOLVED: Final = Counter(
    "celery_streams_resolve_failures", "Times that resolving a result failed; it is tried again.", ["service"], registry=REGISTRY
)
NOTICES: Final = Counter("celery_streams_notices", "What people were told of, or not: told, dropped.", ["what"], registry=REGISTRY)

_started = False
_exposition: Exposition | None = None
_collector: Collector | None = None


class CachedLook:
    """A look at the streams that several scrapes share."""

    def __init__(self, connection: Connection, thresholds: Thresholds, seconds: float) -> None:
        self._connection, self._thresholds, self._seconds = connection, thresholds, seconds
        self._lock = threading.Lock()
        self._at: float | None = None
        self._health: Health | None = None

    def __call__(self) -> Health | None:
        """None when the server can't be asked now."""
        with self._lock:
            if self._at is None or time.monotonic() - self._at >= self._seconds:
                try:
                    self._health = check_stream_health(self._connection, self._thresholds)
                except (*CONNECTION_ERRORS, redis.RedisError) as exc:
                    logger.debug("metrics: the streams can't be looked at: %s: %s", type(exc).__name__, exc)
                    self._health = None
                self._at = time.monotonic()
            return self._health


def start(connection: Connection) -> None:
    """Of a bridge: answer scrapes if a port is set, and tell people if somebody is to be told; until the process ends, also while the broker is away.

    Again, after Celery's consumer was started anew, it does nothing.
    """
    global _started, _exposition, _collector  # noqa: PLW0603 - a process is one bridge
    if _started:
        return
    _started = True
    settings = connection.settings
    if settings.metrics_port is not None:
        _collector = SnapshotCollector(CachedLook(connection, Thresholds.load(), settings.metrics_cache_seconds))
        REGISTRY.register(_collector)
        _exposition = expose(REGISTRY, port=settings.metrics_port, address=settings.metrics_address, variable="BRIDGE_METRICS_PORT")
    notifying.start(connection, NOTICES)
    signals.worker_shutdown.connect(stop, dispatch_uid="bridge.instrumentation.stop", weak=False)


def stop(**_: Any) -> None:
    """The bridge ends: what people aren't told yet is told."""
    global _started, _exposition, _collector
    notifying.stop()
    if _exposition is not None:
        _exposition.close()
    if _collector is not None:
        REGISTRY.unregister(_collector)
    _started, _exposition, _collector = False, None, None


def superseded(service_name: str, verdict: str) -> None:
    """R8: a result doesn't count."""
    SUPERSEDED.labels(service_name, verdict).inc()


def not_resolved(service_name: str) -> None:
    """A result can't be resolved now."""
    NOT_RESOLVED.labels(service_name).inc()


def parked(won: WonResult, service_name: str) -> None:
    """A job waits for an operator (R15)."""
    _dead_letter(won, service_name)


def resolved(connection: Connection, won: WonResult, service_name: str, verdict: str) -> None:
    """R9 was asked to close a job. What was closed before isn't counted twice."""
    if verdict != "closed":
        return
    try:
        _count(connection, won, service_name)
    except Exception as exc:  # noqa: BLE001 - the job is done; a number less is no harm
        logger.debug("task %s isn't counted: %s: %s", won.result.task_id, type(exc).__name__, exc)


def _count(connection: Connection, won: WonResult, service_name: str) -> None:
    result, keys = won.result, connection.keys
    outcome = ResultStatus.CANCELLED if won.begun.cancelled else result.status
    if outcome is ResultStatus.DEAD_LETTERED and not won.begun.released:  # a released one was counted when it was parked
        _dead_letter(won, service_name)
    if result.deliveries is not None:
        DELIVERIES.labels(service_name).observe(result.deliveries)
    if result.runtime_seconds is not None:
        RUN.labels(service_name, str(outcome)).observe(result.runtime_seconds)
    with connection.client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hget(keys.job(won.publish_id), "dispatched_at")
        pipe.hget(keys.run(service_name, won.publish_id), "first_started_at")
        (seconds, microseconds), dispatched_at, started_at = pipe.execute()
    now_ms = seconds * 1000 + microseconds // 1000
    RESOLVE.labels(service_name).observe(max(0.0, (now_ms - int(won.entry.partition("-")[0])) / 1000))
    waited_ms = _waited_ms(dispatched_at, started_at or (result.started_at and result.started_at.isoformat()))
    if waited_ms is not None:
        QUEUE_WAIT.labels(service_name).observe(waited_ms / 1000)
    job = RecentJob(
        queue_wait_ms=waited_ms,
        run_ms=None if result.runtime_seconds is None else int(result.runtime_seconds * 1000),
        finished_at=now_ms,
        outcome=str(outcome),
    )
    recent.remember(connection.client, keys, service_name, job)


def _waited_ms(dispatched_at: Any, started_at: Any) -> int | None:
    """None of a job that no worker started. The two clocks may differ: no wait is below 0."""
    if not dispatched_at or not started_at:
        return None
    return max(0, int(datetime.fromisoformat(started_at).timestamp() * 1000) - int(dispatched_at))


def _dead_letter(won: WonResult, service_name: str) -> None:
    reason = known_reason(won.result.reason or won.result.failure().reason)
    DEAD_LETTERS.labels(service_name, reason).inc()
    notifying.tell_dead_letter(service_name, won.result.task_id, reason, won.result.failure().message)
