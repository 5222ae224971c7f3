"""Every counter of a stream worker. Labels are services, outcomes and reasons, never jobs. They cost nothing while nobody scrapes (WORKER_METRICS_PORT)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from streams.bus.clock import utc_now
from streams.health.exposition import SECONDS, expose
from streams.jobs.messages import DeadReason
from streams.jobs.running import Delivery, TakenUp
from workers.settings import WorkerSettings

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

QUEUE_WAIT: Final = Histogram(
    "celery_streams_worker_queue_wait_seconds", "From a command's making to its first start.", ["service"], buckets=SECONDS, registry=REGISTRY
)
RUN: Final = Histogram("celery_streams_worker_run_seconds", "How long runs took.", ["service", "outcome"], buckets=SECONDS, registry=REGISTRY)
DELIVERIES: Final = Counter(
    "celery_streams_worker_deliveries",
    "Runs that began, by which delivery of their job it was: 1, 2, 3, more.",
    ["service", "delivery"],
    registry=REGISTRY,
)
DEAD_LETTERS: Final = Counter("celery_streams_worker_dead_letters", "Commands that this worker parked.", ["service", "reason"], registry=REGISTRY)
LOST_LEASES: Final = Counter(
    "celery_streams_worker_lost_leases", "Runs that ended because another worker has the job.", ["service"], registry=REGISTRY
)
ACTIVE: Final = Gauge("celery_streams_worker_active", "Jobs that run now.", ["service"], registry=REGISTRY)
CONCURRENCY: Final = Gauge("celery_streams_worker_concurrency", "Jobs that may run at a time.", ["service"], registry=REGISTRY)

USED_UP: Final = "used_up"
"""The reason where a worker takes up a job whose deliveries are used up; the bridge knows whether it is poison or exhausted."""
MANY: Final = 3


def taken_up(delivery: Delivery, taken: TakenUp) -> None:
    """An entry was read, and R4 has decided about it."""
    service = delivery.service.name
    if taken.verdict == "dead_lettered":
        DEAD_LETTERS.labels(service, USED_UP).inc()
    if taken.verdict != "run":
        return
    DELIVERIES.labels(service, str(taken.delivery) if taken.delivery <= MANY else "more").inc()
    if taken.delivery <= 1:
        QUEUE_WAIT.labels(service).observe(max(0.0, (utc_now() - delivery.command.created_at).total_seconds()))


def ended(delivery: Delivery, word: str, started_at: datetime) -> str:
    """A run has ended with this word: a result's status, `delayed`, `dead_lettered`, `handed_back` or `lost`. Returns it."""
    RUN.labels(delivery.service.name, word).observe(max(0.0, (utc_now() - started_at).total_seconds()))
    if word == "lost":
        LOST_LEASES.labels(delivery.service.name).inc()
    return word


def parked(service_name: str, reason: DeadReason, verdict: str) -> str:
    """What became of an attempt to deliver again, or to park: counted when it is a dead letter. Returns the verdict."""
    if verdict == "dead_lettered":
        DEAD_LETTERS.labels(service_name, str(reason)).inc()
    return verdict


@contextmanager
def exposed(settings: WorkerSettings, service_name: str, *, active: Callable[[], int], concurrency: Callable[[], int]) -> Iterator[None]:
    """While inside, the metrics can be scraped, if a port is set."""
    ACTIVE.labels(service_name).set_function(active)
    CONCURRENCY.labels(service_name).set_function(concurrency)
    exposition = expose(REGISTRY, port=settings.metrics_port, address=settings.metrics_address, variable="WORKER_METRICS_PORT")
    try:
        yield
    finally:
        if exposition is not None:
            exposition.close()
