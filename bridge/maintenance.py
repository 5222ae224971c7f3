"""What has to be done now and then: delayed commands put back, lost ones repaired, done ones trimmed. Two at once do no harm.

The bridge does it by itself, so that a project needs no beat for it.
"""

from __future__ import annotations

import logging
from collections import Counter

from bridge.connection import Connection
from streams.bus import clock
from streams.bus.topology import MANAGEMENT_CONSUMERS, Service
from streams.bus.trim import trim
from streams.jobs import managing

logger = logging.getLogger(__name__)

REPAIR_AFTER_SECONDS = 60.0
"""A job younger than that is left alone: its command may be on its way."""


def promote_due(connection: Connection) -> int:
    """Put delayed commands whose time has come back on their streams (protocol R7); returns how many."""
    promoted = 0
    for each in connection.services:
        due = connection.client.zrangebyscore(connection.keys.delayed(each.name), "-inf", clock.now_ms(), start=0, num=1_000)
        for publish_id in map(str, due):
            # A worker wrote it: what is no stream of its own service isn't written to.
            stream = connection.client.hget(connection.keys.run(each.name, publish_id), "stream") if each.lanes else None
            promoted += bool(connection.call(managing.promote(connection.keys, each, publish_id, stream=_own(connection, each, stream))))
    return promoted


def repair_open(connection: Connection, *, older_than_seconds: float = REPAIR_AFTER_SECONDS) -> dict[str, int]:
    """Send open jobs again whose command vanished (protocol R13); returns how many jobs got which verdict."""
    newest = clock.now_ms() - int(older_than_seconds * 1000)
    verdicts: Counter[str] = Counter()
    for publish_id in map(str, connection.client.zrangebyscore(connection.keys.open_jobs, "-inf", newest)):
        task_id, seq, name, stream = connection.client.hmget(connection.keys.job(publish_id), ["task_id", "seq", "service", "stream"])
        if task_id is None:
            connection.client.zrem(connection.keys.open_jobs, publish_id)
            continue
        each = connection.service(str(name))
        step = managing.repair(
            connection.keys,
            each,
            publish_id,
            task_id=str(task_id),
            attempt=int(str(seq)),
            callback_stream=connection.keys.stream(each.results),
            results_group=MANAGEMENT_CONSUMERS,
            max_deliveries=connection.settings.max_deliveries,
            stream=_own(connection, each, stream),
        )
        verdict = connection.call(step)
        if not verdict.startswith("fine"):
            logger.warning("task %s: its command had vanished: %s", task_id, verdict)
        verdicts[verdict] += 1
    return dict(verdicts)


def trim_done(connection: Connection) -> dict[str, int]:
    """Remove what every group is done with from the command and result streams (protocol R14); returns what was removed, by stream."""
    removed: dict[str, int] = {}
    for each in connection.services:
        for stream in (*each.command_streams, each.results):
            done = connection.call(trim(connection.keys.stream(stream)))
            if done.removed:
                removed[stream] = done.removed
    return removed


def _own(connection: Connection, service: Service, stream: object) -> str | None:
    """The stream, if it is one that the service's workers read; else None, which is the default lane."""
    return next((own for own in map(connection.keys.stream, service.command_streams) if own == stream), None)
