"""The parent's end of one job in a child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import psutil

from streams.bus.codec import decode_json
from streams.errors import BridgeSystemError
from streams.jobs.messages import JobErrorInfo
from workers.frames import READ_BYTES, FrameDecoder, json_frame
from workers.outcome import MAX_PROGRESS_CHARS, Cancelled, Crashed, Failed, LogLine, Outcome, Progress, Succeeded, Usage, bounded, describe_exit
from workers.request import JobRequest
from workers.running_job import RunningJob

LAST_READS = 4_096
"""Pieces taken from the socket of a process that is gone: far more than it holds, but not without end, as a descendant may go on writing."""
TERM_SECONDS = 2.0
"""Between SIGTERM and SIGKILL."""
LINGER_SECONDS = 5.0
"""A child may tidy up this long after it sent its outcome."""
TAIL_BYTES = 16 << 10
TAIL_LINES = 40


class ChildProcess(RunningJob):
    """One running job in a process, whose `pid` is also the number of its process group. Made by `ChildServer.spawn`."""

    def __init__(self, request: JobRequest, sock: socket.socket, send_signal: Callable[[int], None]) -> None:
        super().__init__()
        self.request = request
        self._sock = sock
        self._send_signal = send_signal
        self._decoder = FrameDecoder()
        self._final: Succeeded | Failed | Cancelled | None = None
        self._result_follows = False
        self._stop_reason: str | None = None
        """Set once `stop` had to send a signal."""
        self._kill_reason = ""
        self._process: psutil.Process | None = None
        self._log_start = _size(request.log_path)
        self._linger: asyncio.TimerHandle | None = None
        self._outgoing = bytearray(json_frame({name: getattr(request, name) for name in JobRequest.__slots__}))

    def cancel(self, reason: str) -> None:
        self._order({"cancel": reason})

    def pass_soft_limit(self) -> None:
        self._order({"soft_limit": True})

    async def stop(self, grace_seconds: float, reason: str = "cancelled") -> Outcome:
        """Cancel; after the grace SIGTERM, then SIGKILL, for the whole process group. The outcome is `Cancelled` unless the job was faster."""
        self.cancel(reason)
        if not await self._ends_within(grace_seconds):
            self._stop_reason = reason
            self._send_signal(signal.SIGTERM)
            if not await self._ends_within(TERM_SECONDS):
                self._send_signal(signal.SIGKILL)
        return await self.wait()

    def kill(self, reason: str = "by its worker") -> None:
        """SIGKILL the process group now. The outcome is `Crashed`, with the reason in its description."""
        if self._outcome is None:
            self._kill_reason = self._kill_reason or reason
            self._send_signal(signal.SIGKILL)

    def rss_bytes(self) -> int:
        """Resident memory of the process and its descendants; 0 when it is gone. Pages shared with the warm server count for each process."""
        total = 0
        with contextlib.suppress(psutil.Error):
            if self._process is not None:
                for process in (self._process, *self._process.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        total += process.memory_info().rss
        return total

    # What the link to the child server calls.

    def begin(self, pid: int) -> None:
        """The process runs: send it the job."""
        self.pid = pid
        with contextlib.suppress(psutil.Error):
            self._process = psutil.Process(pid)
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._sock, self._read)
            self._write()

    def ended(self, status: int | None, usage: Usage | None, description: str = "") -> None:
        """The process is gone. Take what it left in the socket, not waiting for its end: descendants may hold it open."""
        if self._outcome is not None:
            return
        for _ in range(LAST_READS):
            if not self._read():
                break
        self.abandon()
        if self._linger is not None:
            self._linger.cancel()
        self._end(self._judge(status, usage, description))

    def orphaned(self, description: str) -> None:
        """The child server is gone: nobody will report the end of this process, which ends now."""
        if self.pid and self._outcome is None:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        self.ended(None, None, description)

    def abandon(self) -> None:
        """Close the socket, which ends the process if it still runs."""
        if self._sock.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._sock)
            loop.remove_writer(self._sock)
            self._sock.close()

    def _judge(self, status: int | None, usage: Usage | None, description: str) -> Outcome:
        match self._final:
            case Succeeded(data=data):
                return Succeeded(data, usage)
            case Failed(error=error):
                return Failed(error, usage)
            case Cancelled(reason=reason):
                return Cancelled(reason, usage=usage)
        if self._stop_reason is not None and not self._kill_reason:
            return Cancelled(self._stop_reason, killed=True, usage=usage)
        if status is not None:
            description = describe_exit(status, expected_kill=self._kill_reason)
        return Crashed(description, status, self._log_tail(), usage)

    def _order(self, order: dict[str, Any]) -> None:
        if self._outcome is None:
            self._outgoing += json_frame(order)
            self._write()

    def _write(self) -> None:
        """Send as much as finds room, the rest when there is room again."""
        loop = asyncio.get_running_loop()
        try:
            while self._outgoing:
                del self._outgoing[: self._sock.send(self._outgoing)]
        except BlockingIOError:
            loop.add_writer(self._sock, self._write)
            return
        except OSError:  # it is gone; the exit report tells the rest
            self._outgoing.clear()
        if self._sock.fileno() >= 0:
            loop.remove_writer(self._sock)

    def _read(self) -> bool:
        """Take one piece of what can be read: the loop calls again, and in between everything else has its turn, however much a child sends.

        Returns whether there may be more.
        """
        try:
            if data := self._sock.recv(READ_BYTES):
                for payload in self._decoder.feed(data):
                    self._on_frame(payload)
                return True
        except BlockingIOError:
            return False
        except (OSError, BridgeSystemError, LookupError, TypeError, ValueError) as exc:  # user code may write into any file descriptor
            if not isinstance(exc, OSError):
                self.kill(f"it sent what is no message ({type(exc).__name__}: {exc})")
        # Its end of file, or garbage: nothing more is read, and the exit report tells the rest.
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock)
        return False

    def _on_frame(self, payload: bytes) -> None:
        if self._final is not None:
            return
        if self._result_follows:
            self._finish(Succeeded(orjson.Fragment(payload)))
            return
        message = decode_json(payload)
        if "progress" in message:
            current, total, text = message["progress"]
            self._progress = Progress(int(current), None if total is None else int(total), str(text)[:MAX_PROGRESS_CHARS])
            self._news.set()
        elif "log" in message:
            self._lines.extend(LogLine(str(line)[:MAX_PROGRESS_CHARS]) for line in message["log"])
            self._news.set()
        elif "error" in message:
            self._finish(Failed(bounded(JobErrorInfo.model_validate(message["error"]))))
        elif "cancelled" in message:
            self._finish(Cancelled(message["cancelled"]))
        else:
            self._result_follows = bool(message["result"])

    def _finish(self, final: Succeeded | Failed | Cancelled) -> None:
        self._final = final
        self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, self.kill)

    def _log_tail(self) -> str:
        """The last lines that this run wrote to its log; an earlier run's are not its own."""
        try:
            with Path(self.request.log_path).open("rb") as log:
                size = log.seek(0, 2)
                log.seek(max(self._log_start, size - TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-TAIL_LINES:])


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
