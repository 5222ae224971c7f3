"""A child's end of the socket to its parent: progress and the outcome go up, a cancellation comes down, and its end means the parent's death."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from typing import NoReturn

from streams.bus.codec import decode_json
from streams.errors import EncodeError
from workers.frames import READ_BYTES, FrameDecoder, FrameError, json_frame
from workers.outcome import shortened

TICK_SECONDS = 0.5
"""Progress goes up at most this often; a job may report it a million times a second."""
MAX_MESSAGE_CHARS = 2000

logger = logging.getLogger(__name__)


class ParentLink:
    """Watches the socket in a thread of its own; `report` and `finish` may be called from any other."""

    def __init__(self, sock: socket.socket, on_cancel: Callable[[str], None]) -> None:
        self._sock = sock
        self._on_cancel = on_cancel
        self._decoder = FrameDecoder()
        self._progress: tuple[int, int | None, str] | None = None
        self._writing = threading.Lock()
        self._finished = False

    def start(self) -> None:
        """Watch from now on."""
        threading.Thread(target=self._watch, name="parent-link", daemon=True).start()

    def report(self, current: int, total: int | None, message: str) -> None:
        """Leave the latest progress for the thread to send: this never blocks, and never slows a job down."""
        self._progress = (current, total, message)

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
                reason = str(decode_json(payload)["cancel"])
                threading.Thread(target=self._on_cancel, args=(reason,), name="cancel", daemon=True).start()
        except (OSError, FrameError):
            return False
        return bool(data)

    def _flush(self) -> None:
        progress, self._progress = self._progress, None
        if progress is None or self._finished:
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
