"""The embedded server: one child process, one private directory, gone when its parent is."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streams.embedded.binary import find_server_binary
from streams.embedded.urls import celery_url, unix_url
from streams.errors import ServerUnavailable
from streams.parent_death import signal_on_parent_death

START_TIMEOUT = 10.0
"""Seconds until it answers; loading a large append-only file doesn't count."""
STOP_TIMEOUT = 10.0
LOCK_TIMEOUT = 2.0
"""Seconds for a server that is just going down in the same directory."""
LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel's limit is 108 on Linux and 104 on macOS, and the server binds a longer name first."""
LOG_LINES = 15
POLL_SECONDS = 0.005
PORT_TRIES = 5


class EmbeddedServer:
    """A real Redis or Valkey server, reached through a Unix socket that only this user may open.

    Durable by default: append-only file, synced every second, nothing evicted. Start it from the main thread: on Linux it then gets a SIGTERM
    when this process dies, even by SIGKILL (see `signal_on_parent_death`).

    Args:
        directory: where data and log are kept, made with mode 0700; None for a temporary one that `stop()` removes.
        binary: the server program; found by `find_server_binary()` when None.
        append_only: False for a server whose data may be lost.
        port: listen on this port of 127.0.0.1 too (0: any free one), and give that as `url`. Any local user can connect to it.
    """

    def __init__(self, directory: Path | None = None, *, binary: Path | None = None, append_only: bool = True, port: int | None = None) -> None:
        self.binary = binary or find_server_binary()
        self.append_only = append_only
        self.port = port
        self._wanted_port = port
        self._temporary = directory is None
        self._directory = None if directory is None else directory.absolute()
        self._socket_directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

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
    def directory(self) -> Path:
        """Where its data and its log are."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="redis-"))
        return self._directory

    @property
    def log_file(self) -> Path:
        return self.directory / "server.log"

    @property
    def socket(self) -> Path:
        """In the directory, or in a short temporary one when that path would be too long for a socket."""
        inside = self.directory / "s.sock"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
            return inside
        if self._socket_directory is None:
            self._socket_directory = Path(tempfile.mkdtemp(prefix="redis-", dir="/tmp"))  # $TMPDIR may be the long path
        return self._socket_directory / "s.sock"

    @property
    def url(self) -> str:
        """For redis-py."""
        return unix_url(self.socket) if self.port is None else f"redis://127.0.0.1:{self.port}/0"

    def celery_url(self, db: int = 0) -> str:
        """For Celery's `broker_url` and `result_backend`."""
        return celery_url(self.url, db)

    @property
    def pid(self) -> int | None:
        """Of the running server, else None."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers; does nothing when it runs.

        Raises:
            ServerUnavailable: it ended or doesn't answer (with the end of its log), or another server runs in this directory.
        """
        if self.pid is not None:
            return
        for tries_left in reversed(range(PORT_TRIES)):
            if self.port == 0:
                self.port = _free_port()
            try:
                self._start_once()
            except ServerUnavailable as exc:
                taken = self._wanted_port == 0 and "in use" in str(exc)
                if not (taken and tries_left):
                    raise
                self.port = 0  # somebody took the port in between
            else:
                return

    def stop(self) -> None:
        """End it in good order, and remove what was temporary."""
        self._end(signal.SIGTERM)
        if self._socket_directory is not None:
            shutil.rmtree(self._socket_directory, ignore_errors=True)
            self._socket_directory = None
        if self._temporary and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it ends by itself, and give its exit code; None when it still runs after `timeout` seconds."""
        try:
            return None if self._process is None else self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """SIGKILL, as in a crash: data and directory stay, `start()` goes on with what was synced."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """End it in good order and start it again, with the same URL and data."""
        self._end(signal.SIGTERM)
        self.start()

    def _start_once(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        lock = self._lock()
        with lock, self.log_file.open("ab") as log:
            logged = log.tell()
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],  # the server holds the lock from here on: as long as it lives, not as long as we do
                start_new_session=True,  # a Ctrl-C at the terminal is for us; we stop the server last
                preexec_fn=signal_on_parent_death(),  # noqa: PLW1509 - two system calls, nothing that another thread could hold
            )
        try:
            self._wait_until_it_answers(self._process)
        except BaseException as exc:
            self._end(signal.SIGKILL)
            if not isinstance(exc, ServerUnavailable):
                raise
            raise ServerUnavailable(f"{exc}\n{self._log_since(logged)}") from None

    def _command(self) -> list[str]:
        options = {
            "port": self.port or 0,
            "bind": "127.0.0.1",
            "unixsocket": self.socket,
            "unixsocketperm": 700,
            "dir": self.directory,
            "daemonize": "no",
            "appendonly": "yes" if self.append_only else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        return [str(self.binary), *(word for name, value in options.items() for word in (f"--{name}", str(value)))]

    def _lock(self) -> IO[bytes]:
        """Two servers in one directory would write over each other's append-only file; the servers themselves don't check."""
        file = (self.directory / "lock").open("ab")
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
                    continue
                file.close()
                raise ServerUnavailable(
                    f"another server runs in {self.directory}: stop it, or use it with REDIS_URL={unix_url(self.socket)}"
                ) from None
            else:
                return file

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        with redis.Redis(unix_socket_path=str(self.socket), retry=Retry(NoBackoff(), 0), socket_timeout=START_TIMEOUT) as client:
            while True:
                if process.poll() is not None:
                    raise ServerUnavailable(f"{self.binary} ended at once, with exit code {process.returncode}; its log:")
                try:
                    if int(client.info("server")["process_id"]) == process.pid:
                        return
                except redis.exceptions.BusyLoadingError:
                    deadline = time.monotonic() + START_TIMEOUT  # it is up, and reads its append-only file
                except redis.RedisError:
                    pass
                if time.monotonic() > deadline:
                    raise ServerUnavailable(f"{self.binary} doesn't answer after {START_TIMEOUT:g} s; its log:")
                time.sleep(POLL_SECONDS)

    def _log_since(self, position: int) -> str:
        with self.log_file.open("rb") as log:
            log.seek(position)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-LOG_LINES:])

    def _end(self, signum: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signum)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
