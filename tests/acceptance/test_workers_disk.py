"""Disks that fill up: a worker without room takes no new jobs and says so, folders go when their time has come, logs stay below their limit. Real processes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Stack
from tests.waiting import wait_until

GIB = 2**30


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with EmbeddedServer() as server, Stack(tmp_path, server) as stack:
        yield stack


def told(stack: Stack, name: str) -> dict[str, Any]:
    """What is known of the first worker whose name begins so."""
    rows: dict[str, str] = stack.redis.hgetall(stack.keys.workers)  # type: ignore[assignment]
    return next((json.loads(row) for worker, row in rows.items() if worker.startswith(name)), {})


def test_a_worker_without_room_takes_no_job_and_says_so_and_another_does_it(stack: Stack) -> None:
    full = stack.worker("full", 1, ("--import", "tests.handlers", "-n", "full@%h"), MIN_FREE_DISK="1000TiB")
    stack.start(stack.celery(), stack.bridge(), full)
    result = stack.send("echo", value=1)
    full.wait_for("no new jobs are taken: JOBS_DIR has ")
    wait_until(lambda: "MIN_FREE_DISK" in told(stack, "full@").get("refuses", ""))
    stack.wait_for_states([result], "DISPATCHED")
    stack.start(stack.worker("roomy", 1, ("--import", "tests.handlers", "-n", "roomy@%h")))
    assert {"value": 1} == stack.get(result)
    assert told(stack, "roomy@").get("refuses") is None
    stats = stack.caller.control.inspect(timeout=5).stats()
    assert {True, False} == {bool(row["refuses"]) for row in stats.values() if "refuses" in row}


def test_a_worker_whose_disk_fills_up_stops_taking_jobs_and_goes_on_when_there_is_room(stack: Stack) -> None:
    free = shutil.disk_usage(stack.directory).free
    least = free - GIB  # of which others on this machine may take some meanwhile
    worker = stack.worker(MIN_FREE_DISK=str(least))
    stack.start(stack.celery(), stack.bridge(), worker)
    assert {"value": 1} == stack.get(stack.send("echo", value=1))
    filler = stack.directory / "filler"
    try:
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * GIB)
        worker.wait_for("no new jobs are taken: JOBS_DIR has ")
        waits = stack.send("echo", value=2)
        stack.wait_for_states([waits], "DISPATCHED")
    finally:
        filler.unlink()
    worker.wait_for("there is room on the disk again, jobs are taken")
    assert {"value": 2} == stack.get(waits)
    assert {1: 1} == stack.run_counts([waits])


def test_what_was_read_while_the_disk_filled_up_is_given_back(stack: Stack) -> None:
    least = shutil.disk_usage(stack.directory).free - GIB
    worker = stack.worker(MIN_FREE_DISK=str(least))
    stack.start(stack.celery(), stack.bridge(), worker)
    filler = stack.directory / "filler"

    def read_without_room() -> bool:
        """The worker stands still in the middle of a read (nearly all of its time is one) while its disk fills up and a command comes."""
        worker.pause()
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * GIB)
        result = stack.send("echo", value=3)
        stack.wait_for_states([result], "DISPATCHED")
        pending: Any = stack.redis.xpending(stack.lab.commands, stack.lab.group)
        worker.resume()
        try:
            if pending["pending"]:
                worker.wait_for("given back")
        finally:
            filler.unlink()
        assert {"value": 3} == stack.get(result)
        assert {1: 1} == stack.run_counts([result])
        return bool(pending["pending"])

    wait_until(read_without_room, 60)


def test_the_folder_of_a_job_goes_when_its_time_has_come_and_that_of_a_running_one_stays(stack: Stack) -> None:
    worker = stack.worker("worker", 2, WORKER_HOUSEKEEPING_SECONDS="0.3", JOBS_KEEP_DAYS="0", ARTIFACTS_KEEP_DAYS="0")
    stack.start(stack.celery(), stack.bridge(), worker)
    running = stack.send("sleep", seconds=60)
    stack.wait_for_run(running)
    done = stack.send("echo", value=1)
    stack.get(done)
    folder = stack.directory / "jobs"
    wait_until(lambda: not (folder / done.id).exists() and not (folder / ".records" / done.id).exists())
    assert (folder / running.id).is_dir()
    worker.crash()  # it may be taken up again: its folder stays for that
    worker.start()
    stack.wait_for_run(running, 2)
    assert (folder / running.id).is_dir()


def test_the_log_of_a_job_stays_below_its_limit(stack: Stack) -> None:
    stack.start(stack.celery(), stack.bridge(), stack.worker(JOB_LOG_MIB="0.05"))
    result = stack.send("noise", lines=20_000)
    stack.get(result)
    log = stack.directory / "jobs" / result.id / "job.log"
    text = log.read_text(errors="replace")
    assert log.stat().st_size < 60_000
    assert "bytes of this log were cut here: JOB_LOG_MIB limits it" in text
    assert 'not this one"} 0 ' in text
    assert "no newline at the end" in text
