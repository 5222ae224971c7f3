"""Where a job runs is its handler's choice; what comes of it is a `RunningJob` all the same."""

from __future__ import annotations

from workers.handlers import HANDLERS, Isolation
from workers.in_worker import InlineJob, InWorkerJob, ThreadJob
from workers.process import ChildServer
from workers.request import JobRequest
from workers.running_job import RunningJob

_IN_WORKER: dict[Isolation, type[InWorkerJob]] = {Isolation.THREAD: ThreadJob, Isolation.INLINE: InlineJob}


class JobStarter:
    """Starts the jobs of one worker."""

    def __init__(self, imports: tuple[str, ...]) -> None:
        """Prepare.

        Args:
            imports: modules that register the handlers; a child process imports them too.
        """
        self._children = ChildServer(imports)

    async def prepare(self) -> None:
        """Warm up what the handlers need.

        Raises:
            ChildServerError: child processes are needed, and can't be started.
        """
        if any(handler.isolation is Isolation.PROCESS for handler in HANDLERS.values()):
            await self._children.start()

    async def start(self, request: JobRequest) -> RunningJob:
        """Start a job.

        Raises:
            ChildServerError: the warm child server can't start.
            Retryable: the system has no room for another process now, or the server died meanwhile.
            EncodeError: the request's data can't be encoded.
        """
        kind = _IN_WORKER.get(HANDLERS[request.type].isolation)
        if kind is None:
            return await self._children.spawn(request)
        job = kind(request)
        job.begin()
        return job

    async def close(self) -> None:
        """End every child process."""
        await self._children.close()
