"""The stack: a server and its processes, started together and gone together."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.embedded import EmbeddedServer, ExternalServer, open_server
from tasks.local_stack.environment import client_environment, process_environment
from tasks.local_stack.process import REPOSITORY, StackProcess
from tasks.local_stack.programs import Program, default_programs

GRACE_SECONDS = 15.0
KILL_MARGIN_SECONDS = 5.0


class LocalStack:
    """A whole system on this machine, as a context manager.

    Start it from the main thread: then on Linux nothing survives a SIGKILL of this process (see `signal_on_parent_death`).

    Args:
        directory: for the server's data, logs, jobs and artifacts.
        programs: what runs; those of `default_programs` when None.
        only: the names of those that run, all when None.
        concurrency: backtests at a time.
        environment: more variables for a process, by its name.
        grace_seconds: between SIGTERM and SIGKILL; the worker hands its running jobs back before that is over.
    """

    def __init__(
        self,
        directory: Path = REPOSITORY / "var",
        *,
        programs: Sequence[Program] | None = None,
        only: Collection[str] | None = None,
        concurrency: int = 2,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.directory = directory.absolute()
        self.grace_seconds = grace_seconds
        self.processes: dict[str, StackProcess] = {}
        self._programs = default_programs(self.directory, concurrency=concurrency) if programs is None else programs
        if only is not None:
            unknown = set(only) - {program.name for program in self._programs}
            if unknown:
                raise ValueError(f"no such process: {', '.join(sorted(unknown))}; there are {', '.join(program.name for program in self._programs)}")
            self._programs = [program for program in self._programs if program.name in only]
        self._environment = environment or {}
        self._server: ExternalServer | EmbeddedServer | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    @property
    def server(self) -> ExternalServer | EmbeddedServer:
        """The one that `REDIS_URL` names, else an embedded one that may be killed and restarted."""
        if self._server is None:
            raise RuntimeError("the stack isn't started")
        return self._server

    @property
    def client_environment(self) -> dict[str, str]:
        """REDIS_URL, CELERY_BROKER_URL and CELERY_RESULT_BACKEND for a caller in this process."""
        return client_environment(self.server)

    def prepare(self) -> None:
        """Open the server and lay out the processes, without starting them."""
        if self._server is not None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self._server = self._open.enter_context(open_server(self.directory / "redis"))
        if isinstance(self._server, ExternalServer):
            self._server.check()
        drain_seconds = max(self.grace_seconds - KILL_MARGIN_SECONDS, 0)
        for program in self._programs:
            environment = process_environment(program.side, os.environ, self._server, self.directory, drain_seconds)
            environment.update(self._environment.get(program.name, {}))
            self.processes[program.name] = StackProcess(program, environment, self.directory / "log" / f"{program.name}.log")

    def start(self) -> None:
        """Start everything that doesn't run; the processes wait for each other by themselves."""
        self.prepare()
        for process in self.processes.values():
            process.start()

    def stop(self) -> None:
        """End every process, at once and in good order, then the server."""
        for process in self.processes.values():
            process.terminate()
        deadline = time.monotonic() + self.grace_seconds
        for process in self.processes.values():
            if not process.wait(deadline - time.monotonic()):
                process.kill_group()
        self.processes = {}
        self._server = None
        self._open.close()

    def check(self) -> None:
        """Whoever waits for a result calls this now and then, or waits for ever.

        Raises:
            ProcessEnded: a process ended by itself; with its exit code and the end of its log.
        """
        for process in self.processes.values():
            process.check()
