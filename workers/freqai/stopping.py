"""Stopping a training at once: not every library calls back while it trains, so the main thread is interrupted by a signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.job import Job

STOP_SIGNAL = signal.SIGUSR2
INTERVAL_S = 0.1
"""Between two signals: one that is raised inside of a callback from C is lost, and the next one hits elsewhere."""


@contextmanager
def stopped_at_once(job: Job) -> Iterator[None]:
    """While inside, `JobCancelled` is raised in the main thread as soon as the job is cancelled, wherever Python runs there.

    That is between two trees or iterations of most libraries. One that computes for longer in one call of C is waited for, until the worker's grace ends it.
    """
    main, over = threading.main_thread().ident, threading.Event()
    assert main is not None
    number = main

    def interrupt() -> None:
        while job.cancelled and not over.is_set():
            signal.pthread_kill(number, STOP_SIGNAL)
            over.wait(INTERVAL_S)

    def stop(*_: object) -> None:
        if job.cancelled and not over.is_set():
            job.checkpoint()

    before = signal.signal(STOP_SIGNAL, stop)
    job.on_cancel(interrupt)
    try:
        try:
            yield
        finally:
            over.set()
    finally:
        over.set()  # the signal may have hit in the line above, once
        signal.signal(STOP_SIGNAL, signal.SIG_IGN if before is signal.SIG_DFL else before)
