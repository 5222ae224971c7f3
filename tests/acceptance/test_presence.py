"""A stream worker says that it is there, on its service's status stream, and the bridge takes no offence."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import pytest

from streams.bus.topology import service
from streams.jobs.messages import WorkerStatus, WorkerStatusKind
from tests.acceptance.stack import LAB, Process, Stack
from tests.waiting import wait_until

NAME = f"gpu@{socket.gethostname()}"


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge()
    stack.worker(concurrency=2, imports=("--import", "tests.handlers", "-n", "gpu@%h"), WORKER_HEARTBEAT_SECONDS="0.3")
    stack.start()


@pytest.fixture
def worker(stack: Stack) -> Process:
    return stack.processes["worker"]


def told(stack: Stack) -> list[WorkerStatus]:
    rows: Any = stack.patiently(lambda: stack.redis.xrange(LAB.status))
    return [WorkerStatus.from_redis_dict(fields) for _, fields in rows if fields["kind"].startswith("worker_")]


def test_it_says_what_it_is(stack: Stack, worker: Process) -> None:
    wait_until(lambda: [status.kind for status in told(stack)][:3] == ["worker_online", "worker_heartbeat", "worker_heartbeat"])
    first = told(stack)[0]
    assert (first.worker, first.pid, first.concurrency, first.active, first.processed, first.freq) == (NAME, worker.pid, 2, 0, 0, 0.3)
    assert "test.echo" in first.task_types
    assert first.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "celery-streams-bridge" in first.versions
    assert len(first.load) == 3


def test_it_counts_what_runs_and_what_has_ended(stack: Stack) -> None:
    results = [stack.send("sleep", seconds=1), stack.send("sleep", seconds=1), stack.send("fail")]
    wait_until(lambda: told(stack)[-1].active == 2)
    assert stack.get(results[0]) == {"slept": 1}
    wait_until(lambda: (told(stack)[-1].active, told(stack)[-1].processed) == (0, 3))
    stack.wait_for_rest()


def test_the_task_tells_of_the_worker_by_its_name(stack: Stack) -> None:
    result = stack.send("sleep", seconds=1)
    wait_until(lambda: stack.state(result) in {"STARTED", "PROGRESS"})
    info = result.info
    assert NAME in {info.get("hostname"), info.get("worker")}
    stack.get(result)


@pytest.mark.parametrize("name", [NAME, f"celery@{socket.gethostname()}"])
def test_a_worker_of_another_service_cant_pass_for_it_or_for_a_celery_worker(stack: Stack, name: str) -> None:
    wait_until(lambda: stack.redis.hget(stack.keys.workers, NAME))
    forged = WorkerStatus(kind=WorkerStatusKind.HEARTBEAT, worker=name, pid=1, concurrency=99, freq=60)
    fields: dict[Any, Any] = {**forged.to_redis_dict()}
    stack.redis.xadd(service("backtesting").status, fields)
    stack.processes["bridge"].wait_for(f"a backtesting worker calls itself {name}")
    rows: Any = stack.redis.hgetall(stack.keys.workers)
    assert {NAME: ("lab", 2)} == {node: (json.loads(row)["service"], int(json.loads(row)["concurrency"])) for node, row in rows.items()}


def test_it_says_so_when_it_ends_and_when_it_is_back(stack: Stack, worker: Process) -> None:
    worker.terminate()
    assert worker.wait(5)
    assert told(stack)[-1].kind == "worker_offline"
    stack.start(worker)
    wait_until(lambda: "worker_heartbeat" in [status.kind for status in told(stack) if status.pid == worker.pid])
    stack.wait_for_rest()
    assert "is dropped" not in stack.processes["bridge"].log


def test_a_server_that_is_away_costs_nothing_but_the_news(stack: Stack, worker: Process) -> None:
    stack.server.stop()
    worker.wait_for("trying again")
    stack.server.start()
    seen = len(told(stack))
    wait_until(lambda: len(told(stack)) > seen)
    assert "isn't sent" not in worker.log
    assert worker.running
