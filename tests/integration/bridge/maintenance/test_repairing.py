"""R13 for many jobs: whose results wait is looked up once, and what comes after that look is seen all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from bridge.connection import Connection
from bridge.maintenance.repairing import JOBS_AT_A_TIME, Answers, repair_open
from streams.bus.topology import MANAGEMENT_CONSUMERS
from tests.protocol.scene import Scene

Connected = Callable[..., Connection]
NAMED: Final[dict[Any, Any]] = {"publish_id": "p1", "task_id": "t1", "attempt": "1", "status": "succeeded"}
UNNAMED: Final[dict[Any, Any]] = {"task_id": "t1", "attempt": "1", "status": "succeeded"}


def acknowledge(scene: Scene, publish: str) -> None:
    """As a foreign worker does that read the command."""
    scene.read("foreign")
    scene.client.xack(scene.commands, scene.service.group, scene.job(publish)["entry"])


def repair(bridge: Connection) -> dict[str, int]:
    return repair_open(bridge, older_than_seconds=0)


@pytest.mark.parametrize("result", [NAMED, UNNAMED])
def test_a_job_whose_result_waits_is_left_alone(connected: Connected, scene: Scene, result: dict[Any, Any]) -> None:
    scene.dispatch("p1")
    acknowledge(scene, "p1")
    scene.client.xadd(scene.results, result)
    assert {"fine:answered": 1} == repair(connected())


@pytest.mark.parametrize("result", [NAMED, UNNAMED])
def test_a_result_that_comes_after_the_look_is_seen(connected: Connected, scene: Scene, result: dict[Any, Any]) -> None:
    scene.dispatch("p1")
    acknowledge(scene, "p1")
    bridge = connected()
    scene.client.xadd(scene.results, {**NAMED, "publish_id": "another"})
    names, last = Answers(bridge).of(scene.service)
    assert {"another"} == names
    scene.client.xadd(scene.results, result)
    assert "fine:answered" == scene.repair("p1", answered_up_to=last)


def test_a_result_that_is_acknowledged_after_the_look_changes_nothing(connected: Connected, scene: Scene) -> None:
    scene.dispatch("p1")
    acknowledge(scene, "p1")
    scene.client.xadd(scene.results, NAMED)
    _, last = Answers(connected()).of(scene.service)
    scene.close("p1")
    assert "fine:closed" == scene.repair("p1", answered_up_to=last)


def test_a_lost_one_among_many_is_sent_again(connected: Connected, scene: Scene) -> None:
    """More jobs, and more results, than are looked at in one go."""
    count = JOBS_AT_A_TIME + 20
    for number in range(count):
        scene.dispatch(f"p{number}", task=f"t{number}")
    scene.client.xreadgroup(scene.service.group, "foreign", {scene.commands: ">"}, count=count, noack=True)
    for number in range(1, count):
        scene.client.xadd(scene.results, {**NAMED, "publish_id": f"p{number}"})
    bridge = connected()
    assert {"fine:answered": count - 1, "repaired": 1} == repair(bridge)
    assert {"fine:answered": count - 1, "fine:unread": 1} == repair(bridge)


def test_results_that_are_done_with_are_not_looked_at(connected: Connected, scene: Scene) -> None:
    for _ in range(3):
        scene.client.xadd(scene.results, NAMED)
    rows = scene.client.xreadgroup(MANAGEMENT_CONSUMERS, "b", {scene.results: ">"}, count=3)
    assert rows
    scene.client.xack(scene.results, MANAGEMENT_CONSUMERS, *[row["message_id"] for row in scene.pending(scene.results, MANAGEMENT_CONSUMERS)])
    assert (set(), "") == Answers(connected()).of(scene.service)
