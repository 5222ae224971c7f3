"""The server of streams and results goes away and comes back while everything runs: every task resolves, and its job counts once.

Celery's messages are on another server here, which stays: see `test_one_server_restarts` for what kombu makes of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery.result import AsyncResult

from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, broker: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), own_server, broker) as stack:
        stack.celery()
        stack.bridge()
        stack.worker(concurrency=3)
        stack.start()
        yield stack


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_every_task_resolves_once_although_the_server_was(stack: Stack, own_server: EmbeddedServer, how: str) -> None:
    stack.redis.config_set("appendfsync", "always")
    written = stack.results_written()
    linked = [AsyncResult(f"{how}{number}", app=stack.caller) for number in range(30)]
    results = [
        stack.task("sleep", seconds=0.2 * (number % 6)).apply_async(link=stack.task("echo", value="link").set(task_id=link.id))
        for number, link in enumerate(linked)
    ]
    wait_until(lambda: stack.states(results)["SUCCESS"] >= 5)
    running = {run.task_id for run in stack.runs()} - {result.id for result in results if stack.state(result) == "SUCCESS"}
    if how == "stopped":
        own_server.restart()
    else:
        own_server.kill()
        own_server.start()
    stack.wait_for_states([*results, *linked], "SUCCESS", timeout=60)
    stack.wait_for_rest()
    assert running
    assert stack.run_counts([*results, *linked]) == {1: 60}
    assert stack.dead_letters() == stack.superseded() == []
    assert stack.results_written() - written == 60


def test_a_job_outlasts_a_server_that_is_away_for_longer_than_a_lease(stack: Stack, own_server: EmbeddedServer) -> None:
    stack.redis.config_set("appendfsync", "always")
    job = stack.send("sleep", seconds=4, steps=40)
    run = stack.wait_for_run(job)
    stack.wait_for_states([job], "STARTED", "PROGRESS")
    own_server.kill()
    stack.processes["worker"].wait_for("no heartbeat")
    wait_until(lambda: stack.processes["worker"].log.count("no heartbeat") >= 3)
    own_server.start()
    assert stack.state(job) in {"STARTED", "PROGRESS"}
    stack.wait_for_states([job], "SUCCESS")
    stack.wait_for_rest()
    assert stack.runs(job) == [run]
