"""One process of the stack, with its output in a file."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from streams.errors import BridgeSystemError
from streams.parent_death import signal_on_parent_death
from tasks.local_stack.programs import Program

REPOSITORY = Path(__file__).resolve().parents[2]
"""Where `tasks` and `celeryconfig` are importable: they are never installed."""
LOG_LINES = 15


class ProcessEnded(BridgeSystemError):
    """A process of the local stack ended by itself; the message holds its exit code and the end of its log."""


class StackProcess:
    """A program, startable and restartable, in a session of its own: a Ctrl-C at the terminal reaches only who started it."""

    def __init__(self, program: Program, environment: Mapping[str, str], log_file: Path) -> None:
        self.name = program.name
        self.command = [sys.executable, *program.arguments]
        self.url = program.url
        self.environment = dict(environment)
        self.log_file = log_file
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def command_line(self) -> str:
        """For a shell that it replaces, so that signals reach the program itself."""
        return f"exec {shlex.join(self.command)}"

    @property
    def pid(self) -> int:
        """Of the last start."""
        if self._popen is None:
            raise ProcessEnded(f"{self.name} was never started")
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, or before it does."""
        return None if self._popen is None else self._popen.poll()

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start it, or start it again; its log goes on."""
        if self.running:
            return
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=signal_on_parent_death(),  # noqa: PLW1509 - two system calls, nothing that another thread could hold
            )

    def terminate(self) -> None:
        """Ask it to end in good order. Only the process itself: Celery's pool processes end with it, and would lose their task by a signal of their own."""
        if self._popen is not None:
            self._popen.terminate()

    def kill(self) -> None:
        """SIGKILL to the process itself, as a crash: its children must find out by themselves."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended; False when it still runs after `timeout` seconds."""
        if self._popen is None:
            return True
        try:
            self._popen.wait(max(timeout, 0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill_group(self) -> None:
        """SIGKILL to it and its children, when asking didn't help."""
        if self._popen is not None and self._popen.poll() is None:  # not reaped yet: its group id can't be somebody else's
            os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()

    def log_tail(self, lines: int = LOG_LINES) -> str:
        """The end of its output, over all starts."""
        if not self.log_file.exists():
            return ""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def check(self) -> None:
        """Raises:
        ProcessEnded: it was started and runs no more.
        """
        if self.returncode is not None:
            raise ProcessEnded(f"{self.name} ended with exit code {self.returncode}; its log, {self.log_file}:\n{self.log_tail()}")
