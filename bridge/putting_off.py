"""A bridged task whose command isn't taken now (`BacklogFull`) is put off: its message is sent again with a countdown, and Celery shows RETRY with the reason.

It is no retry of the task's: `retries` stays, and so do the publish id, the task id and everything that waits for it (chain, chord, links). The order is: the
new message, the state RETRY, then Celery acknowledges the old message. A worker that dies in between leaves two messages of one publish, which is dispatched once.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any, Final

from celery import Task

from bridge import identity
from bridge.celery_internals.dispatching import PutOff, SentBack
from bridge.connection import Connection
from streams.bus.backoff import Backoff
from streams.errors import BacklogFull

logger = logging.getLogger(__name__)

TIMES: Final = "times_put_off"
"""The header of a message that counts how often it took the place of another."""
NOT_DISPATCHED: Final = 0
"""The run number of what has none yet: any real run's state is newer."""
BROKER_AWAY_SECONDS = 1.0


def put_off(task: Task, reason: BacklogFull) -> PutOff | SentBack:
    """Send the current message again, later; returns what Celery is to be told. A broker that is away gets its message back."""
    request, times = task.request, int(getattr(task.request, TIMES, None) or 0)
    settings = Connection.of(task.app).settings
    backoff = Backoff(base=timedelta(seconds=settings.backlog_retry_seconds), cap=timedelta(seconds=settings.backlog_retry_max_seconds))
    countdown = backoff.delay(times + 1).total_seconds()
    publish_id, lineage = identity.of_message(vars(request))
    mine = {identity.PUBLISH_ID: publish_id, identity.LINEAGE: lineage, TIMES: times + 1}
    try:
        message = task.signature_from_request(
            request, countdown=countdown, retries=request.retries or 0, headers={**(request.headers or {}), **mine}, add_to_parent=False
        )
        with identity.sending_again():
            message.apply_async()
    except Exception as exc:  # noqa: BLE001 - whatever it is, the message that is here isn't lost
        logger.warning("task %s can't be put off (%s: %s): its message goes back to the broker", request.id, type(exc).__name__, exc)
        time.sleep(BROKER_AWAY_SECONDS)  # it may come back at once
        return SentBack(f"{type(exc).__name__}: {exc}", requeue=True)
    _show(task, reason, identity.CurrentRun(publish_id, lineage, NOT_DISPATCHED, request.id))
    logger.info("task %s isn't dispatched now: %s; tried again in %.1f s", request.id, reason, countdown)
    return PutOff(exc=reason, when=round(countdown, 1))


def _show(task: Task, reason: BacklogFull, run: identity.CurrentRun) -> None:
    """RETRY, unless a run of this task id has a newer state. A result backend that is away shows nothing, and holds nothing up."""
    request: Any = task.request
    if request.ignore_result if request.ignore_result is not None else task.ignore_result:
        return
    try:
        with identity.running(run):
            task.backend.mark_as_retry(request.id, reason, request=request)
    except Exception as exc:  # noqa: BLE001 - Celery's own backends raise what their drivers raise
        logger.warning("task %s: RETRY isn't shown: %s: %s", request.id, type(exc).__name__, exc)
