"""Which stream workers there are, from what they tell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import Celery

from bridge import connect
from bridge.connection import Connection
from bridge.remote_control.stream_workers import NewsOfWorkers, stream_workers
from bridge.settings import BridgeSettings
from streams.bus.clock import utc_now
from streams.embedded import Server
from streams.jobs.messages import WorkerStatus, WorkerStatusKind


class Pool:
    """Does it at once."""

    def apply_async(self, function: Any) -> None:
        function()


class Dispatcher:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, type: str, **_: Any) -> None:  # noqa: A002 - Celery's name
        self.sent.append(type)


def test_a_worker_is_alive_by_the_servers_clock_not_by_its_own(server: Server, prefix: str) -> None:
    app = connect(Celery("unit", broker="memory://", set_as_current=False), BridgeSettings(redis_url=server.url, streams_prefix=prefix))
    connection, dispatcher = Connection.of(app), Dispatcher()
    news = NewsOfWorkers(connection, Pool(), dispatcher)
    for name, off, age in (("slow", -3600, 0), ("fast", 3600, 0), ("dead", 3600, 600)):
        at, heard_ms = utc_now() + timedelta(seconds=off), int((utc_now().timestamp() - age) * 1000)
        status = WorkerStatus(kind=WorkerStatusKind.HEARTBEAT, worker=f"{name}@here", pid=1, concurrency=1, freq=2, at=at)
        news.tell("lab", status, f"{heard_ms}-0")
    assert ["fast@here", "slow@here"] == [worker.name for worker in stream_workers(connection)]
    assert ["worker-heartbeat"] * 2 == dispatcher.sent
