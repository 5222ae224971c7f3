"""`python -m workers run TYPE < command.json`: one job without Redis, in a child process as always."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from streams.bus.clock import utc_now
from streams.bus.codec import decode_json
from streams.errors import DecodeError
from streams.jobs.messages import Result, ResultStatus
from workers.decision import Finish, RunAgain, decide
from workers.folder import folder_name
from workers.process import Cancelled, ChildServer, Crashed, Failed, JobRequest, LogLine, Outcome, Progress, Succeeded

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
GRACE_SECONDS = 10.0

Show = Callable[[Progress], None]


def run_locally(type_: str, text: str, *, imports: tuple[str, ...], jobs_dir: Path, artifacts_url: str, as_message: bool = False) -> int:
    """Run one job: progress on stderr, the result as JSON on stdout.

    Args:
        type_: the command's type, such as `backtest.run`.
        text: JSON; a whole command (an object with `data`, and maybe `type`, `task_id`, `attempt`), or its data alone.
        imports: modules that register the handlers.
        jobs_dir: the job's folder and its log are kept below it.
        artifacts_url: where artifacts go.
        as_message: write what a worker would send, the flat fields of a `Result`, whatever became of the job.

    Returns:
        The exit code: 0, 1 when the job failed, 2 when the input was bad, 130 after Ctrl-C. With `as_message` 0 for every job that ran.
    """
    try:
        request = local_request(type_, text, jobs_dir=jobs_dir, artifacts_url=artifacts_url)
    except (DecodeError, ValueError) as exc:
        _complain(f"bad input: {exc}")
        return EXIT_BAD_INPUT
    started_at = utc_now()
    outcome = asyncio.run(_run(request, imports))
    if as_message:
        print(json.dumps(_message(outcome, request, started_at).to_redis_dict()))  # noqa: T201 - the command's output
        return 0
    return _report(outcome, request)


def local_request(type_: str, text: str, *, jobs_dir: Path, artifacts_url: str) -> JobRequest:
    """What a command's JSON, or that of its data alone, asks for.

    Raises:
        DecodeError: the text is no JSON.
        ValueError: it is no object, or a command of another type.
    """
    fields = decode_json(text)
    if not isinstance(fields, dict):
        raise ValueError(f"expected a JSON object, got {type(fields).__name__}")  # noqa: TRY004 - a wrong value, not a wrong call
    if fields.get("type", type_) != type_ and "data" in fields:
        raise ValueError(f"type: the command is of type {fields['type']!r}, not {type_!r}")
    whole = "data" in fields and bool(fields.keys() & {"type", "task_id", "schema"})
    data = fields["data"] if whole else fields
    if isinstance(data, str):  # as on the wire, where every field is a string
        data = decode_json(data)
    if not isinstance(data, dict):
        raise ValueError(f"data: expected a JSON object, got {type(data).__name__}")  # noqa: TRY004 - a wrong value, not a wrong call
    command: dict[str, Any] = fields if whole else {}
    job_id = str(command.get("task_id") or f"local-{uuid4().hex[:12]}")
    directory = (jobs_dir / folder_name(job_id)).absolute()
    return JobRequest(
        id=job_id,
        type=type_,
        data=data,
        attempt=int(command.get("attempt") or 0),
        delivery=1,
        created_at=time.time(),
        directory=str(directory),
        artifacts_url=artifacts_url,
        log_path=str(directory / "job.log"),
    )


async def _run(request: JobRequest, imports: tuple[str, ...]) -> Outcome:
    """Run it; Ctrl-C and SIGTERM cancel it, a second one kills it."""
    server = ChildServer(imports)
    loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    try:
        child = await server.spawn(request)
        stops: list[asyncio.Task[Outcome]] = []

        def interrupted() -> None:
            if stops:
                child.kill("interrupted")
            else:
                stops.append(loop.create_task(child.stop(GRACE_SECONDS, "interrupted")))

        for signum in signals:
            loop.add_signal_handler(signum, interrupted)
        with _progress_display() as show:
            async for event in child.events():
                match event:
                    case Progress():
                        show(event)
                    case LogLine(text=text):
                        _complain(text)
        return await child.wait()
    finally:
        for signum in signals:
            loop.remove_signal_handler(signum)
        await server.close()


@contextlib.contextmanager
def _progress_display() -> Iterator[Show]:
    """A bar on a terminal, else a line whenever the message changes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        seen: list[str] = []

        def show_line(progress: Progress) -> None:
            line = f"{progress.current}/{progress.total if progress.total is not None else '?'} {progress.message}".rstrip()
            if [line] != seen[-1:]:
                seen[:] = [line]
                print(line, file=sys.stderr, flush=True)  # noqa: T201 - the command's output

        yield show_line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("starting", total=None)
        yield lambda progress: bars.update(bar, completed=progress.current, total=progress.total, description=progress.message)


def _message(outcome: Outcome, request: JobRequest, started_at: datetime) -> Result:
    """What a worker would send. One run is all there is here: what a worker would run again is used up."""
    decision = decide(outcome, None)
    result = Result(
        task_id=request.id,
        attempt=request.attempt,
        status=ResultStatus.FAILED,
        deliveries=1,
        pid=os.getpid(),
        started_at=started_at,
        finished_at=utc_now(),
    )
    if isinstance(decision, Finish):
        return result.model_copy(update={"status": decision.status, "data": decision.data, "error": decision.error})
    assert isinstance(decision, RunAgain)  # the other decisions come of a stop from outside
    return result.model_copy(update={"status": ResultStatus.DEAD_LETTERED, "error": decision.error, "reason": decision.reason})


def _report(outcome: Outcome, request: JobRequest) -> int:
    match outcome:
        case Succeeded():
            option = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
            sys.stdout.write(orjson.dumps(outcome.decoded(), option=option).decode() + "\n")
            sys.stdout.flush()
            return 0
        case Failed(error=error):
            _complain(f"{error.traceback}\n{error.type}: {error.message}\n(log: {request.log_path})")
            return EXIT_BAD_INPUT if (error.type, error.module) == ("BadRequest", "workers.errors") else EXIT_FAILED
        case Cancelled(reason=reason):
            _complain(f"cancelled: {reason}")
            return EXIT_INTERRUPTED if reason == "interrupted" else EXIT_FAILED
        case Crashed():
            _complain(f"the job's process crashed: {outcome}\n(log: {request.log_path})")
            return EXIT_FAILED


def _complain(text: str) -> None:
    sys.stderr.write(text.rstrip() + "\n")
