"""R10: a cancel is accepted until a result has begun; a plain revoke leaves alone what a worker has taken up."""

from __future__ import annotations

from streams.jobs.cancelling import cancel_task
from tests.protocol.scene import Scene


def test_a_waiting_job_is_cancelled_either_way(scene: Scene) -> None:
    for publish in ("p1", "p2"):
        scene.dispatch(publish)
    assert (scene.cancel("p1"), scene.cancel("p2", waiting_only=True)) == ("accepted", "accepted")
    assert scene.take_up(scene.read()).verdict == "cancelled"


def test_a_running_job_is_left_alone_when_only_waiting_ones_are_meant(scene: Scene) -> None:
    delivery, token = scene.started()
    assert scene.cancel(waiting_only=True) == "running"
    assert scene.heartbeat(delivery, token) == "held"
    assert scene.cancel() == "accepted"
    assert scene.heartbeat(delivery, token) == "cancelled"


def test_every_run_of_a_task_and_those_to_come_are_cancelled(scene: Scene) -> None:
    scene.dispatch("p1")
    assert cancel_task(scene.client, scene.keys, "t1") == {"p1": "accepted"}
    assert scene.dispatch("p2").verdict == "cancelled"


def test_what_is_not_known_yet_is_flagged(scene: Scene) -> None:
    assert cancel_task(scene.client, scene.keys, "t1", waiting_only=True) == {}
    assert scene.client.ttl(scene.keys.cancel_flag("t1")) > 0
    assert scene.dispatch().verdict == "cancelled"
