"""A unit of the workload, as Celery's caller sends it."""

from __future__ import annotations

from typing import Any

from celery import chain, chord
from celery.canvas import Signature

from tests.acceptance.stack import Stack
from tests.chaos.jobs import Job, Task, Unit


def send(stack: Stack, unit: Unit) -> None:
    """Send it, without waiting for anything."""
    first, *_ = unit.jobs
    if unit.body is not None:
        chord([signature(stack, job) for job in unit.jobs], app=stack.caller)(signature(stack, unit.body))
    elif len(unit.jobs) > 1:
        chain(*(signature(stack, job, takes_previous=job is not first) for job in unit.jobs), app=stack.caller).apply_async()
    else:
        options: dict[str, Any] = {}
        if unit.link is not None:
            options["link"] = signature(stack, unit.link)
        if unit.errback is not None:
            options["link_error"] = signature(stack, unit.errback)
        signature(stack, first).apply_async(**options)


def signature(stack: Stack, job: Job, *, takes_previous: bool = False) -> Signature:
    """The task under the id that the plan gave it."""
    is_body = job.task is Task.TOTAL
    arguments = job.how if is_body else {"value": job.own_value, **job.how}
    return stack.caller.signature(job.task.value, kwargs=arguments, immutable=not (takes_previous or is_body), task_id=job.id)
