"""A worker says that it is there, on its service's status stream: at its start, every few seconds, and at its end."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Self

import redis.asyncio

from streams.bus.clients import CONNECTION_ERRORS
from streams.jobs.messages import WorkerStatus, WorkerStatusKind
from streams.jobs.running import STATUS_STREAM_CAP

PACKAGE: Final = "celery-streams-bridge"
FAREWELL_SECONDS = 1.0
"""A server that is away doesn't keep a worker from ending."""

logger = logging.getLogger(__name__)


class Presence:
    """Use it as a context: the worker is online inside. What can't be sent is left out; the next one says the same."""

    def __init__(self, client: redis.asyncio.Redis, stream: str, status: Callable[[WorkerStatusKind], WorkerStatus], *, every_seconds: float) -> None:
        """Prepare.

        Args:
            client: of the streams' server.
            stream: full key of the service's status stream.
            status: how things stand with the worker now.
            every_seconds: between heartbeats.
        """
        self._client, self._stream, self._status, self._every = client, stream, status, every_seconds
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._beating is not None
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)
        await self._send(WorkerStatusKind.OFFLINE, FAREWELL_SECONDS)

    async def _beat(self) -> None:
        kind = WorkerStatusKind.ONLINE
        while True:
            await self._send(kind, self._every)
            kind = WorkerStatusKind.HEARTBEAT
            await asyncio.sleep(self._every)

    async def _send(self, kind: WorkerStatusKind, seconds: float) -> None:
        fields: dict[Any, Any] = {**self._status(kind).to_redis_dict()}
        try:
            async with asyncio.timeout(seconds):
                await self._client.xadd(self._stream, fields, maxlen=STATUS_STREAM_CAP, approximate=True)
        except (*CONNECTION_ERRORS, redis.RedisError, TimeoutError) as exc:
            logger.debug("%s isn't sent: %s: %s", kind, type(exc).__name__, exc)


def load_average() -> list[float]:
    """Of this machine, over 1, 5 and 15 minutes; empty where that isn't known."""
    try:
        return [round(load, 2) for load in os.getloadavg()]
    except OSError:
        return []


def versions() -> dict[str, str]:
    """Of Python and of this package."""
    try:
        ours = version(PACKAGE)
    except PackageNotFoundError:  # run from a folder that was never installed
        ours = "unknown"
    return {"python": platform.python_version(), PACKAGE: ours}
