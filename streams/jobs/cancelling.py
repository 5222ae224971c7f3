"""Cancel a task's jobs (protocol R10): a flag for what isn't dispatched yet, and each open publish marked."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Final, cast
from uuid import uuid4

import redis

from streams.bus.functions import call
from streams.bus.topology import SERVICES, Keys, Service
from streams.jobs import managing

FLAG_TTL: Final = timedelta(days=1)
"""Must outlive the longest ETA plus queue wait plus redelivery of the broker."""


def cancel_task(
    client: redis.Redis, keys: Keys, task_id: str, *, waiting_only: bool = False, signum: int = signal.SIGTERM, flag_ttl: timedelta = FLAG_TTL
) -> dict[str, str]:
    """Cancel every open run of a task, and whatever of it is still to be dispatched.

    Args:
        client: of the streams' server.
        keys: of this deployment.
        task_id: the Celery task id.
        waiting_only: leave alone what a worker has taken up already.
        signum: the signal that stops a running one, as its events tell.
        flag_ttl: how long a dispatch that is still to come is cancelled.

    Returns:
        `{publish id: "accepted" | "too late" | "running"}` of the runs that are known; empty when none was dispatched yet.
    """
    # The flag first: a dispatch that comes in between then sees it. Each has its own value: a redrive pardons one, and no later one.
    client.set(keys.cancel_flag(task_id), uuid4().hex, px=flag_ttl)
    answers: dict[str, str] = {}
    seen: set[str] = set()
    # Until there is no new one: a redrive pardons what it finds, and what it sends may have come since the last look.
    while new := _publishes(client, keys, task_id) - seen:
        for publish_id in sorted(new):
            answer = _cancel(client, keys, publish_id, waiting_only=waiting_only, signum=signum)
            if answer != "unknown":
                answers[publish_id] = answer
        seen |= new
    return answers


def _publishes(client: redis.Redis, keys: Keys, task_id: str) -> set[str]:
    known = cast("dict[str, str]", client.hgetall(keys.task(task_id)))
    return {publish_id for field, publish_id in known.items() if field.startswith("publish:")}


def _cancel(client: redis.Redis, keys: Keys, publish_id: str, *, waiting_only: bool, signum: int) -> str:
    name = str(client.hget(keys.job(publish_id), "service") or "unknown")
    service = SERVICES.get(name) or Service.named(name)
    return call(client, managing.cancel(keys, service, publish_id, waiting_only=waiting_only, signum=signum))
