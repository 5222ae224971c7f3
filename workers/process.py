"""Starting jobs in child processes, from asyncio: a `ChildServer` keeps one warm child server (`workers.zygote`) and forks each job from it.

    server = ChildServer(("workers.backtesting.handler",))
    child = await server.spawn(JobRequest(...))
    async for event in child.events():
        ...                                # Progress, Progress, ..., and at last one Outcome
    await server.close()

The other modules of this layer: `child_process` and `zygote_link` are the parent's ends of the sockets, `zygote`, `child` and `parent_link` run in the
child server and in the child, `outcome` and `frames` are what goes between them, `environment` is what jobs may see.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Mapping

from workers.child_process import ChildProcess
from workers.environment import job_environment
from workers.handlers import HANDLERS
from workers.outcome import Cancelled, Crashed, Failed, LogLine, Outcome, Progress, Succeeded, Usage
from workers.request import JobRequest
from workers.zygote_link import ChildServerError, ZygoteLink

__all__ = [
    "Cancelled",
    "ChildProcess",
    "ChildServer",
    "ChildServerError",
    "Crashed",
    "Failed",
    "JobRequest",
    "LogLine",
    "Outcome",
    "Progress",
    "Succeeded",
    "Usage",
]


class ChildServer:
    """Starts jobs. Keeps one warm child server, and starts a new one for the next job when it has died.

    Use it from the main thread: on Linux the kernel tells the child server of the end of the *thread* that started it.
    """

    def __init__(self, imports: tuple[str, ...], *, env: Mapping[str, str] | None = None) -> None:
        self._imports = imports
        self._env = os.environ if env is None else env
        self._zygote: ZygoteLink | None = None
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The warm child server's process; None when there is none now."""
        return self._zygote.pid if self._zygote is not None and self._zygote.alive else None

    async def start(self) -> None:
        """Start the warm child server if it doesn't run, and wait until it has imported everything.

        Raises:
            ChildServerError: it can't start.
        """
        await self._running()

    async def spawn(self, request: JobRequest) -> ChildProcess:
        """Start a job.

        Raises:
            ChildServerError: the warm child server can't start.
            Retryable: the system has no room for another process now, or the server died meanwhile.
            EncodeError: the request's data can't be encoded.
        """
        return await (await self._running()).spawn(request)

    async def close(self) -> None:
        """End the warm child server, and with it every job that still runs."""
        async with self._starting:
            zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.hang_up()
            await zygote.gone()

    async def _running(self) -> ZygoteLink:
        async with self._starting:
            if self._zygote is not None and not self._zygote.alive:
                await self._zygote.gone()
                self._zygote = None
            if self._zygote is None:
                for name in self._imports:  # cheap: what is heavy stands in PRELOAD. Tells the variables that the handlers declare.
                    importlib.import_module(name)
                declared = [handler.settings for handler in HANDLERS.values()]
                env = job_environment(self._env, [settings for settings in declared if settings is not None])
                self._zygote = await ZygoteLink.start(self._imports, env)
            return self._zygote
