"""A child process that the kernel signals when its parent dies, however it dies (Linux; elsewhere nothing happens)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
"""Loaded here, so that nothing is left to import between fork and exec."""


def signal_on_parent_death(signum: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """What to give `subprocess.Popen(preexec_fn=...)`, so that no orphan is left when this process gets a SIGKILL.

    The kernel signals when the *thread* that started the child ends, not the process: from any other thread than the main one this returns None,
    else a finished thread would take the child with it.
    """
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    libc, parent, number = _LIBC, os.getpid(), int(signum)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return ask
