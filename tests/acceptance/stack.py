"""A whole system of real processes for one test module: server, Celery workers, bridges, stream workers; and a caller in the test's own process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil
from celery import Celery, Signature
from celery.backends.redis import RedisBackend
from celery.result import AsyncResult
from redis import Redis

from bridge import connect
from bridge.settings import BridgeSettings
from streams.bus.clients import CONNECTION_ERRORS
from streams.bus.clients import connect as connect_redis
from streams.bus.topology import MANAGEMENT_CONSUMERS, Keys, Service
from streams.embedded import EmbeddedServer
from tasks.local_stack.process import StackProcess
from tasks.local_stack.programs import Program, Side
from tests.acceptance.other_servers import DebianServer
from tests.waiting import wait_until

LAB = Service.named("lab")
LEASE_SECONDS = 2.0
GONE_SECONDS = 2.0
"""An orphaned job is gone by then."""
OURS = ("REDIS_", "CELERY_", "STREAMS_", "BRIDGE_", "WORKER_", "TEST_")
"""What the environment of the tests says about these is not for the processes under test."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """A line of the run log: a handler was entered."""

    task_id: str
    attempt: int
    delivery: int
    pid: int
    at: float


class Process(StackProcess):
    """One process under test."""

    def __init__(self, name: str, arguments: tuple[str, ...], environment: dict[str, str], log_file: Path, *, ready: str) -> None:
        super().__init__(Program(name, arguments, Side.CELERY), environment, log_file)
        self._ready = ready
        self._log_start = 0
        self._family: list[psutil.Process] = []

    def start(self) -> None:
        """Start it without waiting; `log` begins anew."""
        if not self.running:
            self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
            super().start()

    def wait_ready(self) -> None:
        self.wait_for(self._ready)

    @property
    def is_ready(self) -> bool:
        """It runs, and has said so since its last start."""
        return self.running and self._ready in self.log

    def wait_for(self, text: str, timeout: float = 30) -> None:
        """Until it has logged `text` since its last start."""

        def said() -> bool:
            self.check()
            return text in self.log

        wait_until(said, timeout, lambda: f"{self.name} says {text!r}; it said:\n{self.log_tail(60)}")

    @property
    def log(self) -> str:
        """All output since the last start."""
        if not self.log_file.exists():
            return ""
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def family(self) -> list[psutil.Process]:
        """Itself and its descendants."""
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.Error:
            return []

    def rss_bytes(self) -> int:
        return sum(process.memory_info().rss for process in self.family())

    def left_of_earlier_starts(self) -> list[psutil.Process]:
        """What it had started when it was killed, and that still runs."""
        return [each for each in self._family if each.is_running() and not is_gone(each.pid)]

    def crash(self) -> None:
        """SIGKILL to the process alone, if it runs."""
        if self.running:
            self._family += self.family()
            self.kill()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """SIGKILL to everything that it ever started and that may still run; a psutil.Process can't hit a stranger."""
        for process in [*self._family, *(self.family() if self.running else [])]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self.running:
            self.kill()


class Stack:
    """Processes around one server, of the Celery app `app`. Start it from the main thread: then a killed test run leaves nothing behind.

    Args:
        directory: for logs, jobs and the run log.
        server: of the streams and the results; started by the caller, or not yet.
        broker: Celery's; the same server when None.
        environment: variables for every process; CELERY_BROKER_URL and CELERY_RESULT_BACKEND name servers other than these.
    """

    app = "tests.bridged_app"

    def __init__(self, directory: Path, server: EmbeddedServer, broker: EmbeddedServer | None = None, **environment: str) -> None:
        self.directory, self.server, self._broker = directory, server, broker or server
        self.keys = Keys()
        self.lab = LAB
        self.processes: dict[str, Process] = {}
        self.run_log = directory / "runs"
        self.others: list[DebianServer] = []
        """Servers beside Redis, for the tests to stop."""
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
            "REDIS_URL": server.url,
            "CELERY_BROKER_URL": self._broker.celery_url(),
            "CELERY_RESULT_BACKEND": server.celery_url(),
            "STREAMS_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
            "BRIDGE_RESULT_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
            "WORKER_CANCEL_GRACE_SECONDS": "1",
            "JOBS_DIR": str(directory / "jobs"),
            "ARTIFACTS_URL": str(directory / "artifacts"),
            "TEST_RUN_LOG": str(self.run_log),
            "PYTHONUNBUFFERED": "1",
            **environment,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for process in self.processes.values():
            process.end()
        if isinstance(self.caller.backend, RedisBackend):
            self.caller.backend.result_consumer._pubsub = None  # results that a failed test still holds would look for the server
        self.caller.close()
        self.redis.close()
        self.broker.close()

    # ------------------------------------------------------------------------------------------------------------------------- processes

    def celery(self, name: str = "celery", *arguments: str, **environment: str) -> Process:
        """A Celery worker with one pool process."""
        common = ("-m", "celery", "-A", self.app, "worker", "-c", "1", "-n", f"{name}@%h", "-l", "INFO")
        return self._process(name, (*common, *arguments), ready=" ready.", **environment)

    def bridge(self, name: str = "bridge", **environment: str) -> Process:
        arguments = ("-m", "celery", "-A", self.app, "bridge", "-n", f"{name}@%h")
        return self._process(name, arguments, ready="bridge: reading results", **environment)

    def worker(
        self, name: str = "worker", concurrency: int = 1, imports: tuple[str, ...] = ("--import", "tests.handlers"), **environment: str
    ) -> Process:
        arguments = ("-m", "workers", "lab", *imports, "-c", str(concurrency))
        return self._process(name, arguments, ready=f"lab: {concurrency} at a time", **environment)

    def other(self, name: str, arguments: tuple[str, ...], *, ready: str) -> Process:
        """Anything else, such as Flower."""
        return self._process(name, arguments, ready=ready)

    def run_celery(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Celery's command line, to its end."""
        command = (sys.executable, "-m", "celery", "-A", self.app, *arguments)
        return subprocess.run(command, env=self._environment | environment, capture_output=True, text=True, timeout=60, check=False)

    def start(self, *processes: Process) -> None:
        """Start them side by side, and wait until each says that it is ready; all of the stack when none is named."""
        chosen = processes or tuple(self.processes.values())
        for process in chosen:
            process.start()
        for process in chosen:
            process.wait_ready()

    def worker_of(self, pid: int) -> Process:
        """The stream worker above a job's process."""
        parents = {process.pid for process in psutil.Process(pid).parents()}
        return next(process for process in self.processes.values() if process.running and process.pid in parents)

    def _process(self, name: str, arguments: tuple[str, ...], *, ready: str, **environment: str) -> Process:
        assert name not in self.processes
        process = Process(name, arguments, self._environment | environment, self.directory / "log" / f"{name}.log", ready=ready)
        self.processes[name] = process
        return process

    # ------------------------------------------------------------------------------------------------------------------------- the caller

    @cached_property
    def caller(self) -> Celery:
        """An app that only sends and waits: it knows tasks by their names."""
        urls = {"broker": self._environment["CELERY_BROKER_URL"], "backend": self._environment["CELERY_RESULT_BACKEND"]}
        app = Celery("caller", **urls, set_as_current=False)
        app.conf.broker_connection_retry_on_startup = True
        return connect(app, BridgeSettings(redis_url=self.server.url))

    @cached_property
    def redis(self) -> Redis:
        return connect_redis(self.server.url)

    @cached_property
    def broker(self) -> Redis:
        return connect_redis(self._broker.url)

    def task(self, name: str, *args: Any, **data: Any) -> Signature:
        """The signature of the task `lab.<name>`; a link of another one doesn't take its result."""
        return self.caller.signature(f"lab.{name}", args=args, kwargs=data, immutable=True)

    def send(self, name: str, **data: Any) -> AsyncResult:
        return self.task(name, **data).apply_async()

    def get(self, result: Any, timeout: float = 30) -> Any:
        """What the caller gets; raises what the task failed with."""
        return result.get(timeout=timeout, interval=0.05)

    def state(self, result: AsyncResult) -> str:
        """As it is now; while the server is away the last one isn't known."""
        return str(self.patiently(lambda: self.caller.backend.get_task_meta(result.id, cache=False)["status"]))

    def states(self, results: Iterable[AsyncResult]) -> Counter[str]:
        return Counter(self.state(result) for result in results)

    def wait_for_states(self, results: Iterable[AsyncResult], *wanted: str, timeout: float = 30) -> None:
        """Until each is in one of the wanted states."""
        results = list(results)
        wait_until(lambda: set(self.states(results)) <= set(wanted), timeout, lambda: f"all {wanted}; there are {dict(self.states(results))}")

    def wait_for_success_supervised(self, results: Iterable[AsyncResult], timeout: float = 60) -> None:
        """Until all have succeeded; the Celery worker is started again if it ended by itself, as a supervisor does. Ours must not end.

        Seen once in some twenty runs: the worker's log ended with kombu 5.7's AttributeError in an acknowledgement, as its server had gone away.
        """
        results = list(results)

        def all_succeeded() -> bool:
            self.processes["celery"].start()
            return set(self.states(results)) <= {"SUCCESS"}

        wait_until(all_succeeded, timeout, lambda: f"all succeeded; there are {dict(self.states(results))}")

    @contextlib.contextmanager
    def meanwhile(self, work: Callable[[], Any]) -> Iterator[None]:
        """While inside, `work` is done in a thread; its error is raised at the end."""
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(work)
            yield
            done.result()

    def pause_when_the_broker_knows(self, celery: Process, results: Iterable[AsyncResult]) -> None:
        """SIGSTOP to a Celery worker at a moment when the broker knows of every message.

        kombu takes a message off its queue and notes it as unacknowledged in two steps. A worker that is killed between them loses it (celery/kombu#305),
        and so does one whose server is; that is before the delivery, and nothing of ours can know of it.
        """
        results = list(results)

        def known() -> bool:
            celery.pause()
            both: Any = self.broker.pipeline()
            queued, unacknowledged = both.lrange("celery", 0, -1).hvals("unacked").execute()
            messages = [json.loads(message) for message in queued] + [json.loads(message)[0] for message in unacknowledged]
            ids = {message["headers"]["id"] for message in messages}
            if all(result.id in ids or self.redis.exists(self.keys.task(result.id)) for result in results):
                return True
            celery.resume()
            return False

        wait_until(known)

    def patiently(self, look: Callable[[], T]) -> T:
        """Look at the server until it answers."""

        def try_it() -> tuple[T] | None:
            try:
                return (look(),)
            except CONNECTION_ERRORS:
                return None

        return wait_until(try_it)[0]  # type: ignore[index]

    # ----------------------------------------------------------------------------------------------------------------------- what happened

    def runs(self, *results: AsyncResult) -> list[Run]:
        """The runs of these tasks, or of all, in their order."""
        wanted = {result.id for result in results}
        lines = self.run_log.read_text().splitlines() if self.run_log.exists() else []
        runs = [Run(task_id, int(attempt), int(delivery), int(pid), float(at)) for task_id, attempt, delivery, pid, at in map(str.split, lines)]
        return [run for run in runs if not wanted or run.task_id in wanted]

    def wait_for_run(self, result: AsyncResult, number: int = 1, timeout: float = 30) -> Run:
        """The n-th run of a task, as soon as its handler was entered."""
        wait_until(lambda: len(self.runs(result)) >= number, timeout, f"run {number} of {result.id}")
        return self.runs(result)[number - 1]

    def run_counts(self, results: Iterable[AsyncResult]) -> Counter[int]:
        """How many tasks ran how often."""
        counts = Counter(run.task_id for run in self.runs())
        return Counter(counts[result.id] for result in results)

    def results_written(self) -> int:
        """How many results were ever written, the trimmed ones included."""
        info: Any = self.redis.xinfo_stream(LAB.results)
        return int(info["entries-added"])

    def results_of(self, *results: AsyncResult) -> list[dict[str, str]]:
        """The messages about these tasks on the result stream; a bridge that starts trims what is done with."""
        wanted = {result.id for result in results}
        rows: Any = self.redis.xrange(LAB.results)
        return [fields for _, fields in rows if fields.get("task_id") in wanted]

    def superseded(self) -> list[dict[str, str]]:
        rows: Any = self.redis.xrange(self.keys.superseded)
        return [fields for _, fields in rows]

    def dead_letters(self) -> list[dict[str, str]]:
        rows: Any = self.redis.xrange(LAB.dead_letters)
        return [fields for _, fields in rows]

    def left(self) -> dict[str, int]:
        """What isn't finished: all of it is empty when the system is at rest."""
        left: dict[str, int] = {
            "open jobs": self.redis.zcard(self.keys.open_jobs),
            "delayed": self.redis.zcard(self.keys.delayed(LAB.name)),
            **self._left_at_broker(),
        }
        commands = [(stream, LAB.group) for stream in self.lab.command_streams]
        for stream, group in (*commands, (LAB.results, MANAGEMENT_CONSUMERS), (LAB.status, MANAGEMENT_CONSUMERS)):
            for row in self._groups(stream):
                if row["name"] == group:
                    left |= {f"pending on {stream}": row["pending"], f"unread on {stream}": len(self._unread(stream, row["last-delivered-id"]))}
        return {what: number for what, number in left.items() if number}

    def wait_for_rest(self, timeout: float = 30) -> None:
        """Until nothing is left to do; every job's ledger is closed then, and what is kept of it has a TTL."""
        wait_until(lambda: not self.patiently(self.left), timeout, lambda: f"nothing left; there is {self.left()}")
        phases = {key: self.redis.hget(key, "phase") for key in self.redis.scan_iter(match=self.keys.job("*"), count=1000)}
        assert {key for key, phase in phases.items() if phase != "closed"} == set()
        kept = [
            key for pattern in ("job:*", "run:*", "task:*", "mark:*") for key in self.redis.scan_iter(match=self.keys.prefix + pattern, count=1000)
        ]
        assert [key for key in kept if self.redis.ttl(key) == -1] == []

    def _left_at_broker(self) -> dict[str, int]:
        if self._environment["CELERY_BROKER_URL"].startswith("amqp"):
            with self.caller.connection_for_read() as connection:
                return {"queued": connection.default_channel.queue_declare("celery", passive=True).message_count}
        return {"queued": self.broker.llen("celery"), "unacknowledged": self.broker.hlen("unacked")}

    def _groups(self, stream: str) -> list[dict[str, Any]]:
        rows: Any = self.redis.xinfo_groups(stream) if self.redis.exists(stream) else []
        return list(rows)

    def _unread(self, stream: str, last: str) -> list[Any]:
        rows: Any = self.redis.xrange(stream, f"({last}", "+", count=100)
        return list(rows)


def is_gone(pid: int) -> bool:
    """No such process, or a dead one that nobody has buried."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
