"""What process supervision asks of Linux. On other systems nothing happens here, and the sockets' end of file does the work a little later."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
"""Loaded once, so that a freshly forked child has nothing left to load."""


def signal_on_parent_death(signum: signal.Signals) -> None:
    """Have the kernel signal this process when its parent dies, however it dies. The caller checks that it hasn't died already."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)


def hide_from_own_jobs() -> None:
    """Keep other processes of the same user from reading this one's environment and memory: a job's code runs as that user. Root still can."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends: no process started below this one gets out of sight."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def child_pids() -> list[int]:
    """The direct children of a process with one thread, adopted ones and zombies included; empty where /proc doesn't say."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def volunteer_for_oom() -> None:
    """When memory runs out, the kernel shall kill a job, not the worker that watches it (raising one's own score needs no privilege)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def thread_count() -> int:
    """Threads of this process, those of native libraries included where /proc lists them."""
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return threading.active_count()
