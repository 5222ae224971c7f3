"""A bridge that is killed in the middle of its upkeep: nothing is lost, and the next one does it. Real processes, SIGKILL at the named step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Process, Stack
from tests.waiting import wait_until

INTERVALS = {f"BRIDGE_{name}_SECONDS": "1" for name in ("TRIM", "MEMORY", "REPAIR", "GHOSTS", "CONSUMERS", "DEAD_LETTERS", "TOMBSTONES")}
STEPS = {
    "trim": "trim",
    "sweep_ghosts": "ghosts",
    "delete_consumers": "consumers",
    "purge_dead": "dead_letters",
    "expire_jobs": "tombstones",
    "answered": "repair",
}
"""Functions, and the work each belongs to."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("stack")
    with EmbeddedServer() as server, Stack(directory, server, None, BRIDGE_DEAD_LETTER_DAYS="0.0000001", **INTERVALS) as stack:
        stack.start(stack.celery(), stack.bridge(TEST_STOP_FILE=str(directory / "stop")), stack.worker())
        yield stack


@pytest.fixture
def bridge(stack: Stack) -> Process:
    return stack.processes["bridge"]


def done_at(stack: Stack, work: str) -> str:
    noted: Any = stack.redis.hget(stack.keys.upkeep, work)
    return str(json.loads(noted)["at"]) if noted else ""


@pytest.mark.chaos
@pytest.mark.parametrize("point", [*(f"before {step}" for step in STEPS), *(f"after {step}" for step in STEPS), "after take_turn"])
def test_the_next_one_does_it_and_jobs_end_as_ever(stack: Stack, bridge: Process, point: str) -> None:
    step = point.split()[1]
    work = STEPS.get(step, "trim")
    # What the step needs: a job that waits for its result, one that has ended, and a dead letter, which the upkeep takes within a second.
    running = stack.send("sleep", seconds=3)
    stack.wait_for_run(running)
    if step == "answered":  # a job must be old enough to be looked after
        stack.redis.zadd(stack.keys.open_jobs, dict.fromkeys(map(str, stack.redis.zrange(stack.keys.open_jobs, 0, -1)), 1))
    (stack.directory / "stop").write_text(point)
    stack.redis.xadd(stack.lab.dead_letters, {"publish_id": "none", "reason": "poison"})
    wait_until(lambda: not bridge.running, message=f"the bridge comes to {point}")
    before = done_at(stack, work)
    stack.start(bridge)
    assert {"slept": 3.0} == stack.get(running)
    assert {"value": 1} == stack.get(stack.send("echo", value=1))
    wait_until(lambda: done_at(stack, work) > before)
    assert 1 == len(stack.runs(running))
