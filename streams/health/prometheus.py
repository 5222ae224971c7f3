"""A snapshot and its verdict as Prometheus metrics. Labels are names of streams, groups, services and reasons, never of jobs or consumers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.health.checks import Health
from streams.health.snapshot import Group, ServiceHealth, Snapshot, Stream

PREFIX: Final = "celery_streams_"

_STREAM: Final[tuple[tuple[str, str, Callable[[Stream], float | None]], ...]] = (
    ("stream_length", "Entries of the stream.", lambda stream: stream.length),
    ("stream_bytes", "Memory of the stream, sampled.", lambda stream: stream.bytes),
    ("stream_oldest_age_seconds", "Age of its oldest entry.", lambda stream: stream.oldest_age_seconds),
)
_GROUP: Final[tuple[tuple[str, str, Callable[[Group], float | None]], ...]] = (
    ("group_lag", "Entries that the group hasn't been given; no sample when it isn't known.", lambda group: group.lag.entries),
    ("group_lag_at_least", "What is known of the lag in any case.", lambda group: group.lag.at_least),
    ("group_lag_unknown", "1 when the lag isn't known.", lambda group: float(group.lag.entries is None)),
    ("group_pending", "Entries given to a consumer and not acknowledged.", lambda group: group.pending),
    ("group_abandoned", "Pending entries of consumers that are gone.", lambda group: group.abandoned),
    (
        "group_oldest_unread_age_seconds",
        "Age of the oldest entry that the group hasn't been given.",
        lambda group: group.oldest_unread_age_seconds or 0.0,
    ),
    ("group_oldest_pending_age_seconds", "Age of its oldest pending entry.", lambda group: group.oldest_pending_age_seconds or 0.0),
    ("group_consumers_alive", "Consumers that are there.", lambda group: group.alive),
)
_SERVICE: Final[tuple[tuple[str, str, Callable[[ServiceHealth], float | None]], ...]] = (
    ("service_workers", "Worker processes that are alive.", lambda service: service.workers),
    ("service_waiting", "Commands that nobody has taken up, or at least so many.", lambda service: service.waiting.at_least),
    ("service_oldest_waiting_seconds", "Age of the oldest of them.", lambda service: service.oldest_waiting_seconds or 0.0),
    ("service_running", "Commands given to a worker.", lambda service: service.running),
    ("service_delayed", "Commands that wait for their next delivery.", lambda service: service.delayed),
    ("service_overdue", "Delayed commands that nobody puts back.", lambda service: service.overdue),
    ("service_open_jobs", "Jobs without an outcome; no sample when there are too many to ask whose they are.", lambda service: service.open),
    ("service_parked_jobs", "Jobs that wait for an operator.", lambda service: service.parked),
    ("service_throughput_per_minute", "Jobs that ended per minute, over the window.", lambda service: service.times.per_minute),
    ("service_dead_letters", "Dead letters that are there.", lambda service: service.dead_letters.total),
)


class SnapshotCollector(Collector):
    """Asks for the health when it is scraped."""

    def __init__(self, look: Callable[[], Health | None]) -> None:
        """Collect what `look` answers; None when the server can't be asked, which is told by `celery_streams_up` 0."""
        self._look = look

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: a registry asks nobody for it then."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One scrape."""
        health = self._look()
        yield _gauge("up", "1 when the streams' server could be asked.", 0.0 if health is None else 1.0)
        if health is not None:
            yield from families(health)


def text(health: Health) -> str:
    """The exposition format."""
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(lambda: health))
    return generate_latest(registry).decode()


def families(health: Health) -> Iterator[Metric]:
    """Every metric of a snapshot."""
    snapshot, verdict = health.snapshot, health.verdict
    yield _gauge("verdict", "0 ok, 1 degraded, 2 critical.", float(verdict.level))
    reasons = GaugeMetricFamily(f"{PREFIX}reasons", "Reasons of the verdict.", labels=["kind", "level"])
    counts: dict[tuple[str, str], int] = {}
    for reason in verdict.reasons:
        counts[reason.kind, reason.level.word] = counts.get((reason.kind, reason.level.word), 0) + 1
    for labels, count in counts.items():
        reasons.add_metric(labels, count)
    yield reasons
    yield from _streams(snapshot)
    yield from _services(snapshot)
    yield _family(
        "findings", "What the reconciler found last and couldn't repair.", ["kind"], (((kind,), count) for kind, count in snapshot.findings.items())
    )
    yield _family(
        "upkeep_age_seconds", "Since a work of upkeep was done last.", ["work"], (((work.name,), work.age_seconds) for work in snapshot.upkeep)
    )
    yield _family("upkeep_failed", "1 when it failed then.", ["work"], (((work.name,), float(bool(work.error))) for work in snapshot.upkeep))
    yield from _server(snapshot)


def _streams(snapshot: Snapshot) -> Iterator[Metric]:
    for name, what, value in _STREAM:
        yield _family(name, what, ["stream"], (((stream.name,), value(stream)) for stream in snapshot.streams))
    groups = [((stream.name, group.name), group) for stream in snapshot.streams for group in stream.groups]
    for name, what, of in _GROUP:
        yield _family(name, what, ["stream", "group"], ((labels, of(group)) for labels, group in groups))
    delivered = GaugeMetricFamily(
        f"{PREFIX}group_pending_deliveries", "Pending entries by how often they were delivered.", labels=["stream", "group", "deliveries"]
    )
    for labels, group in groups:
        counts = group.deliveries
        for times, count in (("1", counts.once), ("2", counts.twice), ("3", counts.thrice), ("more", counts.more)):
            delivered.add_metric([*labels, times], count)
    yield delivered


def _services(snapshot: Snapshot) -> Iterator[Metric]:
    for name, what, value in _SERVICE:
        yield _family(name, what, ["service"], (((service.name,), value(service)) for service in snapshot.services))
    waits = [(service.name, service.times.queue_wait_p50_seconds, service.times.queue_wait_p95_seconds) for service in snapshot.services]
    rows = [((name, quantile), value) for name, p50, p95 in waits for quantile, value in (("0.5", p50), ("0.95", p95))]
    yield _family(
        "service_queue_wait_recent_seconds", "From dispatch to the first start, of jobs that ended within the window.", ["service", "quantile"], rows
    )
    dead = (((service.name, reason), count) for service in snapshot.services for reason, count in service.dead_letters.by_reason.items())
    yield _family("dead_letters_present", "Dead letters that are there, by reason.", ["service", "reason"], dead)


def _server(snapshot: Snapshot) -> Iterator[Metric]:
    server = snapshot.server
    yield _gauge("server_used_bytes", "Memory that the server uses.", server.used_bytes)
    yield _gauge("server_max_bytes", "Its maxmemory; 0 is no limit.", server.max_bytes)
    evicted = CounterMetricFamily(f"{PREFIX}server_evicted_keys", "Keys that it threw away since its start.")
    evicted.add_metric([], server.evicted_keys)
    yield evicted
    yield _gauge("server_aof", "1 when it keeps an append-only file.", float(server.aof))
    yield _gauge("server_disk_ok", "0 when its last write to disk failed.", float(server.aof_ok and server.rdb_ok))


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, what, value=value)


def _family(name: str, what: str, labels: list[str], rows: Iterable[tuple[tuple[str, ...], float | None]]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, what, labels=labels)
    for values, value in rows:
        if value is not None:
            family.add_metric(list(values), value)
    return family
