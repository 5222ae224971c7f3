"""`celery streams health`, `lag` and `metrics` of a real deployment: what they show, and the exit codes that a probe goes by."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from streams.bus.topology import MANAGEMENT_CONSUMERS
from tests.acceptance.stack import LAB, Process, Stack
from tests.waiting import wait_until

OK, DEGRADED, CRITICAL, CANT_BE_ASKED = 0, 1, 2, 3


@pytest.fixture(scope="module")
def worker(stack: Stack) -> Process:
    """One slot; the rest of the stack is up too."""
    stack.celery()
    stack.bridge()
    worker = stack.worker()
    stack.start()
    return worker


@pytest.fixture(autouse=True)
def at_rest(stack: Stack, worker: Process) -> Iterator[None]:
    """All is up and at rest, before and after."""
    yield
    stack.start(worker)
    stack.wait_for_rest()
    stack.redis.delete(LAB.dead_letters, stack.keys.parked_jobs)


def health(stack: Stack, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    done = stack.run_celery("streams", "health", "--json", *arguments, **environment)
    return done.returncode, json.loads(done.stdout)


def end(worker: Process) -> None:
    worker.terminate()
    assert worker.wait(20)


def kinds(found: dict[str, Any]) -> list[str]:
    return [reason["kind"] for reason in found["verdict"]["reasons"]]


def test_all_is_well_with_a_bridge_and_a_worker(stack: Stack) -> None:
    assert stack.get(stack.send("echo", value=1)) == {"value": 1}
    stack.wait_for_rest()
    code, found = health(stack)
    assert (code, found["verdict"]["level"], kinds(found)) == (OK, "ok", [])
    (lab,) = [service for service in found["snapshot"]["services"] if service["name"] == "lab"]
    assert (lab["workers"], lab["waiting"]["entries"], lab["running"], lab["open"]) == (1, 0, 0, 0)
    done = stack.run_celery("streams", "health")
    assert done.returncode == OK
    assert done.stdout.startswith("ok ")
    assert "lab" in done.stdout


def test_a_dead_letter_degrades_it_and_says_what_to_type(stack: Stack) -> None:
    result = stack.send("nobody_handles_this")
    stack.wait_for_states([result], "FAILURE")
    code, found = health(stack)
    assert (code, kinds(found)) == (DEGRADED, ["dead_letters"])
    (reason,) = found["verdict"]["reasons"]
    assert (reason["where"], reason["value"], reason["threshold"]) == ("lab", 1, 1)
    assert reason["to_type"] == "celery -A tasks streams dead list --service lab"
    assert "unknown_type 1" in reason["what"]
    assert "streams dead list" in stack.run_celery("streams", "health").stdout


def test_commands_that_wait_for_nobody_are_critical(stack: Stack, worker: Process) -> None:
    end(worker)
    before = stack.redis.xlen(LAB.commands)
    stack.send("echo", value=2)
    wait_until(lambda: stack.redis.xlen(LAB.commands) > before)
    code, found = health(stack)
    assert (code, kinds(found)) == (DEGRADED, ["no_worker"])  # for less than HEALTH_NOBODY_SECONDS
    wait_until(lambda: health(stack, HEALTH_NOBODY_SECONDS="1")[0] == CRITICAL)
    _, found = health(stack, HEALTH_NOBODY_SECONDS="1")
    assert found["verdict"]["level"] == "critical"
    assert found["verdict"]["reasons"][0]["to_type"] == "python -m workers lab"
    assert stack.run_celery("streams", "lag", HEALTH_NOBODY_SECONDS="1").returncode == CRITICAL
    assert stack.run_celery("streams", "metrics", HEALTH_NOBODY_SECONDS="1").returncode == OK  # numbers only


def test_a_bridge_that_has_nothing_to_do_is_alive(stack: Stack, worker: Process) -> None:
    end(worker)
    started = stack.redis.time()[0]
    wait_until(lambda: stack.redis.time()[0] > started + 6)  # Redis 7.0 doesn't count its reads that find nothing
    assert stack.redis.xinfo_consumers(LAB.results, MANAGEMENT_CONSUMERS)
    code, found = health(stack)
    assert (code, kinds(found)) == (OK, [])


def test_a_server_that_cannot_be_asked_is_told_in_one_sentence_without_its_password(stack: Stack) -> None:
    for noun in ("health", "lag", "metrics"):
        done = stack.run_celery("streams", noun, REDIS_URL="redis://:secret@127.0.0.1:1/0")
        assert done.returncode == CANT_BE_ASKED
        assert done.stdout == ""
        assert done.stderr.startswith("Error: Redis at redis://***@127.0.0.1:1/0 can't be asked (")
        assert "start it, or set REDIS_URL" in done.stderr
        assert "secret" not in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_threshold_that_is_no_number_names_its_variable(stack: Stack) -> None:
    done = stack.run_celery("streams", "health", HEALTH_WAITING="many")
    assert done.returncode == 2
    assert "HEALTH_WAITING: Input should be a valid integer" in done.stderr


def test_lag_after_an_xdel_is_what_is_there(stack: Stack, worker: Process) -> None:
    end(worker)
    before = stack.redis.xlen(LAB.commands)
    stack.send("echo", value=1)
    wait_until(lambda: stack.redis.xlen(LAB.commands) == before + 1)
    deleted = stack.redis.xadd(LAB.commands, {"type": "nobody's"})
    stack.send("echo", value=2)
    wait_until(lambda: stack.redis.xlen(LAB.commands) == before + 3)
    stack.redis.xdel(LAB.commands, str(deleted))
    done = stack.run_celery("streams", "lag", "--json", HEALTH_NOBODY_SECONDS="0")
    (row,) = [row for row in json.loads(done.stdout)["groups"] if row["stream"] == LAB.commands]
    assert (row["group"], row["lag"]["entries"], row["pending"], row["consumers_alive"]) == (LAB.group, 2, 0, 0)
    assert done.returncode == OK
    shown = stack.run_celery("streams", "lag").stdout
    assert LAB.group in shown


def test_metrics_show_queue_waits_and_throughput_of_the_jobs_that_ended(stack: Stack) -> None:
    for value in range(3):
        stack.get(stack.send("echo", value=value))
    stack.wait_for_rest()
    done = stack.run_celery("streams", "metrics", "--json")
    assert done.returncode == OK
    (lab,) = [service for service in json.loads(done.stdout)["services"] if service["name"] == "lab"]
    assert lab["times"]["finished"] >= 3
    assert lab["times"]["per_minute"] > 0
    assert 0 <= lab["times"]["queue_wait_p50_seconds"] <= lab["times"]["queue_wait_p95_seconds"]
    shown = stack.run_celery("streams", "metrics").stdout
    assert "jobs/min" in shown
    assert "maxmemory no limit, noeviction" in shown


def test_metrics_for_prometheus(stack: Stack) -> None:
    done = stack.run_celery("streams", "metrics", "--prometheus")
    assert done.returncode == OK
    assert "celery_streams_up 1.0\n" in done.stdout
    assert f'celery_streams_group_lag{{group="{LAB.group}",stream="{LAB.commands}"}} 0.0\n' in done.stdout


def test_watching_goes_on_until_ctrl_c_and_ends_with_the_last_verdict(stack: Stack) -> None:
    command = (sys.executable, "-m", "celery", "-A", "tests.bridged_app", "streams", "health", "--watch", "0.1", "--json")
    with subprocess.Popen(command, env=stack._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["verdict"]["level"] == "ok"
        stack.redis.zadd(stack.keys.parked_jobs, {"p1": 1})
        wait_until(lambda: watching.stdout is not None and json.loads(watching.stdout.readline())["verdict"]["level"] == "degraded")
        os.kill(watching.pid, signal.SIGINT)
        watching.stdout.read()
        assert watching.wait(20) == DEGRADED
        assert watching.stderr is not None
        assert "Traceback" not in watching.stderr.read()
