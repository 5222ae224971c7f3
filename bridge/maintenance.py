"""What has to be done now and then: delayed commands put back, lost ones repaired, done ones trimmed. Two at once do no harm.

The bridge does it by itself, so that a project needs no beat for it.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from typing import Any

import redis

from bridge.connection import Connection
from streams.bus import clock
from streams.bus.topology import MANAGEMENT_CONSUMERS, Service
from streams.bus.trim import trim
from streams.errors import UnknownService
from streams.jobs import managing, queueing

logger = logging.getLogger(__name__)

REPAIR_AFTER_SECONDS = 60.0
"""A job younger than that is left alone: its command may be on its way."""
LEASES_ELSEWHERE = 4
"""On a stream that isn't the service's any more nobody claims: after so many leases without a heartbeat its worker is taken for dead."""


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
        try:
            verdict = _repair(connection, publish_id)
        except (UnknownService, redis.ResponseError) as exc:  # one job holds up no other
            logger.warning("job %s can't be looked after: %s: %s", publish_id, type(exc).__name__, exc)
            verdict = "failed"
        verdicts[verdict] += 1
    verdicts.pop("", None)
    return dict(verdicts)


def _repair(connection: Connection, publish_id: str) -> str:
    """The verdict about one open job; "" when there is no such job."""
    keys, job = connection.keys, connection.keys.job(publish_id)
    task_id, seq, name, stream, entry = connection.client.hmget(job, ["task_id", "seq", "service", "stream", "entry"])
    if task_id is None:
        connection.client.zrem(keys.open_jobs, publish_id)
        return ""
    each = connection.service(str(name))
    own = _own(connection, each, stream)
    if own is None and stream and entry and _is_held_elsewhere(connection, each, str(stream), str(entry), publish_id):
        return "fine:elsewhere"
    step = managing.repair(
        keys,
        each,
        publish_id,
        task_id=str(task_id),
        attempt=int(str(seq)),
        callback_stream=keys.stream(each.results),
        results_group=MANAGEMENT_CONSUMERS,
        max_deliveries=connection.settings.max_deliveries,
        stream=own,
    )
    verdict = connection.call(step)
    if not verdict.startswith("fine"):
        logger.warning("task %s: its command had vanished: %s", task_id, verdict)
        connection.client.hset(job, "stream", own or keys.stream(each.command_stream()))
    return verdict


def _is_held_elsewhere(connection: Connection, service: Service, stream: str, entry: str, publish_id: str) -> bool:
    """Whether a worker of an earlier configuration has the job: of a stream that the service had before it got its lanes, or lost one. What nobody holds is
    taken away there, so that it runs once.
    """
    rows: Any = connection.client.xrange(stream, entry, entry)
    if rows and rows[0][1].get("publish_id") != publish_id:
        return False
    held = queueing.holder(connection.client, stream, service.group, entry)
    if held is not None and held.idle_ms < LEASES_ELSEWHERE * connection.settings.lease_seconds * 1000:
        return True
    if rows:
        connection.client.xdel(stream, entry)
        with contextlib.suppress(redis.ResponseError):  # no group: no worker was ever there
            connection.client.xack(stream, service.group, entry)
    return False


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
