"""A child's end of the socket to its parent: progress, log lines and the outcome go up; a cancellation or the end of the soft time limit comes down; and
its end means the parent's death.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import threading
from collections import deque
from typing import Any, NoReturn

from streams.bus.codec import decode_json
from streams.errors import EncodeError
from workers.frames import READ_BYTES, FrameDecoder, FrameError, json_frame
from workers.job import Job
from workers.outcome import shortened

TICK_SECONDS = 0.5
"""Progress goes up at most this often; a job may report it a million times a second."""
MAX_MESSAGE_CHARS = 2000
"""Of a progress message or a log line."""
LINES_A_TICK = 50
"""Log lines that go up at most; the log file has them all."""

logger = logging.getLogger(__name__)


class ParentLink:
    """Watches the socket in a thread of its own; `report` and `finish` may be called from any other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._job: Job | None = None
        self._decoder = FrameDecoder()
        self._progress: tuple[int, int | None, str] | None = None
        self._lines: deque[str] = deque(maxlen=LINES_A_TICK)
        self._writing = threading.Lock()
        self._finished = False

    def start(self, job: Job) -> None:
        """Watch from now on; what comes down is for this job."""
        self._job = job
        threading.Thread(target=self._watch, name="parent-link", daemon=True).start()

    def report(self, current: int, total: int | None, message: str) -> None:
        """Leave the latest progress for the thread to send: this never blocks, and never slows a job down."""
        self._progress = (current, total, message)

    def say(self, line: str) -> None:
        """Leave a log line for the thread to send."""
        self._lines.append(shortened(line, MAX_MESSAGE_CHARS))

    def finish(self, *frames: bytes) -> None:
        """Send the last progress and then the outcome; nothing is sent after it."""
        with self._writing:
            self._flush()
            self._finished = True
            self._send(b"".join(frames))

    def _watch(self) -> None:
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        while True:
            if poller.poll(TICK_SECONDS * 1000) and not self._receive():
                die_with_group()
            with self._writing:
                self._flush()

    def _receive(self) -> bool:
        """Handle what came; False when the parent is gone."""
        try:
            data = self._sock.recv(READ_BYTES)
            for payload in self._decoder.feed(data):
                # Callbacks of the job may take their time, and this thread has to notice the parent's death meanwhile.
                threading.Thread(target=self._obey, args=(decode_json(payload),), name="cancel", daemon=True).start()
        except (OSError, FrameError):
            return False
        return bool(data)

    def _obey(self, order: dict[str, Any]) -> None:
        assert self._job is not None
        if "cancel" in order:
            self._job.cancel(str(order["cancel"]))
        else:
            self._job.pass_soft_limit()

    def _flush(self) -> None:
        if self._finished:
            return
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            self._send(json_frame({"log": lines}))
        progress, self._progress = self._progress, None
        if progress is None:
            return
        current, total, message = progress
        try:
            self._send(json_frame({"progress": [current, total, shortened(str(message), MAX_MESSAGE_CHARS)]}))
        except EncodeError as exc:
            logger.warning("progress not sent: %s", exc)

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError:
            die_with_group()


def die_with_group() -> NoReturn:
    """End this process and every process of its group. For when nobody is left to report to."""
    if os.getpgrp() == os.getpid():  # else the group is somebody else's
        with contextlib.suppress(OSError):
            os.killpg(0, signal.SIGKILL)
    os._exit(1)
