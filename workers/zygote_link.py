"""The parent's end of one warm child server (`workers.zygote`, which describes the frames)."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import subprocess
import sys
from typing import Any

from streams.bus.codec import decode_json
from streams.errors import BridgeSystemError
from workers.child_process import ChildProcess
from workers.errors import Retryable
from workers.frames import READ_BYTES, FrameDecoder, json_frame
from workers.outcome import Usage
from workers.request import JobRequest

CLOSE_SECONDS = 5.0
STDERR = 2

logger = logging.getLogger(__name__)


class ChildServerError(BridgeSystemError):
    """The warm child server can't start: a handler module can't be imported (its traceback is in the message), or the process ended at once."""


class ZygoteLink:
    """The parent's end of one warm child server."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.pid = process.pid
        self.alive = True
        self._process = process
        self._control = control
        self._decoder = FrameDecoder()
        self._serials = itertools.count(1)
        self._children: dict[int, ChildProcess] = {}
        """Started or starting, and not known to have ended."""
        loop = asyncio.get_running_loop()
        self._starts: dict[int, asyncio.Future[None]] = {}
        self._ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(control, self._read)

    @classmethod
    async def start(cls, imports: tuple[str, ...], env: dict[str, str]) -> ZygoteLink:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220 - takes a millisecond, and has to happen in this thread (parent death signal)
                [sys.executable, "-m", "workers.zygote", str(theirs.fileno()), str(os.getpid())],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=STDERR,  # what a library prints at import must not end up in our output
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # no terminal: Ctrl-C is for the parent alone
            )
        zygote = cls(process, ours)
        try:
            zygote._send({"imports": imports, "sys_path": sys.path})
            await zygote._ready
        except BaseException:
            zygote.hang_up()
            process.kill()
            await zygote.gone()
            raise
        logger.info("warm child server %d is ready", process.pid)
        return zygote

    async def spawn(self, request: JobRequest) -> ChildProcess:
        if not self.alive:
            raise Retryable("the warm child server died just now")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        serial = next(self._serials)
        child = ChildProcess(request, ours, lambda signum: self._send({"signal": [serial, int(signum)]}))
        self._children[serial] = child
        started = self._starts[serial] = asyncio.get_running_loop().create_future()
        try:
            with theirs:
                self._send({"spawn": serial}, theirs)
            await started
        except BaseException:
            child.abandon()
            raise
        finally:
            self._starts.pop(serial, None)
        return child

    def hang_up(self, why: str = "the warm child server was closed") -> None:
        """Close the control socket: the server takes all its children along."""
        if self.alive:
            self.alive = False
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._end_all(why)

    async def gone(self) -> None:
        """Wait until the process has ended, and reap it."""
        try:
            await asyncio.to_thread(self._process.wait, CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _send(self, message: dict[str, Any], passed: socket.socket | None = None) -> None:
        """Send a few bytes. A server that doesn't read for so long that they find no room is lost."""
        try:
            socket.send_fds(self._control, [json_frame(message)], [] if passed is None else [passed.fileno()])
        except OSError as exc:
            self._lost(f"can't be reached: {exc}")

    def _read(self) -> None:
        try:
            data = self._control.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        for payload in self._decoder.feed(data):
            self._on_frame(decode_json(payload))
        if not data:
            self._lost("ended")

    def _on_frame(self, message: dict[str, Any]) -> None:
        match message:
            case {"ready": _}:
                if not self._ready.done():
                    self._ready.set_result(None)
            case {"fatal": text}:
                self._fail_start(ChildServerError(f"the warm child server can't import the handlers:\n{text}"))
            case {"started": serial, "pid": pid}:
                self._children[serial].begin(pid)
                if (future := self._starts.get(serial)) and not future.done():
                    future.set_result(None)
            case {"refused": serial, "reason": reason}:
                self._children.pop(serial).abandon()
                if (future := self._starts.get(serial)) and not future.done():
                    future.set_exception(Retryable(f"can't start a child process: {reason}"))
            case {"exited": serial, "status": status, "cpu_seconds": cpu_seconds, "peak_rss": peak_rss}:
                self._children.pop(serial).ended(status, Usage(cpu_seconds, peak_rss))

    def _lost(self, how: str) -> None:
        """The server is gone: so are its children, or will be at once."""
        if not self.alive:
            return
        self.hang_up(f"the warm child server died ({how})")
        self._process.kill()
        logger.warning("warm child server %d is lost, %s; the next job gets a new one", self.pid, how)

    def _end_all(self, description: str) -> None:
        self._fail_start(ChildServerError("the warm child server ended before it was ready; its own output says why"))
        for future in self._starts.values():
            if not future.done():
                future.set_exception(Retryable("the warm child server died while the job started"))
        for child in self._children.values():
            child.orphaned(description)
        self._children.clear()

    def _fail_start(self, error: ChildServerError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
