"""What is left behind is found: a process whose parent was killed, a key that nobody will ever remove."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Stack
from tests.chaos.chaos_stack import open_stack
from tests.chaos.leftovers import keys_for_ever, orphan_jobs, orphans
from tests.chaos.run_log import JobRun, RunLog
from tests.waiting import wait_until

FORKS = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print('started', flush=True); time.sleep(600)"


def test_what_a_killed_process_had_started_is_an_orphan(tmp_path: Path) -> None:
    with EmbeddedServer() as server, Stack(tmp_path, server) as stack:
        process = stack.other("parent", ("-c", FORKS), ready="started")
        stack.start(process)
        assert orphans(stack) == []
        process.crash()
        assert len(orphans(stack)) == 1
        process.end()
        wait_until(lambda: not orphans(stack))


def test_a_process_of_our_environment_without_a_parent_in_the_stack_is_an_orphan(tmp_path: Path) -> None:
    with EmbeddedServer() as server, Stack(tmp_path, server) as stack:
        stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, "TEST_RUN_LOG": str(stack.run_log)})
        try:
            wait_until(lambda: [each for each in orphans(stack) if each.startswith(f"{stranger.pid}:")])
        finally:
            stranger.kill()
            stranger.wait()


def test_the_process_of_a_run_that_still_lives_is_an_orphan(tmp_path: Path) -> None:
    with EmbeddedServer() as server, Stack(tmp_path, server) as stack:
        run_log, born = RunLog(tmp_path / "runs"), psutil.Process().create_time()
        run_log.runs.append(JobRun("job", 1, 1, os.getpid(), born + 1, born + 2))
        assert orphan_jobs(stack, run_log) == [f"job: process {os.getpid()}"]
        run_log.runs = [JobRun("job", 1, 1, os.getpid(), born - 100, born - 99)]  # the pid was another's then
        assert orphan_jobs(stack, run_log) == []


def test_a_key_of_a_job_without_a_ttl_is_an_orphan_and_a_stream_is_not(tmp_path: Path) -> None:
    with open_stack(tmp_path) as stack:
        stack.redis.xadd(stack.lab.commands, {"type": "chaos.work"})
        stack.redis.hset(stack.keys.job("p1"), "phase", "closed")
        stack.redis.set(stack.keys.cancel_flag("t1"), "1", ex=60)
        stack.redis.zadd(stack.keys.open_jobs, {"p1": 1})
        assert keys_for_ever(stack) == [stack.keys.job("p1"), stack.keys.open_jobs]
