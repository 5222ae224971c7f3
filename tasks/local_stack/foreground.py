"""The stack at a terminal: honcho prefixes each process's lines with its name, and Ctrl-C ends them all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from functools import partial
from typing import Any

from honcho.manager import SIGNALS, Manager
from honcho.process import Popen, Process

from streams.parent_death import signal_on_parent_death
from tasks.local_stack.process import REPOSITORY
from tasks.local_stack.stack import LocalStack


def run_in_foreground(stack: LocalStack) -> int:
    """Run until Ctrl-C or SIGTERM, which is success, or until any process ends by itself, which is not; gives the exit code for the shell."""
    multiprocessing.set_start_method("fork", force=True)  # honcho's processes hold what can't be pickled
    stack.prepare()
    try:
        manager = GracefulManager(stack.grace_seconds)
        for process in stack.processes.values():
            manager.add_process(process.name, process.command_line, env=process.environment, cwd=str(REPOSITORY))
        manager.loop()
        if manager.returncode in {outcome["rc"] for outcome in SIGNALS.values()}:
            return 0
        return int(manager.returncode or 1)
    finally:
        stack.stop()


class OrphanlessProcess(Process):
    """honcho runs each program below a process that relays its output: that one dies with us, and its program gets a SIGTERM."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._die_with_us = signal_on_parent_death(signal.SIGKILL)  # built in the parent, whose process id it keeps

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:  # noqa: FBT001, FBT002 - honcho's own signature
        """Called in the relaying process."""
        if self._die_with_us is not None:
            self._die_with_us()
        self._child_ctor = partial(Popen, preexec_fn=signal_on_parent_death())
        super().run(events, ignore_signals)


class LeaderFirst:
    """SIGTERM goes to the program alone, SIGKILL to its whole group; honcho sends both to the group, which takes Celery's pool its running task."""

    def terminate(self, pid: int) -> None:
        """Ask the program to end."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def kill(self, pid: int) -> None:
        """End it and its children."""
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


class GracefulManager(Manager):
    """honcho's manager with a grace of our own; its own is 5 s from the first process that ended, and a drain takes longer."""

    def __init__(self, grace_seconds: float) -> None:
        super().__init__()
        self.grace_seconds = grace_seconds
        self._process_ctor = OrphanlessProcess
        self._procmgr = LeaderFirst()
        self._asked = False
        self._deadline: float | None = None

    def terminate(self) -> None:
        """Ask all to end: called at a signal, and by the loop when a process ended. From here on the grace runs."""
        self._asked = True
        if not self._all_started():
            return  # some process ids aren't known yet; the loop calls again when they are
        if self._deadline is None:
            self._deadline = time.monotonic() + self.grace_seconds
        super().terminate()

    def kill(self) -> None:
        """Called by the loop ten times a second, from 5 s after it called `terminate()`."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            super().kill()
            self._deadline = time.monotonic() + self.grace_seconds

    def _any_stopped(self) -> bool:
        """Begins the loop's countdown at a signal too, else it would wait for ever when no process ends."""
        return self._asked or bool(super()._any_stopped())
