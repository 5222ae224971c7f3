"""The processes of the suite: one server, a Celery worker, a bridge and a stream worker, for the ordinary and the bridged tasks alike."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis

from bridge.settings import BridgeSettings
from streams.bus.clients import connect as connect_redis
from streams.embedded import EmbeddedServer
from tests.acceptance.stack import OURS, Process

APP = "tests.fidelity.app"
CELERY_PROCESSES = 12
JOBS_AT_ONCE = 12
"""Some of the scenarios hold one for a second or more."""


class Nodes:
    """Start it from the main thread: then a killed test run leaves nothing behind."""

    def __init__(self, directory: Path, server: EmbeddedServer) -> None:
        self.directory, self.server = directory, server
        self.work_directory = directory / "work"
        self.work_directory.mkdir()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
            "REDIS_URL": server.url,
            "CELERY_BROKER_URL": server.celery_url(),
            "CELERY_RESULT_BACKEND": server.celery_url(),
            "WORKER_CANCEL_GRACE_SECONDS": "1",
            "JOBS_DIR": str(directory / "jobs"),
            "ARTIFACTS_URL": str(directory / "artifacts"),
            "TEST_FIDELITY_DIRECTORY": str(self.work_directory),
            "PYTHONUNBUFFERED": "1",
        }
        celery = ("-m", "celery", "-A", APP)
        lines = {
            "celery": ((*celery, "worker", "-c", str(CELERY_PROCESSES), "-n", "celery@%h", "-l", "INFO"), " ready."),
            "bridge": ((*celery, "bridge", "-n", "bridge@%h"), "bridge: reading results"),
            "worker": (
                ("-m", "workers", "fidelity", "--import", "tests.fidelity.handlers", "-c", str(JOBS_AT_ONCE)),
                f"fidelity: {JOBS_AT_ONCE} at a time",
            ),
        }
        self.processes = {
            name: Process(name, arguments, environment, directory / "log" / f"{name}.log", ready=ready) for name, (arguments, ready) in lines.items()
        }
        self.redis: Redis = connect_redis(server.url)

    @property
    def settings(self) -> BridgeSettings:
        return BridgeSettings(redis_url=self.server.url)

    def __enter__(self) -> Self:
        for process in self.processes.values():
            process.start()
        for process in self.processes.values():
            process.wait_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for process in self.processes.values():
            process.end()
        self.redis.close()

    def runs(self) -> list[list[str]]:
        """Each run of the work of a task, as (task id, function), in their order."""
        path = self.work_directory / "runs"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
