"""A worker says that it is there, on its service's status stream: at its start, every few seconds, and at its end. The answers carry orders."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Self

import redis.asyncio

from streams.bus import clock
from streams.bus.clients import CONNECTION_ERRORS
from streams.bus.functions import FunctionCall, call_async
from streams.errors import FunctionLibraryMissing
from streams.jobs.messages import WorkerStatus, WorkerStatusKind
from streams.jobs.orders import NONE_HEARD, Heard, Order

PACKAGE: Final = "celery-streams-bridge"
FAREWELL_SECONDS = 1.0
"""A server that is away doesn't keep a worker from ending."""

logger = logging.getLogger(__name__)


class Presence:
    """Use it as a context: the worker is online inside. What can't be sent is left out; the next one says the same."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        announcement: Callable[[WorkerStatusKind, str], FunctionCall[Heard]],
        obey: Callable[[Order], None],
        *,
        consumer: str,
        every_seconds: float,
    ) -> None:
        """Prepare.

        Args:
            client: of the streams' server.
            announcement: how things stand with the worker now, given the id of the last order that it has heard.
            obey: does one order.
            consumer: what this one process is called.
            every_seconds: between heartbeats.
        """
        self._client, self._announcement, self._obey, self._every = client, announcement, obey, every_seconds
        self._last_order = NONE_HEARD
        self._consumer, self._since = consumer, clock.utc_now()
        self._warned_of: set[str | int] = set()
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
            if await self._send(kind, self._every):
                kind = WorkerStatusKind.HEARTBEAT
            await asyncio.sleep(self._every)

    async def _send(self, kind: WorkerStatusKind, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                heard = await call_async(self._client, self._announcement(kind, self._last_order))
        except (*CONNECTION_ERRORS, redis.RedisError, FunctionLibraryMissing, TimeoutError) as exc:
            logger.debug("%s isn't sent: %s: %s", kind, type(exc).__name__, exc)
            return False
        self._last_order = heard.last
        for order in heard.orders:
            self._obey(order)
        self._warn_of(heard.namesake)
        return True

    def _warn_of(self, told: WorkerStatus | None) -> None:
        """Once of each. What was told before this process began may be of one that is gone."""
        if told is None or told.consumer == self._consumer or told.kind is WorkerStatusKind.OFFLINE or told.at <= self._since:
            return
        process = told.consumer or told.pid
        if process not in self._warned_of:
            self._warned_of.add(process)
            logger.warning(
                "another process (pid %d) is called %s too: Flower and `celery inspect` take the two for one. Give each worker a name of its own with -n",
                told.pid,
                told.worker,
            )


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
