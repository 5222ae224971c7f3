"""Stream workers as Celery people know workers: listed in Flower, with heartbeat, active, processed and load. They tell of themselves on their status streams."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from bridge.celery_internals import RemoteEvents
from bridge.connection import Connection
from streams.bus import clock
from streams.bus.codec import decode_json, encode_json
from streams.errors import DecodeError
from streams.jobs.messages import WorkerStatus, WorkerStatusKind

logger = logging.getLogger(__name__)

SOFTWARE: Final = "celery-streams-bridge"
_EVENTS: Final = {
    WorkerStatusKind.ONLINE: "worker-online",
    WorkerStatusKind.HEARTBEAT: "worker-heartbeat",
    WorkerStatusKind.OFFLINE: "worker-offline",
}
STALE_SECONDS: Final = 10.0
"""A heartbeat that was read later than that is no news: the bridge was away."""
FORGOTTEN_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class StreamWorker:
    """A worker that was heard of lately."""

    service: str
    status: WorkerStatus

    @property
    def name(self) -> str:
        """Its node name."""
        return self.status.worker

    @property
    def seconds_ago(self) -> float:
        """Since it was last heard of."""
        return max(0.0, time.time() - self.status.at.timestamp())

    @property
    def alive(self) -> bool:
        """Whether it was heard of within some heartbeats."""
        return self.status.kind is not WorkerStatusKind.OFFLINE and self.seconds_ago < STALE_SECONDS + 3 * self.status.freq


def heard_of(connection: Connection, service: str, status: WorkerStatus, dispatcher: Any = None) -> None:
    """A worker has told of itself: remember it, and tell Celery's monitors, in its name."""
    connection.client.hset(connection.keys.workers, status.worker, encode_json({"service": service, **status.to_redis_dict()}))
    if dispatcher is None or (clock.utc_now() - status.at).total_seconds() > STALE_SECONDS:
        return
    RemoteEvents(dispatcher, status.worker, status.pid).send(
        _EVENTS[status.kind],
        freq=status.freq,
        active=status.active,
        processed=status.processed,
        loadavg=status.load,
        sw_ident=SOFTWARE,
        sw_ver=(status.versions or {}).get(SOFTWARE, own_version()) if isinstance(status.versions, dict) else own_version(),
        sw_sys="Linux",
    )


def stream_workers(connection: Connection) -> list[StreamWorker]:
    """Those that are alive, by name; what was silent for a day is forgotten."""
    workers: list[StreamWorker] = []
    rows: Any = connection.client.hgetall(connection.keys.workers)
    for name, told in sorted(rows.items()):
        try:
            fields = decode_json(told)
            worker = StreamWorker(fields["service"], WorkerStatus.from_redis_dict(fields))
        except (DecodeError, KeyError, TypeError):
            connection.client.hdel(connection.keys.workers, name)
            continue
        if worker.alive:
            workers.append(worker)
        elif worker.seconds_ago > FORGOTTEN_SECONDS:
            connection.client.hdel(connection.keys.workers, name)
    return workers


def own_version() -> str:
    """This library's version."""
    try:
        return version(SOFTWARE)
    except PackageNotFoundError:
        return "unknown"
