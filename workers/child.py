"""Inside a child process: run one job, tell the parent how it went, and be gone. Knows no Redis and no Celery."""

from __future__ import annotations

import atexit
import faulthandler
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from streams.bus.codec import decode_json, encode_json
from workers.frames import frame, json_frame, read_frame
from workers.interrupting import SOFT_LIMIT_SIGNAL, SoftLimitBySignal
from workers.outcome import Cancelled, Failed, Succeeded
from workers.parent_link import ParentLink, die_with_group
from workers.performing import failed, perform
from workers.request import JobRequest

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def run(sock: socket.socket) -> None:
    """Read the job from the socket, run it, and send its outcome. The caller ends the process afterwards."""
    signal.signal(SOFT_LIMIT_SIGNAL, signal.SIG_IGN)  # from others it means nothing; by default it would end the process
    payload = read_frame(sock)
    if payload is None:  # the parent changed its mind, or died
        die_with_group()
    request = JobRequest(**decode_json(payload))
    link = ParentLink(sock)
    try:
        _redirect_output(Path(request.log_path))
        job = request.job(link.report, link.say)
        link.start(job)
        _fresh_randomness()
        outcome = perform(job, request.data, interruptible=SoftLimitBySignal(job))
    except BaseException as exc:  # noqa: BLE001 - a folder that can't be made, say
        outcome = failed(None, exc)
    link.finish(*_frames(outcome))
    _say_goodbye()


def _frames(outcome: Succeeded | Failed | Cancelled) -> list[bytes]:
    """What the parent is sent."""
    match outcome:
        case Succeeded(data=data):
            return [json_frame({"result": True}), frame(encode_json(data))]
        case Failed(error=error):
            return [json_frame({"error": error})]
        case Cancelled(reason=reason):
            return [json_frame({"cancelled": reason})]


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
