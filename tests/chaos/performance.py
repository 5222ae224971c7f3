"""One whole run: plan, system, driver, judge."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.local_stack.process import REPOSITORY
from tests.chaos import faults, workload
from tests.chaos.chaos_stack import ChaosStack, open_stack
from tests.chaos.driver import Driver
from tests.chaos.facts import facts_of
from tests.chaos.faults import Harm, Part
from tests.chaos.judging import judge
from tests.chaos.leftovers import keys_for_ever, orphan_jobs, orphans
from tests.chaos.noticing import notices
from tests.chaos.report import Report
from tests.chaos.run_log import lives_after_waking, overlaps
from tests.waiting import wait_until

SETTLE_SECONDS = 180.0
GONE_SECONDS = 10.0


def perform(
    directory: Path,
    *,
    seed: int,
    jobs: int,
    number_of_faults: int,
    seconds: float,
    command: str,
    say: Callable[[str], None],
    binary: Path | None = None,
) -> Report:
    """Run it all.

    Args:
        directory: for logs, data and jobs; empty.
        seed: decides what is sent and what goes wrong, and when; not how fast the machine is.
        jobs: at least so many.
        number_of_faults: so many.
        seconds: that both are spread over.
        command: that was given, for the page.
        say: told how it goes.
        binary: of the server; the default one when None.
    """
    began = time.monotonic()
    units = workload.Planner(seed).plan(jobs, seconds)
    with open_stack(directory, binary) as stack:
        driver = Driver(stack, units, faults.plan(seed, number_of_faults, seconds), seed, say)
        driver.run(SETTLE_SECONDS)
        report = _report(stack, driver, directory, seed=seed, seconds=seconds, command=command)
        report["orphan_processes"] += _after_the_end(stack)
    return Report(**report, whole_seconds=time.monotonic() - began)


def _report(stack: ChaosStack, driver: Driver, directory: Path, *, seed: int, seconds: float, command: str) -> dict[str, Any]:
    ids = [job.id for unit in driver.units for job in unit.all_jobs]
    happened, server = driver.happened, stack.redis.info("server")
    return {
        "command": command,
        "seed": seed,
        "commit": _commit(),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "server": f"{server.get('server_name', 'redis')} {server.get('valkey_version') or server['redis_version']}",
        "faults_seconds": seconds,
        "judged": judge(
            driver.units,
            facts_of(
                stack,
                driver.outcomes,
                ids,
                cancel_answers=happened.cancel_answers,
                redrives=happened.redrives,
                runs=Counter(run.task_id for run in driver.run_log.runs),
            ),
        ),
        "units": Counter(unit.kind for unit in driver.units),
        "struck": happened.struck,
        "orphan_processes": _settled(lambda: orphan_jobs(stack, driver.run_log) + orphans(stack)),
        "orphan_keys": keys_for_ever(stack),
        "left": stack.left(),
        "ended_by_themselves": happened.ended_by_themselves,
        "runs": len(driver.run_log.runs),
        "overlaps": overlaps(driver.run_log.runs),
        "lives_after_waking": _lives_after_waking(driver),
        "notices": notices(sorted((directory / "log").iterdir())),
        "redriven": happened.redrives.total(),
        "discarded": len(happened.discarded),
    }


def _lives_after_waking(driver: Driver) -> list[float]:
    stopped = [each for each in driver.happened.struck if each.fault.kind == (Part.WORKER, Harm.STOP) and each.ended is not None]
    return [life for each in stopped for life in lives_after_waking(driver.run_log.runs, each.pids, each.began, each.ended or 0.0)]


def _after_the_end(stack: ChaosStack) -> list[str]:
    """What stays when every process was asked to end."""
    hanging = [f"{name} doesn't end" for name in stack.end_in_order()]
    return hanging + _settled(lambda: orphans(stack))


def _settled(look: Callable[[], list[str]]) -> list[str]:
    """What is still there after a while: a process that just ended may be there for a moment."""
    try:
        wait_until(lambda: not look(), GONE_SECONDS)
    except AssertionError:
        return look()
    return []


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!docs/chaos.md")
    return f"{git('rev-parse', '--short', 'HEAD') or 'unknown'}{' and changes' if changed else ''}"
