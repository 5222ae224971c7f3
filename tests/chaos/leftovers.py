"""What may not be left behind when all is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

import psutil

from tests.acceptance.stack import LAB, Stack
from tests.chaos.run_log import RunLog


def keys_for_ever(stack: Stack) -> list[str]:
    """Keys without a TTL that aren't the streams themselves, what became of their dead letters, the list of workers, or that of the last closed jobs."""
    keys, redis = stack.keys, stack.redis
    streams = {
        *map(keys.stream, (*LAB.command_streams, LAB.results, LAB.status, LAB.dead_letters)),
        keys.superseded,
        keys.workers,
        keys.closed_jobs,
        keys.fates(LAB.name),
    }
    for service in stack.caller.streams_connection.services:
        streams |= {keys.stream(name) for name in (*service.command_streams, service.results, service.status, service.dead_letters)}
    every = [str(key) for key in redis.scan_iter(count=1_000)]
    pipeline: Any = redis.pipeline(transaction=False)
    for key in every:
        pipeline.ttl(key)
    return sorted(key for key, ttl in zip(every, pipeline.execute(), strict=True) if ttl == -1 and key not in streams)


def orphan_jobs(stack: Stack, run_log: RunLog) -> list[str]:
    """Processes of jobs that have ended, or whose worker is gone. A pid that was given to another process meanwhile is no orphan: it began later."""
    found = []
    for run in run_log.runs:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(run.pid)
            if process.create_time() <= run.started_at and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{run.task_id}: process {run.pid}")
    return sorted(set(found))


def orphans(stack: Stack) -> list[str]:
    """Processes of ours that no process of the stack is above of, told by the run log's name in their environment."""
    mark, family = str(stack.run_log), {each.pid for process in stack.processes.values() if process.running for each in process.family()}
    return [f"{each.pid}: {' '.join(each.cmdline())[:120]}" for each in _with(mark) if each.pid not in family]


def _with(mark: str) -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("TEST_RUN_LOG") == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
