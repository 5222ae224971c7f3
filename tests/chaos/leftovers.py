"""What may not be left behind when all is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

import psutil

from streams.bus.topology import Keys
from tests.acceptance.stack import Stack
from tests.chaos.run_log import RunLog

EMPTY_AT_REST = {"open_jobs", "parked_jobs", "retrying_jobs"}
"""Properties of `Keys`: lists of jobs, of which there are none then."""


def keys_for_ever(stack: Stack) -> list[str]:
    """Keys without a TTL that aren't the streams themselves, or one of the few that there is one of in a deployment."""
    keys, redis = stack.keys, stack.redis
    allowed = {
        value for name, kind in vars(Keys).items() if isinstance(kind, property) and name not in EMPTY_AT_REST for value in [getattr(keys, name)]
    }
    for service in stack.caller.streams_connection.services:
        names = (*service.command_streams, service.results, service.status, service.dead_letters)
        allowed |= {*map(keys.stream, names), keys.fates(service.name)}
    every = [str(key) for key in redis.scan_iter(count=1_000)]
    pipeline: Any = redis.pipeline(transaction=False)
    for key in every:
        pipeline.ttl(key)
    return sorted(key for key, ttl in zip(every, pipeline.execute(), strict=True) if ttl == -1 and key not in allowed)


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
    """Processes that outlived the one that they belong to: what a killed process had started, and whatever has the run log's name in its environment without
    a process of the stack above it.
    """
    family = {each.pid for process in stack.processes.values() if process.running for each in process.family()}
    left = [each for process in stack.processes.values() for each in process.left_of_earlier_starts()]
    return sorted({_described(each) for each in (*left, *_with(str(stack.run_log))) if each.pid not in family})


def _described(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid}: {' '.join(process.cmdline())[:120]}"
    return f"{process.pid}"


def _with(mark: str) -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("TEST_RUN_LOG") == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
