"""Celery's `control` and `status` reach stream workers, through a bridge: with Celery's own command line, and from Python."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from tests.acceptance.stack import Process, Stack
from tests.waiting import wait_until

HEARTBEAT = "0.3"
NAME = f"gpu@{socket.gethostname()}"
IMPORTS = ("--import", "tests.handlers", "-n", "gpu@%h")
PATIENCE = ("--timeout", "4")


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge("one")
    stack.bridge("two")
    stack.worker(imports=IMPORTS, WORKER_HEARTBEAT_SECONDS=HEARTBEAT)
    stack.worker("namesake", imports=IMPORTS, WORKER_HEARTBEAT_SECONDS=HEARTBEAT)
    stack.start(*(process for name, process in stack.processes.items() if name != "namesake"))


@pytest.fixture
def worker(stack: Stack, _running: None) -> Process:
    """Known to the bridges."""
    worker = stack.processes["worker"]
    stack.start(worker)
    wait_until(lambda: stats(stack).get("pid") == worker.pid)
    return worker


def stats(stack: Stack) -> dict[str, Any]:
    told = stack.caller.control.inspect(timeout=2, destination=[NAME]).stats() or {}
    return dict(told.get(NAME, {}))


def at_a_time(stack: Stack) -> int:
    return int(stats(stack)["pool"]["max-concurrency"])


def told(stack: Stack, *arguments: str) -> dict[str, Any]:
    """What `celery control` or `celery inspect` says of the worker."""
    command, *rest = arguments
    said = stack.run_celery(command, *PATIENCE, "--destination", NAME, "--json", *rest)
    assert said.returncode == 0, said
    answers = json.loads(said.stdout)
    answers = answers if isinstance(answers, dict) else {name: answer for each in answers for name, answer in each.items()}
    assert list(answers) == [NAME]
    return answers[NAME]  # type: ignore[no-any-return]


@pytest.mark.usefixtures("worker")
def test_status_lists_the_stream_worker(stack: Stack) -> None:
    said = stack.run_celery("status", "--timeout", "2")
    assert said.returncode == 0, said
    for name in (NAME, *(f"{each}@{socket.gethostname()}" for each in ("celery", "one", "two"))):
        assert f"{name}: OK" in said.stdout
    assert "4 nodes online" in said.stdout


@pytest.mark.usefixtures("worker")
def test_inspect_active_of_one_stream_worker(stack: Stack) -> None:
    job = stack.send("sleep", seconds=60)
    stack.wait_for_run(job)
    [active] = told(stack, "inspect", "active")
    assert (active["id"], active["hostname"]) == (job.id, NAME)  # type: ignore[index]
    stack.caller.control.revoke(job.id, terminate=True, destination=[NAME])
    stack.wait_for_states([job], "REVOKED")
    stack.wait_for_rest()


@pytest.mark.usefixtures("worker")
def test_terminate_by_the_command_line_stops_a_job(stack: Stack) -> None:
    job = stack.send("sleep", seconds=60)
    stack.wait_for_run(job)
    assert stack.run_celery("control", "--timeout", "1", "terminate", "SIGTERM", job.id).returncode == 0
    stack.wait_for_states([job], "REVOKED")
    stack.wait_for_rest()


@pytest.mark.usefixtures("worker")
def test_a_rate_limit_is_the_celery_workers(stack: Stack) -> None:
    assert "Celery workers keep it" in told(stack, "control", "rate_limit", "lab.echo", "10/m")["error"]
    celery = [f"celery@{socket.gethostname()}"]
    stack.caller.control.rate_limit("lab.echo", "2/s", destination=celery, reply=True, timeout=5)
    try:
        results = [stack.send("echo", value=number) for number in range(4)]
        stack.wait_for_states(results, "SUCCESS")
        assert stack.runs(results[-1])[0].at - stack.runs(results[0])[0].at > 1
    finally:
        stack.caller.control.rate_limit("lab.echo", "0", destination=celery, reply=True, timeout=5)
    stack.wait_for_rest()


def test_it_runs_more_and_fewer_jobs_at_a_time(stack: Stack, worker: Process) -> None:
    jobs = [stack.send("sleep", seconds=60) for _ in range(3)]
    stack.wait_for_run(jobs[0])
    stack.caller.control.pool_grow(2, destination=[NAME])  # wants no answer, and both bridges hear it
    for job in jobs:
        stack.wait_for_run(job)
    wait_until(lambda: at_a_time(stack) == 3)
    assert worker.log.count("as remote control asks") == 1
    assert told(stack, "control", "pool_shrink", "2") == {"ok": "pool will shrink"}
    worker.wait_for("1 at a time from now on")
    wait_until(lambda: at_a_time(stack) == 1)
    for job in jobs[:2]:
        job.revoke(terminate=True)
    stack.wait_for_states(jobs[:2], "REVOKED")
    waiting = stack.send("echo", value=1)
    wait_until(lambda: stack.state(waiting) == "DISPATCHED")
    assert stack.runs(waiting) == []
    assert "may run 1 to 256" in told(stack, "control", "pool_shrink")["error"]
    jobs[2].revoke(terminate=True)
    assert stack.get(waiting) == {"value": 1}
    stack.wait_for_rest()


@pytest.mark.usefixtures("worker")
def test_what_it_cannot_do_is_said(stack: Stack) -> None:
    for command in (("autoscale", "3", "1"), ("pool_restart",), ("add_consumer", "other")):
        assert f"{command[0]}: a stream worker can't do that" in told(stack, "control", *command)["error"]


def test_shutdown_drains_it_and_a_new_one_of_its_name_stays(stack: Stack, worker: Process) -> None:
    job = stack.send("sleep", seconds=3)
    stack.wait_for_run(job)
    assert told(stack, "control", "shutdown") == {"ok": "the stream worker will drain and end"}
    worker.wait_for("draining: 1 jobs")
    stack.caller.control.shutdown(destination=[NAME])  # a second one doesn't hand the job back
    assert stack.get(job) == {"slept": 3}
    assert worker.wait(5)
    assert worker.returncode == 0
    stack.start(worker)
    wait_until(lambda: stats(stack).get("pid") == worker.pid)
    assert stack.get(stack.send("echo", value=1)) == {"value": 1}
    assert worker.running
    assert [run.delivery for run in stack.runs(job)] == [1]
    stack.wait_for_rest()


def test_an_order_for_a_process_that_died_does_not_stop_the_next(stack: Stack, worker: Process) -> None:
    worker.pause()
    assert "ok" in told(stack, "control", "shutdown")
    worker.crash()
    stack.start(worker)
    wait_until(lambda: stats(stack).get("pid") == worker.pid)
    time.sleep(2 * float(HEARTBEAT))  # an order would be heard by now
    assert worker.running
    assert "Got shutdown" not in worker.log


def test_two_of_one_name_on_one_host_are_warned(stack: Stack, worker: Process) -> None:
    namesake = stack.processes["namesake"]
    stack.start(namesake)
    for one, other in ((worker, namesake), (namesake, worker)):
        one.wait_for(f"another process (pid {other.pid}) is called {NAME} too")
        assert "a name of its own with -n" in one.log
    namesake.terminate()
    assert namesake.wait(5)
    assert worker.log.count("is called") == 1


def test_one_that_was_killed_and_started_again_warns_of_nobody(stack: Stack, worker: Process) -> None:
    worker.crash()
    stack.start(worker)
    wait_until(lambda: stats(stack).get("pid") == worker.pid)
    assert "is called" not in worker.log


def test_shutdown_without_a_destination_stops_every_node(stack: Stack, worker: Process) -> None:
    job = stack.send("sleep", seconds=2)
    stack.wait_for_run(job)
    stack.caller.control.shutdown()
    for name in ("celery", "one", "two", "worker"):
        assert stack.processes[name].wait(20), name
        assert stack.processes[name].returncode == 0
    stack.start(stack.processes["one"], stack.processes["celery"], worker)
    assert stack.get(job) == {"slept": 2}
    assert len(stack.runs(job)) == 1
    stack.wait_for_rest()
