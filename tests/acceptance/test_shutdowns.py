"""Warm and cold shutdown of each part with jobs in flight: nothing is lost, each task ends once, its link runs once, and no process is left behind.

`lab.held` stays at a step (in a Celery worker: the dispatch; in a bridge: handlers before and after its outcome is stored) until its file is there.
"""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest
from celery.result import AsyncResult

from tests.acceptance.stack import GONE_SECONDS, Process, Stack
from tests.waiting import wait_until

JOBS = 3
AT_ONCE_SECONDS = 8


class Jobs:
    """Some held tasks, each with a bridged link."""

    def __init__(self, stack: Stack, file: Path, at: str) -> None:
        self.stack, self.file, self.at = stack, file, at
        self.linked = [AsyncResult(f"link-{file.parent.name}-{number}", app=stack.caller) for number in range(JOBS)]
        self.sent = [
            stack.task("held", at=at, until=str(file)).apply_async(link=stack.task("echo", value="link").set(task_id=link.id)) for link in self.linked
        ]

    def steps(self) -> Counter[str]:
        """How often each was come to, by any of them."""
        steps = Path(f"{self.file}.steps")
        return Counter(line.split()[1] for line in steps.read_text().splitlines()) if steps.exists() else Counter()

    def wait_until_held(self, number: int = JOBS) -> None:
        wait_until(lambda: self.steps()[self.at] >= number)

    def release(self) -> None:
        self.file.touch()

    def check_ends(self) -> None:
        """All have succeeded, with their links, each after one run."""
        self.stack.wait_for_states([*self.sent, *self.linked], "SUCCESS")
        assert [self.stack.get(result) for result in self.sent] == [{"value": self.at}] * JOBS
        self.stack.wait_for_rest()
        assert self.stack.run_counts([*self.sent, *self.linked]) == {1: 2 * JOBS}
        assert self.stack.superseded() == []


def end(process: Process, number: signal.Signals | None, family: list[psutil.Process]) -> None:
    """Send the signal, if one is still to be sent, and wait until it and all that it started are gone."""
    if number is not None:
        psutil.Process(process.pid).send_signal(number)
    if number is signal.SIGQUIT and process.name in {"celery", "bridge"} and not process.wait(AT_ONCE_SECONDS):
        # Celery's handler sends events, and waits for ever when the signal has come amid one (EventDispatcher.mutex): the third signal ends it by force.
        for _ in range(2):
            psutil.Process(process.pid).send_signal(number)
            process.wait(1)
    assert process.wait(AT_ONCE_SECONDS), process.log_tail()
    wait_until(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family), GONE_SECONDS, "no process is left")


@pytest.fixture(autouse=True)
def _running(stack: Stack) -> None:
    if not stack.processes:
        stack.celery()
        stack.bridge()
        stack.worker(concurrency=4)
        stack.worker("other", concurrency=4)
    stack.start(*(process for name, process in stack.processes.items() if name != "other"))


# ------------------------------------------------------------------------------------------------------------------------------- Celery worker


def test_a_celery_worker_ends_warm_after_the_dispatch_that_it_is_at(stack: Stack, tmp_path: Path) -> None:
    celery = stack.processes["celery"]
    jobs = Jobs(stack, tmp_path / "go", "dispatch")
    jobs.wait_until_held(1)
    family = celery.family()
    celery.terminate()
    celery.wait_for("Warm shutdown")
    jobs.release()
    end(celery, None, family)
    assert celery.returncode == 0
    assert jobs.steps()["dispatch"] == 1
    stack.wait_for_states(jobs.sent[:1], "SUCCESS")
    assert stack.states(jobs.sent[1:]) == {"PENDING": JOBS - 1}
    stack.start(celery)
    jobs.check_ends()
    assert jobs.steps() == {"dispatch": JOBS, "before_start": JOBS, "on_success": JOBS}


def test_a_celery_worker_ends_cold_and_the_next_one_dispatches_anew(stack: Stack, tmp_path: Path) -> None:
    celery = stack.processes["celery"]
    jobs = Jobs(stack, tmp_path / "go", "dispatch")
    jobs.wait_until_held(1)
    end(celery, signal.SIGQUIT, celery.family())
    assert stack.states(jobs.sent) == {"PENDING": JOBS}
    jobs.release()
    stack.start(celery)
    jobs.check_ends()
    assert jobs.steps()["on_success"] == JOBS


# -------------------------------------------------------------------------------------------------------------------------------------- bridge


@pytest.mark.parametrize("at", ["before_start", "on_success"])
def test_a_bridge_ends_warm_after_the_results_that_it_is_at(stack: Stack, tmp_path: Path, at: str) -> None:
    bridge = stack.processes["bridge"]
    jobs = Jobs(stack, tmp_path / "go", at)
    jobs.wait_until_held()
    family = bridge.family()
    bridge.terminate()
    bridge.wait_for("Warm shutdown")
    jobs.release()
    end(bridge, None, family)
    assert bridge.returncode == 0
    assert stack.states(jobs.sent) == {"SUCCESS": JOBS}
    stack.start(bridge)
    jobs.check_ends()
    assert jobs.steps() == {"dispatch": JOBS, "before_start": JOBS, "on_success": JOBS}


@pytest.mark.parametrize("at", ["before_start", "on_success"])
def test_a_bridge_ends_cold_and_the_next_one_resolves_anew(stack: Stack, tmp_path: Path, at: str) -> None:
    bridge = stack.processes["bridge"]
    jobs = Jobs(stack, tmp_path / "go", at)
    jobs.wait_until_held()
    end(bridge, signal.SIGQUIT, bridge.family())
    assert bridge.returncode == 1  # as Celery's
    assert jobs.steps()[at] == JOBS
    jobs.release()
    stack.start(bridge)
    jobs.check_ends()
    assert jobs.steps() == {"dispatch": JOBS, "before_start": 2 * JOBS, "on_success": JOBS if at == "before_start" else 2 * JOBS}


# ------------------------------------------------------------------------------------------------------------------------------- stream worker


@pytest.mark.parametrize("how", ["SIGTERM", "twice", "SIGQUIT", "SIGKILL"])
def test_a_stream_worker_ends_with_jobs_of_each_kind_in_flight(stack: Stack, how: str) -> None:
    worker, other = stack.processes["worker"], stack.processes["other"]
    linked = [AsyncResult(f"link-{how}-{number}", app=stack.caller) for number in range(4)]
    sent = [
        stack.task(name, seconds=2.5).apply_async(link=stack.task("echo", value="link").set(task_id=link.id))
        for name, link in zip(("sleep", "async_nap", "thread_nap", "inline_nap"), linked, strict=True)
    ]
    for job in sent:
        stack.wait_for_run(job)
    family = worker.family()
    if how in {"SIGTERM", "twice"}:
        worker.terminate()
        worker.wait_for("draining: 4 jobs")
    more = {"SIGTERM": None, "twice": signal.SIGTERM, "SIGQUIT": signal.SIGQUIT, "SIGKILL": signal.SIGKILL}
    end(worker, more[how], family)
    stack.start(other)
    stack.wait_for_states([*sent, *linked], "SUCCESS")
    stack.wait_for_rest()
    assert stack.run_counts(linked) == {1: 4}
    assert [max(run.delivery for run in stack.runs(job)) for job in sent] == [2 if how == "SIGKILL" else 1] * 4
    assert stack.run_counts(sent) == {1 if how == "SIGTERM" else 2: 4}
    assert stack.superseded() == []
    assert worker.returncode == (-signal.SIGKILL if how == "SIGKILL" else 0)
    other.terminate()
    assert other.wait(AT_ONCE_SECONDS)
