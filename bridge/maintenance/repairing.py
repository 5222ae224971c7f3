"""Open jobs whose command vanished, or whose result did before it was resolved, are sent again (protocol R13).

Whether a result of a job lies unacknowledged is looked up once for all jobs: the first pass notes whose results lie on a stream, up to its last id. The function
then only looks at what came after that, in the same step as it sends the command. Nothing is missed: ids only rise, and what wasn't there up to that id never will
be. What was there and has been acknowledged meanwhile is left for the next time.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import redis

from bridge.connection import Connection
from bridge.maintenance.lanes import own_stream
from streams.bus import clock
from streams.bus.functions import FunctionCall
from streams.bus.topology import MANAGEMENT_CONSUMERS, Service
from streams.errors import UnknownService
from streams.jobs import managing, queueing

logger = logging.getLogger(__name__)

REPAIR_AFTER_SECONDS = 60.0
"""A job younger than that is left alone: its command may be on its way."""
LEASES_ELSEWHERE = 4
"""On a stream that isn't the service's any more nobody claims: after so many leases without a heartbeat its worker is taken for dead."""
JOBS_AT_A_TIME = 500


class Ledger(NamedTuple):
    """What is read of an open job."""

    publish_id: str
    task_id: str | None
    seq: str
    service: str
    stream: str | None
    entry: str | None


@dataclass(slots=True)
class Answers:
    """Whose results lie unacknowledged on the result streams, as far as they were looked at."""

    connection: Connection
    _by_service: dict[str, tuple[set[str], str]] = field(default_factory=dict)

    def of(self, service: Service) -> tuple[set[str], str]:
        """Names, as `managing.Answered` has them, and the id up to which they are known; "" when nothing was there."""
        if service.name not in self._by_service:
            self._by_service[service.name] = self._read(service)
        return self._by_service[service.name]

    def _read(self, service: Service) -> tuple[set[str], str]:
        names: set[str] = set()
        last, is_more = "", True
        while is_more:
            step = managing.answered(self.connection.keys.stream(service.results), group=MANAGEMENT_CONSUMERS, after=last)
            part = self.connection.call(step)
            names.update(part.names)
            last, is_more = part.last or last, part.is_more
        return names, last


def repair_open(connection: Connection, *, older_than_seconds: float = REPAIR_AFTER_SECONDS) -> dict[str, int]:
    """Send open jobs again whose command vanished; returns how many jobs got which verdict."""
    newest = clock.now_ms() - int(older_than_seconds * 1000)
    verdicts: Counter[str] = Counter()
    publishes = [str(each) for each in connection.client.zrangebyscore(connection.keys.open_jobs, "-inf", newest)]
    answers = Answers(connection)
    for start in range(0, len(publishes), JOBS_AT_A_TIME):
        verdicts.update(verdict for _, verdict in repair_jobs(connection, publishes[start : start + JOBS_AT_A_TIME], answers))
    verdicts.pop("", None)
    return dict(verdicts)


def repair_jobs(connection: Connection, publishes: list[str], answers: Answers, *, only_say: bool = False) -> Iterator[tuple[Ledger, str]]:
    """A verdict for each of these jobs (`managing.repair`); "" when there is no such job. They are read and judged in two round trips.

    Args:
        connection: of the app.
        publishes: their ids.
        answers: whose results lie there, looked up once for all.
        only_say: change nothing.
    """
    steps: list[tuple[Ledger, Service, FunctionCall[str]]] = []
    for ledger in _ledgers(connection, publishes):
        try:
            verdict, step = _judge(connection, ledger, answers, only_say=only_say)
        except (UnknownService, redis.ResponseError) as exc:  # one job holds up no other
            yield ledger, _failed(ledger, exc)
            continue
        if step is None:
            yield ledger, verdict
        else:
            steps.append((ledger, connection.service(ledger.service), step))
    with connection.client.pipeline(transaction=False) as pipe:
        for _, _, step in steps:
            pipe.fcall(*step.command())
        replies = pipe.execute(raise_on_error=False)
    for (ledger, service, step), reply in zip(steps, replies, strict=True):
        if isinstance(reply, Exception):
            yield ledger, _failed(ledger, reply)
        else:
            yield ledger, step.parse(reply) if only_say else _tell(connection, ledger, service, step.parse(reply))


def _ledgers(connection: Connection, publishes: list[str]) -> list[Ledger]:
    with connection.client.pipeline(transaction=False) as pipe:
        for publish_id in publishes:
            pipe.hmget(connection.keys.job(publish_id), ["task_id", "seq", "service", "stream", "entry"])
        rows: list[Any] = pipe.execute()
    return [Ledger(publish_id, *row) for publish_id, row in zip(publishes, rows, strict=True)]


def _judge(connection: Connection, ledger: Ledger, answers: Answers, *, only_say: bool) -> tuple[str, FunctionCall[str] | None]:
    """The verdict about one open job, or the step that gives it."""
    keys = connection.keys
    if ledger.task_id is None:
        if not only_say:
            connection.client.zrem(keys.open_jobs, ledger.publish_id)
        return "", None
    each = connection.service(ledger.service)
    own = own_stream(connection, each, ledger.stream)
    names, last = answers.of(each)
    if ledger.publish_id in names or managing.unnamed(ledger.task_id, ledger.seq) in names:
        return "fine:answered", None
    if own is None and ledger.stream and ledger.entry and (only_say or _is_held_elsewhere(connection, each, ledger)):
        return "fine:elsewhere", None
    return "", managing.repair(
        keys,
        each,
        ledger.publish_id,
        task_id=ledger.task_id,
        attempt=int(ledger.seq),
        callback_stream=keys.stream(each.results),
        results_group=MANAGEMENT_CONSUMERS,
        max_deliveries=connection.settings.max_deliveries,
        stream=own,
        answered_up_to=last,
        only_say=only_say,
    )


def _tell(connection: Connection, ledger: Ledger, service: Service, verdict: str) -> str:
    if not verdict.startswith("fine"):
        logger.warning("task %s: its command, or its result, had vanished: %s", ledger.task_id, verdict)
        own = own_stream(connection, service, ledger.stream)
        connection.client.hset(connection.keys.job(ledger.publish_id), "stream", own or connection.keys.stream(service.command_stream()))
    return verdict


def _failed(ledger: Ledger, error: Exception) -> str:
    logger.warning("job %s can't be looked after: %s: %s", ledger.publish_id, type(error).__name__, error)
    return "failed"


def _is_held_elsewhere(connection: Connection, service: Service, ledger: Ledger) -> bool:
    """Whether a worker of an earlier configuration has the job: of a stream that the service had before it got its lanes, or lost one. What nobody holds is
    taken away there, so that it runs once.
    """
    stream, entry = str(ledger.stream), str(ledger.entry)
    rows: Any = connection.client.xrange(stream, entry, entry)
    if rows and rows[0][1].get("publish_id") != ledger.publish_id:
        return False
    held = queueing.holder(connection.client, stream, service.group, entry)
    if held is not None and held.idle_ms < LEASES_ELSEWHERE * connection.settings.lease_seconds * 1000:
        return True
    if rows:
        connection.client.xdel(stream, entry)
        with contextlib.suppress(redis.ResponseError):  # no group: no worker was ever there
            connection.client.xack(stream, service.group, entry)
    return False
