"""One server for Celery's messages, results and streams is killed while everything runs, as on a small machine."""

from __future__ import annotations

import pytest

from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_every_task_resolves_once_although_the_only_server_was(stack: Stack, own_server: EmbeddedServer, how: str) -> None:
    if not stack.processes:
        stack.celery()
        stack.bridge()
        stack.worker(concurrency=3)
    stack.start()
    celery = stack.processes["celery"]
    stack.redis.config_set("appendfsync", "always")
    results = [stack.send("sleep", seconds=0.2 * (number % 6)) for number in range(40)]
    wait_until(lambda: stack.states(results)["SUCCESS"] >= 5)
    stack.pause_when_the_broker_knows(celery, results)
    if how == "stopped":
        own_server.restart()
    else:
        own_server.kill()
        own_server.start()
    celery.resume()
    stack.wait_for_success_supervised(results)
    stack.wait_for_rest()
    assert stack.run_counts(results) == {1: 40}
    assert stack.dead_letters() == stack.superseded() == []
