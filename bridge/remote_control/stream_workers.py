"""Stream workers as Celery people know workers: listed in Flower, with heartbeat, active, processed and load. They tell of themselves on their status streams."""

from __future__ import annotations

import logging
import threading
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from bridge.celery_internals.resuming import RemoteEvents
from bridge.connection import Connection
from streams.bus.codec import encode_json
from streams.jobs.messages import WorkerStatus, WorkerStatusKind
from streams.jobs.stream_worker import STALE_SECONDS, StreamWorker, read_worker

logger = logging.getLogger(__name__)

SOFTWARE: Final = "celery-streams-bridge"
_EVENTS: Final = {
    WorkerStatusKind.ONLINE: "worker-online",
    WorkerStatusKind.HEARTBEAT: "worker-heartbeat",
    WorkerStatusKind.OFFLINE: "worker-offline",
}
CELERYS_NAMES: Final = ("celery", "bridge")
"""Celery workers and bridges go by `celery@host` and `bridge@host`, if they aren't called otherwise."""
FORGOTTEN_SECONDS: Final = 86_400.0


class NewsOfWorkers:
    """What workers tell of themselves: remembered, and passed on to Celery's monitors in their names. In the pool's threads, one at a time: a broker that
    stands still holds up no result for a heartbeat's event.
    """

    def __init__(self, connection: Connection, pool: Any, dispatcher: Any = None) -> None:
        self._connection, self._pool, self._dispatcher = connection, pool, dispatcher
        self._latest: dict[tuple[str, str], tuple[WorkerStatus, float]] = {}
        self._lock, self._busy = threading.Lock(), False

    def tell(self, service: str, status: WorkerStatus, entry: str) -> None:
        """A worker of this service has told of itself, with this entry of its status stream. What isn't passed on yet is replaced by what comes later."""
        with self._lock:
            self._latest[service, status.worker] = (status, int(entry.split("-", maxsplit=1)[0]) / 1000)
            if self._busy:
                return
            self._busy = True
        self._pool.apply_async(self._pass_all_on)

    def _pass_all_on(self) -> None:
        while True:
            with self._lock:
                if not self._latest:
                    self._busy = False
                    return
                (service, _), (status, heard_at) = self._latest.popitem()
            try:
                self._pass_on(service, status, heard_at)
            except Exception as exc:  # noqa: BLE001 - the next heartbeat comes soon
                logger.warning("the news of %s isn't passed on: %s: %s", status.worker, type(exc).__name__, exc)

    def _pass_on(self, service: str, status: WorkerStatus, heard_at: float) -> None:
        connection = self._connection
        if holder := _holder(connection, status.worker, service):
            logger.warning(
                "a %s worker calls itself %s, which is the name of a %s: it isn't listed; give it a name of its own (-n)",
                service,
                status.worker,
                holder,
            )
            return
        told = {**status.to_redis_dict(), "service": service, "heard_at": heard_at}
        connection.client.hset(connection.keys.workers, status.worker, encode_json(told))
        if self._dispatcher is None or _now(connection) - heard_at > STALE_SECONDS:
            return
        versions = status.versions if isinstance(status.versions, dict) else {}
        RemoteEvents(self._dispatcher, status.worker, status.pid).send(
            _EVENTS[status.kind],
            freq=status.freq,
            active=status.active,
            processed=status.processed,
            loadavg=status.load,
            sw_ident=SOFTWARE,
            sw_ver=versions.get(SOFTWARE, own_version()),
            sw_sys="Linux",
        )


def stream_workers(connection: Connection) -> list[StreamWorker]:
    """Those that are alive, by name; what was silent for a day is forgotten."""
    workers: list[StreamWorker] = []
    rows: Any = connection.client.hgetall(connection.keys.workers)
    now = _now(connection)
    for name, told in sorted(rows.items()):
        worker = read_worker(told, now)
        if worker is not None and worker.alive:
            workers.append(worker)
        elif worker is None or worker.seconds_ago > FORGOTTEN_SECONDS:
            connection.client.hdel(connection.keys.workers, name)
    return workers


def _holder(connection: Connection, name: str, service: str) -> str:
    """Who else goes by this name; "" for nobody. A worker writes what it likes to its own status stream: it must not pass for another's."""
    if name.partition("@")[0] in CELERYS_NAMES:
        return "Celery node"
    told: Any = connection.client.hget(connection.keys.workers, name)
    worker = read_worker(told, _now(connection)) if told else None
    return f"{worker.service} worker" if worker is not None and worker.alive and worker.service != service else ""


def _now(connection: Connection) -> float:
    seconds, microseconds = connection.client.time()
    return seconds + microseconds / 1_000_000


def own_version() -> str:
    """This library's version."""
    try:
        return version(SOFTWARE)
    except PackageNotFoundError:
        return "unknown"
