"""Inside a child process: run one job, tell the parent how it went, and be gone. Knows no Redis and no Celery."""

from __future__ import annotations

import atexit
import faulthandler
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

from streams.bus.codec import decode_json, encode_json
from streams.errors import PayloadTooLarge
from workers.artifacts import ArtifactStore
from workers.errors import BadRequest, JobCancelled
from workers.frames import MAX_FRAME_BYTES, frame, json_frame, read_frame
from workers.handlers import HANDLERS, Handler
from workers.job import Job
from workers.outcome import describe_error
from workers.parent_link import ParentLink, die_with_group

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def run(sock: socket.socket) -> None:
    """Read the job from the socket, run it, and send its outcome. The caller ends the process afterwards."""
    payload = read_frame(sock)
    if payload is None:  # the parent changed its mind, or died
        die_with_group()
    request: dict[str, Any] = decode_json(payload)
    job: Job | None = None
    link = ParentLink(sock, on_cancel=lambda reason: job.cancel(reason) if job else None)
    try:
        _redirect_output(Path(request["log_path"]))
        job = _job(request, link)
        link.start()
        _fresh_randomness()
        frames = _result(_handler(job.type), job, request["data"])
    except BaseException as exc:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of user code are failures too, not a silent end
        frames = _failure(exc, job)
    link.finish(*frames)
    _say_goodbye()


def _handler(type_: str) -> Handler:
    try:
        return HANDLERS[type_]
    except KeyError:
        raise BadRequest(f"no handler for the type {type_!r}; this worker has {', '.join(sorted(HANDLERS)) or 'none'}") from None


def _job(request: dict[str, Any], link: ParentLink) -> Job:
    directory = Path(request["directory"])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Job(
        id=request["id"],
        type=request["type"],
        directory=directory,
        artifacts=ArtifactStore(request["artifacts_url"]),
        created_at=request["created_at"],
        attempt=request["attempt"],
        delivery=request["delivery"],
        _report=link.report,
    )


def _result(handler: Handler, job: Job, data: dict[str, Any]) -> list[bytes]:
    """Run the handler. The frames that carry its result."""
    result = encode_json(handler.function(job, handler.parse(data)))
    if len(result) > MAX_FRAME_BYTES:
        raise PayloadTooLarge(f"the result of {job.type} has {len(result)} bytes: put large data in a file (job.artifact) and return its claim check")
    return [json_frame({"result": True}), frame(result)]


def _failure(error: BaseException, job: Job | None) -> list[bytes]:
    """The frames that carry an exception: an error, or the cancellation that was asked for."""
    if isinstance(error, JobCancelled):
        return [json_frame({"cancelled": error.reason})]
    if job is not None and job.cancelled and _comes_of_cancellation(error):
        return [json_frame({"cancelled": job._cancelled})]  # noqa: SLF001 - the runtime's own side of Job
    logging.getLogger(__name__).error("the job failed", exc_info=error)
    return [json_frame({"error": describe_error(error, without=__file__)})]


def _comes_of_cancellation(error: BaseException) -> bool:
    """Whether an engine wrapped our JobCancelled into an error of its own."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if isinstance(cause, JobCancelled):
            return True
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return False


def _redirect_output(log_path: Path) -> None:
    """Send all output to the job's log, that of C libraries and of a dying interpreter included."""
    log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]  # so that a crash loses no line
    faulthandler.enable()  # a segmentation fault leaves its traceback in the log
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)


def _fresh_randomness() -> None:
    """Fork copies numpy's global generator: without this, all children of a warm server would draw the same numbers. Python's own reseeds itself."""
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()


def _say_goodbye() -> None:
    """Let libraries clean up (temporary folders, log handlers) as at a normal exit. The outcome is sent; the parent ends this if it takes long."""
    atexit._run_exitfuncs()  # noqa: SLF001 - what multiprocessing does for its forked children; a plain exit would wait for user threads
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
