"""The Celery app of the chaos tests: one kind of job, sent by tasks that differ in what Celery does after a failure.

Every task is a bridged one. An ordinary task as a link may run twice after a bridge died, as its Celery message is sent at least once.
"""

from __future__ import annotations

import time
from typing import Any

from bridge import DeadLettered, RemoteError, StreamTask
from tests.bridged_app import app

COMMAND = "chaos.work"
HANDLER_SECONDS = 0.1


class SlowlyHandled(StreamTask):
    """Its handlers take a while in some of its tasks, so that a bridge is hit before, between and after the steps of a resolution."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        _dawdle(kwargs, 0)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        _dawdle(kwargs, 1)


def _dawdle(kwargs: dict[str, Any], remainder: int) -> None:
    if kwargs.get("value", 0) % 4 == remainder:
        time.sleep(HANDLER_SECONDS)


def _options(name: str, **options: Any) -> dict[str, Any]:
    return {"base": SlowlyHandled, "name": f"chaos.{name}", "service": "lab", "command": COMMAND, **options}


def _payload(previous: dict[str, int] | None = None, *, value: int, **how: Any) -> dict[str, Any]:
    """In a chain, what the task before gave is added."""
    return {"value": value + (previous["value"] if previous else 0), **how}


work = app.task(**_options("work"))(_payload)
insisting = app.task(**_options("insisting", autoretry_for=(RemoteError,), max_retries=3, default_retry_delay=1))(_payload)
retried = app.task(**_options("retried", autoretry_for=(DeadLettered,), max_retries=1, default_retry_delay=1))(_payload)
parking = app.task(**_options("parking", on_dead_letter="park"))(_payload)
once = app.task(**_options("once", at_most_once=True))(_payload)


@app.task(**_options("total"))
def total(values: list[dict[str, int]], **how: Any) -> dict[str, Any]:
    """The body of a chord."""
    return {"value": sum(each["value"] for each in values), **how}
