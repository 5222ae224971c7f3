"""The system under test: each part has its own way to the server, which can be broken."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bridge import connect
from bridge.settings import BridgeSettings
from streams.bus.topology import add_service
from streams.embedded import EmbeddedServer
from tests.acceptance.stack import LAB, Process, Stack
from tests.chaos.faults import Part
from tests.chaos.proxy import Link, Proxies
from tests.chaos.workload import MAX_DELIVERIES

WORKERS, BRIDGES, CELERY_WORKERS = 3, 3, 2
SLOTS = 4
ANSWERS_SECONDS = 2.0
"""The driver waits no longer for the server: it is the one that lets it go on."""


class ChaosStack(Stack):
    """Three stream workers, three bridges, two Celery workers; Celery's messages are on a broker of their own, which nothing happens to."""

    app = "tests.chaos.app"

    def __init__(self, directory: Path, server: EmbeddedServer, broker: EmbeddedServer, proxies: Proxies) -> None:
        super().__init__(directory, server, broker, STREAMS_MAX_DELIVERIES=str(MAX_DELIVERIES))
        self._proxies = proxies
        self.links: dict[str, Link] = {}
        self.parts: dict[Part, list[Process]] = {part: [] for part in Part}
        for number in range(1, WORKERS + 1):
            self.parts[Part.WORKER].append(self._worker(f"worker-{number}"))
        for number in range(1, BRIDGES + 1):
            self.parts[Part.BRIDGE].append(self.bridge(f"bridge-{number}", **self._way_of(f"bridge-{number}")))
        for number in range(1, CELERY_WORKERS + 1):
            self.parts[Part.CELERY].append(self.celery(f"celery-{number}", **self._way_of(f"celery-{number}")))

    def _worker(self, name: str) -> Process:
        imports = ("--import", "tests.chaos.handlers", "-n", f"{name}@%h")
        return self.worker(name, SLOTS, imports, **self._way_of(name))

    def _way_of(self, name: str) -> dict[str, str]:
        link = self.links[name] = self._proxies.open(self.server.socket)
        return {"REDIS_URL": link.redis_url, "CELERY_RESULT_BACKEND": link.redis_url}

    @property
    def redis(self) -> Redis:
        """Past every proxy, and impatient."""
        if self._impatient is None:
            options: dict[str, Any] = {"decode_responses": True, "legacy_responses": False, "encoding_errors": "surrogateescape"}
            self._impatient = Redis.from_url(
                self.server.url, socket_timeout=ANSWERS_SECONDS, socket_connect_timeout=ANSWERS_SECONDS, retry=Retry(NoBackoff(), 0), **options
            )
        return self._impatient

    _impatient: Redis | None = None

    @cached_property
    def caller(self) -> Celery:
        """As impatient, and it can redrive."""
        add_service(LAB)
        app = Celery(
            "caller", broker=self._environment["CELERY_BROKER_URL"], backend=self._environment["CELERY_RESULT_BACKEND"], set_as_current=False
        )
        return connect(app, BridgeSettings(redis_url=self.server.url, dispatch_patience_seconds=ANSWERS_SECONDS / 2))

    def send_without_listening(self) -> None:
        """The caller doesn't subscribe to what it sends: the driver looks at the results itself."""
        self.caller.backend.on_task_call = lambda *_, **__: None

    def start_server(self) -> None:
        """Start it again; what it has confirmed is on disk from then on."""
        self.server.start()
        self.redis.config_set("appendfsync", "always")

    def end_in_order(self, timeout: float = 30) -> list[str]:
        """SIGTERM to every process; the names of those that don't end."""
        for process in self.processes.values():
            process.terminate()
        deadline = time.monotonic() + timeout
        return [name for name, process in self.processes.items() if not process.wait(deadline - time.monotonic())]


@contextlib.contextmanager
def open_stack(directory: Path, binary: Path | None = None) -> Iterator[ChaosStack]:
    """Two servers, the proxies, and a stack that isn't started."""
    with (
        EmbeddedServer(directory / "redis", binary=binary) as server,
        EmbeddedServer(directory / "broker", binary=binary, port=0) as broker,
        Proxies() as proxies,
        ChaosStack(directory, server, broker, proxies) as stack,
    ):
        stack.redis.config_set("appendfsync", "always")
        stack.send_without_listening()
        yield stack
