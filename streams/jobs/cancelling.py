"""Cancel a task's jobs (protocol R10): a flag for what isn't dispatched yet, and each open publish marked."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, cast

import redis

from streams.bus.functions import call
from streams.bus.topology import Keys
from streams.jobs import managing

FLAG_TTL: Final = timedelta(days=1)
"""Must outlive the longest ETA plus queue wait plus redelivery of the broker."""


def cancel_task(client: redis.Redis, keys: Keys, task_id: str, *, flag_ttl: timedelta = FLAG_TTL) -> dict[str, str]:
    """Cancel every open run of a task, and whatever of it is still to be dispatched.

    Returns `{publish id: "accepted" | "too late"}` of the runs that are known; empty when none was dispatched yet.
    """
    # The flag first: a dispatch that comes in between then sees it.
    client.set(keys.cancel_flag(task_id), "1", px=flag_ttl)
    answers: dict[str, str] = {}
    known = cast("dict[str, str]", client.hgetall(keys.task(task_id)))
    for field, publish_id in known.items():
        if field.startswith("publish:"):
            answer = call(client, managing.cancel(keys, publish_id))
            if answer != "unknown":
                answers[publish_id] = answer
    return answers
