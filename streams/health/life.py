"""Whether a consumer is alive; XINFO CONSUMERS alone doesn't say, as Redis 7.0 counts no read that found nothing as a sign of life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from streams.bus.clients import MAX_BLOCK_MS
from streams.health.snapshot import HeardBy
from streams.jobs.messages import WorkerStatusKind
from streams.jobs.stream_worker import StreamWorker, read_worker


@dataclass(frozen=True, slots=True)
class SignsOfLife:
    """What is known of the processes behind the consumers."""

    workers: Mapping[str, StreamWorker]
    """What stream workers told of themselves, by their consumers."""
    connections: Mapping[str, float]
    """Seconds since a connection of that name last asked for something: ours are called as their consumers."""

    @classmethod
    def read(cls, workers: Mapping[str, Any], clients: Sequence[Mapping[str, Any]], *, now: float) -> Self:
        """From the hash `workers` and CLIENT LIST; a server that doesn't tell its clients leaves them out.

        Args:
            workers: JSON by node name.
            clients: a row for each connection.
            now: by the server's clock, in seconds since the epoch.
        """
        told = [worker for value in workers.values() if (worker := read_worker(value, now)) is not None]
        connections: dict[str, float] = {}
        for client in clients:
            name, idle = str(client.get("name", "")), float(client.get("idle", 0))
            if name:
                connections[name] = min(idle, connections.get(name, idle))
        return cls({worker.status.consumer: worker for worker in told if worker.status.consumer}, connections)

    def of(self, consumer: str, *, idle_seconds: float, renewed_ago_seconds: float | None, lease_seconds: float) -> HeardBy:
        """What says that a consumer is alive.

        Args:
            consumer: its name.
            idle_seconds: of XINFO CONSUMERS.
            renewed_ago_seconds: since it was given, or renewed its hold on, the entry that it was last heard of with; None when it holds none.
            lease_seconds: how long it may be silent. One that polls does so every few seconds.
        """
        worker = self.workers.get(consumer)
        if worker is not None and worker.alive:
            return HeardBy.HEARTBEAT
        if worker is not None and worker.status.kind is WorkerStatusKind.OFFLINE:
            return HeardBy.NOTHING
        patience = max(lease_seconds, MAX_BLOCK_MS / 1000)
        if self.connections.get(consumer.replace(" ", "_"), patience + 1) <= patience:
            return HeardBy.CONNECTION
        if renewed_ago_seconds is not None and renewed_ago_seconds <= lease_seconds:
            return HeardBy.RENEWAL
        return HeardBy.IDLE if idle_seconds <= patience else HeardBy.NOTHING
