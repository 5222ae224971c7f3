"""Servers of Debian that a test starts for itself: PostgreSQL and RabbitMQ, in a temporary folder, on a free port, as an unprivileged user.

Debian puts their programs beside PATH. They are no daemons here: they end with the test, and by the kernel when the test run is killed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import psutil

from streams.parent_death import signal_on_parent_death
from tests.waiting import wait_until

START_SECONDS = 60
STOP_SECONDS = 20
LOOPBACK = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


class DebianServer:
    """Processes in one temporary folder; all of them gone at the end."""

    package: ClassVar[str]
    """What to install."""
    stop_signal: ClassVar = signal.SIGTERM

    def __init__(self) -> None:
        self.port = free_port()
        # Not pytest's folder: that may only be entered by its owner, and neither server runs as root.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.package}-", dir="/tmp"))
        self.user = pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None
        self._processes: list[subprocess.Popen[bytes]] = []
        if self.user:
            shutil.chown(self.folder, self.user)

    @classmethod
    def program(cls) -> Path | None:
        """Where its server is on this machine."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Celery's."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def halt(self) -> None:
        """End its processes, and keep its data: `start()` goes on with them."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.stop_signal)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Its processes do nothing meanwhile, and neither does who waits for them."""
        family = [
            each for process in self._processes for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True))
        ]
        for each in family:
            each.suspend()
        try:
            yield
        finally:
            for each in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.resume()

    def run(self, *command: str | Path) -> None:
        """To its end."""
        subprocess.run(list(map(str, command)), check=True, cwd=self.folder, user=self.user, env=self.environment(), capture_output=True)

    def serve(self, *command: str | Path) -> None:
        with (self.folder / "log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    list(map(str, command)),
                    cwd=self.folder,
                    user=self.user,
                    env=self.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=signal_on_parent_death(),  # noqa: PLW1509 - two system calls, nothing that another thread could hold
                )
            )

    def wait_until_it_listens(self, port: int) -> None:
        def listens() -> bool:
            assert self._processes[-1].poll() is None, (self.folder / "log").read_text()
            with socket.socket() as client:
                return client.connect_ex((LOOPBACK, port)) == 0

        wait_until(listens, START_SECONDS, lambda: f"{self.package} listens; it said:\n{(self.folder / 'log').read_text()}")

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}


class Postgres(DebianServer):
    """Reached through TCP on the loopback, without a password."""

    package = "postgresql"
    stop_signal = signal.SIGINT  # with SIGTERM it waits for its clients

    @classmethod
    def program(cls) -> Path | None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        return found[-1] if found else None

    @property
    def url(self) -> str:
        return f"db+postgresql+psycopg://tests@{LOOPBACK}:{self.port}/postgres"

    def start(self) -> None:
        program = self.program()
        assert program is not None
        data = self.folder / "data"
        if not data.exists():
            self.run(program.with_name("initdb"), "-D", data, "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.serve(program, "-D", data, "-p", str(self.port), "-c", f"listen_addresses={LOOPBACK}", "-c", f"unix_socket_directories={self.folder}")
        self.wait_until_it_listens(self.port)


class RabbitMQ(DebianServer):
    """With an Erlang port mapper of its own."""

    package = "rabbitmq-server"

    def __init__(self) -> None:
        super().__init__()
        self._mapper_port, self._node_port = free_port(), free_port()

    @classmethod
    def program(cls) -> Path | None:
        # Not the one on PATH: that wants to be root or the user rabbitmq.
        program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        return program if program.exists() and shutil.which("epmd") else None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def start(self) -> None:
        program = self.program()
        assert program is not None
        (self.folder / "plugins").write_text("[].\n")
        self.serve(shutil.which("epmd") or "epmd", "-port", str(self._mapper_port), "-address", LOOPBACK)
        self.wait_until_it_listens(self._mapper_port)
        self.serve(program)
        self.wait_until_it_listens(self.port)

    def environment(self) -> dict[str, str]:
        folder = self.folder
        return super().environment() | {
            "ERL_EPMD_PORT": str(self._mapper_port),
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment"),
        }
