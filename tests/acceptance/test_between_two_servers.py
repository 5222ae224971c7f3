"""Broker and streams on two servers: standing one of them still holds a process exactly where it must not die."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import chord
from celery.result import AsyncResult
from redis import Redis

from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, broker: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), own_server, broker) as stack:
        stack.celery()
        stack.bridge()
        stack.worker(concurrency=2, STREAMS_MAX_DELIVERIES="2")
        stack.start()
        yield stack


@contextmanager
def standing_still(server: EmbeddedServer) -> Iterator[None]:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_celery_worker_killed_between_delivery_and_dispatch(stack: Stack, own_server: EmbeddedServer) -> None:
    celery = stack.processes["celery"]
    # A new one: its pool process has no connection to the streams yet, and can't have sent anything.
    celery.crash()
    stack.start(celery)
    celery.pause()
    result = stack.send("echo", value=1)
    with standing_still(own_server):
        celery.resume()

        def accepted() -> bool:
            active: dict[str, list[dict[str, Any]]] = stack.caller.control.inspect(timeout=0.5).active() or {}
            return result.id in [request["id"] for requests in active.values() for request in requests]

        wait_until(accepted)
        celery.crash()
        celery.end()
    assert stack.state(result) == "PENDING"
    assert not stack.redis.exists(stack.keys.task(result.id))
    stack.start(celery)
    assert stack.get(result) == {"value": 1}
    stack.wait_for_rest()
    assert len(stack.runs(result)) == 1


def test_a_bridge_killed_while_it_holds_the_claim_of_a_chord(stack: Stack, broker: EmbeddedServer) -> None:
    """Celery ignores a part that comes back while a dead bridge's claim stands: the part must be brought again until it doesn't."""
    bridge = stack.processes["bridge"]
    body = chord([stack.task("echo", value=1), stack.task("sleep", seconds=1.5, steps=1)], stack.task("echo", value="body"), app=stack.caller)()
    short, long = body.parent.results
    stack.get(short)
    stack.wait_for_states([long], "PROGRESS")
    group_id = body.parent.id
    claim = stack.caller.backend.get_key_for_group(group_id, ".c")
    with standing_still(broker):
        wait_until(lambda: stack.redis.exists(claim))
        bridge.crash()
    assert stack.redis.get(claim) != "done"
    assert stack.state(body) == "PENDING"
    stack.start(bridge)
    assert stack.get(body) == {"value": "body"}
    bridge.wait_for(f"the body of its chord {group_id} isn't sent yet")
    stack.wait_for_rest()
    assert stack.run_counts([short, long, body]) == {1: 3}


def test_a_bridge_killed_while_it_sends_a_link(stack: Stack, broker: EmbeddedServer) -> None:
    bridge = stack.processes["bridge"]
    job = stack.task("sleep", seconds=1.5, steps=1).apply_async(
        link=[stack.task("echo", value=number).set(task_id=f"link{number}") for number in range(3)]
    )
    stack.wait_for_states([job], "PROGRESS")
    with standing_still(broker):
        wait_until(lambda: stack.results_of(job))
        [publish] = [result["publish_id"] for result in stack.results_of(job)]
        wait_until(lambda: stack.redis.hget(stack.keys.job(publish), "winner"))
        bridge.crash()
    assert stack.state(job) == "PROGRESS"
    stack.start(bridge)
    assert stack.get(job) == {"slept": 1.5}
    wait_until(lambda: len([run for run in stack.runs() if run.task_id.startswith("link")]) >= 3)
    stack.wait_for_rest()
    assert sorted(run.task_id for run in stack.runs() if run.task_id.startswith("link")) == ["link0", "link1", "link2"]


@contextmanager
def out_of_memory(client: Redis) -> Iterator[None]:
    """The server refuses what would take memory, and answers everything else."""
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        client.config_set("maxmemory", "0")


def test_a_job_whose_link_can_not_be_sent_does_not_fail(stack: Stack) -> None:
    link = AsyncResult("late-link", app=stack.caller)
    job = stack.task("sleep", seconds=1.5, steps=1).apply_async(link=stack.task("echo", value="link").set(task_id=link.id))
    stack.wait_for_states([job], "PROGRESS")
    with out_of_memory(stack.broker):
        stack.processes["bridge"].wait_for(f"task {job.id}: its result")
        assert stack.state(job) == "PROGRESS"
    assert stack.get(job) == {"slept": 1.5}
    assert stack.get(link) == {"value": "link"}
    stack.wait_for_rest()
    assert stack.run_counts([job, link]) == {1: 2}


def test_a_chord_whose_body_can_not_be_sent_does_not_fail(stack: Stack) -> None:
    body = chord([stack.task("echo", value=1), stack.task("sleep", seconds=1.5, steps=1)], stack.task("echo", value="body"), app=stack.caller)()
    last = body.parent.results[1]
    stack.wait_for_states([last], "PROGRESS")
    with out_of_memory(stack.broker):
        stack.processes["bridge"].wait_for(f"task {last.id}: its result")
        assert stack.state(body) == "PENDING"
    assert stack.get(body) == {"value": "body"}
    stack.wait_for_rest()
    assert stack.run_counts([*body.parent.results, body]) == {1: 3}


def test_a_job_whose_retry_can_not_be_sent_is_retried_later(stack: Stack) -> None:
    job = stack.send("retried", failures=2)
    stack.wait_for_run(job)  # the second comes a second later, and is a dead letter
    with out_of_memory(stack.broker):
        stack.processes["bridge"].wait_for(f"task {job.id}: its result")
    assert stack.get(job) == {"runs": 3}
    stack.wait_for_rest()
    assert [(run.attempt, run.delivery) for run in stack.runs(job)] == [(1, 1), (1, 2), (2, 1)]


def test_results_that_a_bridge_had_read_when_the_server_died_are_resolved(stack: Stack, own_server: EmbeddedServer) -> None:
    """With a broker that stays: Celery doesn't start the bridge's reading anew then."""
    stack.redis.config_set("appendfsync", "always")
    for _ in range(2):
        stack.processes["bridge"].pause()
        results = [stack.send("echo", value=number) for number in range(60)]
        wait_until(lambda: len(stack.results_of(*results)) == len(results))  # noqa: B023 - called at once
        stack.processes["bridge"].resume()
        wait_until(lambda: stack.states(results)["SUCCESS"] >= random.randint(1, 40))  # noqa: B023
        own_server.kill()
        own_server.start()
        stack.wait_for_states(results, "SUCCESS")
        stack.wait_for_rest()
    assert stack.superseded() == []
