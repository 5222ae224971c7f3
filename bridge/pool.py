"""The bridge's pool of threads: a cold shutdown ends it at once. Whatever it was at, another bridge does again after the lease."""

from __future__ import annotations

import logging
from os import _exit as end_at_once
from typing import Final

from celery.concurrency.thread import TaskPool
from celery.worker import state as worker_state

logger = logging.getLogger(__name__)

EX_FAILURE: Final = 1
"""As Celery's own cold shutdown ends."""


class BridgePool(TaskPool):
    """Celery's, but for what SIGQUIT does: Celery stops the pool before anything else, and so would wait for each thread, while the bridge reads on."""

    def on_stop(self) -> None:
        """Wait for what is being resolved; not when Celery has been told to terminate."""
        if worker_state.should_terminate not in (None, False):
            logger.warning("bridge: ends at once; what it was at is resolved again after the lease")
            logging.shutdown()
            end_at_once(EX_FAILURE)  # the interpreter's own end waits for the threads too
        super().on_stop()
