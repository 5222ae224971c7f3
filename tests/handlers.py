"""Handlers for tests: small jobs that behave, misbehave and die in known ways. `python -m workers ... --import tests.handlers`.

Each run first appends a line "task_id attempt delivery pid time" to the file that TEST_RUN_LOG names, if it is set: so a test can count runs.

    test.echo      {...}                                    returns its data
    test.sleep     {seconds, ignore_cancel, steps}          takes its time, reports each step; returns {"slept": seconds}
    test.fail      {message, retryable}                     raises HandlerError (or workers.errors.Retryable), caused by a ValueError
    test.raises    {kind}                                   raises MemoryError, or an exception that is a frozen dataclass
    test.inline_group  {}                                   a TaskGroup on the worker's event loop; its child counts in job.directory/count
    test.crash     {exit | signal | segfault, message}      dies without a word, after writing `message` to stderr
    test.flaky     {failures, how}                          fails its first runs, counting in job.directory; then returns {"runs": n}
    test.poison    {}                                       kills its worker
    test.until     {path, value, how}                       fails unless there is a file `path`; then returns {"value": value}
    test.once      {path, how}                              tells in the file `path` that it ran; then as `how` says: return, wait, fail or crash
    test.fill      {path}                                   writes 32 KiB into `path`, which may be on a full disk
    test.hung_up   {failures}                               reads from a connection that its first runs find lost; then returns {"runs": n}
    test.progress  {count}                                  reports progress `count` times, as fast as it can
    test.spawn     {how, wait_seconds}                      leaves a grandchild that sleeps for an hour; returns or waits with its pid in job.directory/grandchild
    test.noise     {lines}                                  writes garbage to stdout, also below Python
    test.environ   {}                                       what a strategy could find out: environments, modules, file descriptors, threads
    test.large     {size}                                   returns {"text": size characters}
    test.bad       {}                                       returns a value that isn't JSON
    test.exit      {}                                       raises SystemExit(3)
    test.random    {}                                       random numbers of Python and numpy
    test.artifact  {text}                                   stores an artifact, returns its claim check
    test.log       {lines}                                  logs its lines, returns at once
    test.nap       {seconds, at_soft_limit, ignore}         sleeps in one go; at its soft limit it fails, or cleans up and returns {"saved": True}
    test.async_nap, test.thread_nap, test.async_thread_nap, test.inline_nap, test.short                the same, elsewhere; test.short returns at once
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from streams.settings import Settings
from tests import stopping
from workers import Job, JobCancelled, Retryable, SoftTimeLimit, handler

PRELOAD = ("numpy.random", "no_such_module_for_tests")
"""One that is there, one that isn't: the second must do no harm."""

IMPORTED_BY = os.getpid()
"""The process that imported this module: the warm child server, if children start warm."""

FOREVER_SECONDS = 3600


class RunSettings(Settings):
    """Declared, so that the variable passes the scrubbing of a child's environment."""

    run_log: Path | None = Field(default=None, validation_alias="TEST_RUN_LOG")


class HandlerError(Exception):
    """What test.fail raises."""


@dataclass(frozen=True)
class FrozenError(Exception):
    """An exception that can't be assigned to."""

    code: int


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sleep(Params):
    seconds: float = 1.0
    ignore_cancel: bool = False
    """Never looks at the job's cancellation, and ignores SIGTERM too: only SIGKILL ends it early."""
    steps: int = 10


class Fail(Params):
    message: str = "failed on purpose"
    retryable: bool = False


class Raises(Params):
    kind: Literal["memory", "frozen"] = "memory"


class Crash(Params):
    exit: int | None = None
    signal: int | None = None
    segfault: bool = False
    message: str = ""


class Flaky(Params):
    failures: int = 1
    """This many runs of the job fail."""
    how: Literal["retryable", "fail", "crash"] = "retryable"


class Until(Params):
    path: Path
    value: Any = None
    how: Literal["retryable", "fail", "crash"] = "retryable"


class Once(Params):
    path: Path
    how: Literal["return", "wait", "retryable", "fail", "crash"] = "return"


class Fill(Params):
    path: Path


class Count(Params):
    count: int = 100_000


class Spawn(Params):
    how: Literal["fork", "session"] = "fork"
    """`session`: it leaves the process group and the session, as daemons do."""
    wait_seconds: float = 0


class Lines(Params):
    lines: int = 1000


class Size(Params):
    size: int = 5_000_000


class Text(Params):
    text: str = "hello"


class Log(Params):
    lines: list[str]


class Nap(Params):
    seconds: float = 0.1
    at_soft_limit: Literal["fail", "return"] = "fail"
    ignore: bool = False
    """Never looks whether it should stop."""


def recorded(function: Any) -> Any:
    """Append a line to TEST_RUN_LOG, then run the handler. One write, so lines of parallel jobs don't mix."""

    @wraps(function)
    def run(job: Job, params: Any) -> Any:
        if (log := RunSettings.load().run_log) is not None:
            with log.open("ab", buffering=0) as file:
                file.write(f"{job.id} {job.attempt} {job.delivery} {os.getpid()} {time.time()}\n".encode())
        return function(job, params)

    return run


@handler("test.echo", settings=RunSettings)
@recorded
def echo(_job: Job, data: dict[str, Any]) -> dict[str, Any]:
    return data


@handler("test.sleep", settings=RunSettings)
@recorded
def sleep(job: Job, params: Sleep) -> dict[str, Any]:
    if params.ignore_cancel:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    started = time.monotonic()
    for step in range(1, params.steps + 1):
        job.progress(step, params.steps, "sleeping")
        until = started + params.seconds * step / params.steps
        while (left := until - time.monotonic()) > 0:
            if not params.ignore_cancel:
                job.checkpoint()
            time.sleep(min(left, 0.05))
    return {"slept": params.seconds}


@handler("test.fail", settings=RunSettings)
@recorded
def fail(_job: Job, params: Fail) -> NoReturn:
    raise (Retryable if params.retryable else HandlerError)(params.message) from ValueError("the cause")


@handler("test.raises", settings=RunSettings)
@recorded
def raises(_job: Job, params: Raises) -> NoReturn:
    raise MemoryError("too little") if params.kind == "memory" else FrozenError(7)


@handler("test.crash", settings=RunSettings)
@recorded
def crash(_job: Job, params: Crash) -> None:
    if params.message:
        os.write(2, params.message.encode() + b"\n")
    if params.segfault:
        ctypes.string_at(0)
    if params.signal is not None:
        os.kill(os.getpid(), params.signal)
        time.sleep(FOREVER_SECONDS)
    os._exit(3 if params.exit is None else params.exit)


@handler("test.flaky", settings=RunSettings)
@recorded
def flaky(job: Job, params: Flaky) -> dict[str, int]:
    marker = job.directory / "runs"
    runs = len(marker.read_bytes()) + 1 if marker.exists() else 1
    marker.write_bytes(b"x" * runs)
    if runs <= params.failures:
        if params.how == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        raise (Retryable if params.how == "retryable" else HandlerError)(f"run {runs} of {params.failures} that fail")
    return {"runs": runs}


def _fails(how: str, message: str) -> NoReturn:
    if how == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    raise (Retryable if how == "retryable" else HandlerError)(message)


@handler("test.until", settings=RunSettings)
@recorded
def until(_job: Job, params: Until) -> dict[str, Any]:
    if not params.path.exists():
        _fails(params.how, f"{params.path.name} is missing")
    return {"value": params.value}


@handler("test.once", settings=RunSettings)
@recorded
def once(job: Job, params: Once) -> dict[str, Any]:
    with params.path.open("ab", buffering=0) as file:
        file.write(b"x")
    while params.how == "wait":
        job.checkpoint()
        time.sleep(0.02)
    if params.how != "return":
        _fails(params.how, "after it has done its work")
    return {"done": True}


@handler("test.fill", settings=RunSettings)
@recorded
def fill(_job: Job, params: Fill) -> dict[str, int]:
    with params.path.open("wb") as file:
        file.write(b"x" * (32 << 10))
    return {"written": params.path.stat().st_size}


@handler("test.hung_up", settings=RunSettings)
@recorded
def hung_up(job: Job, params: Flaky) -> dict[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as mine:
        theirs, _ = server.accept()
        if job.delivery <= params.failures:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST
            theirs.close()
            mine.recv(1)
        theirs.close()
    return {"runs": job.delivery}


@handler("test.poison", isolation="inline", settings=RunSettings)
@recorded
async def poison(_job: Job, _data: dict[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@handler("test.progress", settings=RunSettings)
@recorded
def progress(job: Job, params: Count) -> dict[str, int]:
    for number in range(1, params.count + 1):
        job.progress(number, params.count, "counting")
    return {"count": params.count}


@handler("test.spawn", settings=RunSettings)
@recorded
def spawn(job: Job, params: Spawn) -> dict[str, int]:
    if params.how == "session":
        code = f"import time; time.sleep({FOREVER_SECONDS})"
        pid = subprocess.Popen([sys.executable, "-c", code], start_new_session=True).pid
    elif (pid := os.fork()) == 0:  # holds every file of its parent open, the socket to the worker too
        time.sleep(FOREVER_SECONDS)
        os._exit(0)
    marker = job.directory / "grandchild.part"
    marker.write_text(str(pid))
    marker.rename(job.directory / "grandchild")
    time.sleep(params.wait_seconds)
    return {"pid": pid}


@handler("test.noise", settings=RunSettings)
@recorded
def noise(_job: Job, params: Lines) -> dict[str, str]:
    for number in range(params.lines):
        print('{"result": "not this one"}', number, "\udcff")
    os.write(1, b"\x00\x00\x00\xff" * 100)
    sys.stderr.write("no newline at the end")
    return {"result": "this one"}


@handler("test.environ", settings=RunSettings)
@recorded
def environ(_job: Job, _data: dict[str, Any]) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "group": os.getpgrp(),
        "parent": os.getppid(),
        "imported_by": IMPORTED_BY,
        "environ": _environment("self"),
        "parent_environ": _environment(str(os.getppid())),
        "preloaded": "numpy.random" in sys.modules,
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
        "fds": _open_files(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "cwd": str(Path.cwd()),
    }


@handler("test.large", settings=RunSettings)
@recorded
def large(_job: Job, params: Size) -> dict[str, str]:
    return {"text": "x" * params.size}


@handler("test.bad", settings=RunSettings)
@recorded
def bad(_job: Job, _data: dict[str, Any]) -> dict[str, Any]:
    return {"outer": [{"inner": object()}]}


@handler("test.exit", settings=RunSettings)
@recorded
def leave(_job: Job, _data: dict[str, Any]) -> NoReturn:
    sys.exit(3)


@handler("test.random", settings=RunSettings)
@recorded
def randomness(_job: Job, _data: dict[str, Any]) -> dict[str, float]:
    import numpy as np

    return {"python": random.random(), "numpy": float(np.random.random())}  # noqa: NPY002 - the global generator is what is tested


@handler("test.artifact", settings=RunSettings)
@recorded
def artifact(job: Job, params: Text) -> dict[str, Any]:
    path = job.directory / "hello.txt"
    path.write_text(params.text)
    return job.artifact(path)


@handler("test.log", settings=RunSettings)
@recorded
def log(job: Job, params: Log) -> int:
    for line in params.lines:
        job.log(line)
    return len(params.lines)


@contextlib.contextmanager
def _cleaned_up(params: Nap, answer: dict[str, Any]) -> Iterator[None]:
    try:
        yield
        answer["slept"] = params.seconds
    except SoftTimeLimit:
        if params.at_soft_limit == "fail":
            raise
        answer["saved"] = True


@handler("test.nap", settings=RunSettings)
@recorded
def nap(_job: Job, params: Nap) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    with _cleaned_up(params, answer):
        time.sleep(params.seconds)
    return answer


@handler("test.thread_nap", isolation="thread", settings=RunSettings)
@recorded
def thread_nap(job: Job, params: Nap) -> dict[str, Any]:
    answer: dict[str, Any] = {"pid": os.getpid(), "thread": threading.current_thread().name}
    with _cleaned_up(params, answer):
        deadline = time.monotonic() + params.seconds
        while time.monotonic() < deadline:
            if not params.ignore:
                job.checkpoint()
            job.progress(1, 2, "napping")
            time.sleep(0.01)
    return answer


async def _async_nap(job: Job, params: Nap) -> dict[str, Any]:
    answer: dict[str, Any] = {"pid": os.getpid(), "thread": threading.current_thread().name}
    job.progress(1, 2, "napping")
    job.log("good night")
    with _cleaned_up(params, answer):
        deadline = time.monotonic() + params.seconds
        while params.ignore and time.monotonic() < deadline:
            with contextlib.suppress(asyncio.CancelledError, JobCancelled, SoftTimeLimit):
                await asyncio.sleep(0.01)
        await asyncio.gather(asyncio.sleep(params.seconds), asyncio.sleep(0))
    return answer


for _type, _isolation in (("test.async_nap", "process"), ("test.async_thread_nap", "thread"), ("test.inline_nap", "inline")):
    handler(_type, isolation=_isolation, settings=RunSettings)(recorded(_async_nap))  # type: ignore[arg-type]


@handler("test.inline_group", isolation="inline", settings=RunSettings)
@recorded
async def inline_group(job: Job, _data: dict[str, Any]) -> None:
    async def count() -> None:
        number = 0
        while True:
            (job.directory / "count").write_text(str(number := number + 1))
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(count())


@handler("test.short", isolation="inline")
def short(job: Job, _data: dict[str, Any]) -> dict[str, Any]:
    return {"pid": os.getpid(), "thread": threading.current_thread().name, "directory": str(job.directory)}


def _environment(pid: str) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return {name: value for name, _, value in (pair.decode("utf-8", "replace").partition("=") for pair in pairs if pair)}


def _open_files() -> dict[str, str]:
    files = {}
    for link in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):  # the listing's own
            files[link.name] = str(link.readlink())
    return files


stopping.install()
