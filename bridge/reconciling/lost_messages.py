"""Open jobs whose command is on no stream, or whose result is gone before anybody resolved it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from bridge.connection import Connection
from bridge.maintenance.repairing import JOBS_AT_A_TIME, Answers, repair_jobs
from bridge.reconciling.problems import Kind, Problem
from bridge.reconciling.thresholds import ReconcilerSettings
from streams.bus import clock

_WHY: Final = {
    "lost": (
        Kind.COMMAND_LOST,
        "its command is neither on its stream nor with a worker, and it has no result: it was deleted, or its server came back without it",
    ),
    "result_lost": (Kind.RESULT_LOST, "a worker had sent its result, and that is gone from its stream although no bridge has resolved it"),
}


def lost_messages(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """What R13 would send again."""
    newest = clock.now_ms() - settings.settle_seconds * 1000
    publishes = [str(each) for each in connection.client.zrangebyscore(connection.keys.open_jobs, "-inf", newest)]
    answers = Answers(connection)
    for start in range(0, len(publishes), JOBS_AT_A_TIME):
        for ledger, verdict in repair_jobs(connection, publishes[start : start + JOBS_AT_A_TIME], answers, only_say=True):
            if verdict in _WHY:
                kind, why = _WHY[verdict]
                to_do = "send it again; that counts as a delivery (R13)"
                yield Problem(kind, f"task {ledger.task_id}", why, to_do, partial(_repair, connection, ledger.publish_id))


def _repair(connection: Connection, publish_id: str) -> str:
    return next((verdict for _, verdict in repair_jobs(connection, [publish_id], Answers(connection))), "") or "it has ended meanwhile"
