"""R11: what a worker that doesn't claim has left is sent again, or is a dead letter."""

from __future__ import annotations

from tests.protocol.dead_scene import DeadScene
from tests.protocol.scene import LONG


def test_a_silent_consumers_entry_is_sent_again_with_its_counter(scene: DeadScene) -> None:
    scene.dispatch()
    entry = scene.read("foreign").entry
    assert scene.reap(entry, min_idle=LONG) == "fresh"
    assert scene.reap(entry) == "reaped"
    assert scene.pending() == []
    again = scene.read("foreign")
    assert (again.command.deliveries, scene.job()["entry"]) == (1, again.entry)
    assert scene.reap(entry) == "gone"
    assert scene.reap(again.entry) == "reaped"
    assert scene.read().command.deliveries == 2


def test_used_up_it_is_a_dead_letter_as_poison(scene: DeadScene) -> None:
    scene.dispatch()
    for _ in range(2):
        assert scene.reap(scene.read("foreign").entry) == "reaped"
    assert scene.reap(scene.read("foreign").entry) == "dead_lettered"
    ((letter_id, letter),) = scene.entries(scene.dead)
    assert (letter["reason"], letter["deliveries"], letter["publish_id"]) == ("poison", "3", "p1")
    (result,) = scene.sent_results()
    assert (result["status"], result["dead_letter_id"], result["worker"]) == ("dead_lettered", letter_id, "reaper")
    assert scene.pending() == []
    scene.close(outcome="FAILURE")


def test_what_is_resolved_is_only_acknowledged(scene: DeadScene) -> None:
    delivery, _ = scene.started()
    scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "status": "succeeded"})
    scene.close()
    assert scene.reap(delivery.entry) == "resolved"
    assert scene.pending() == []
    assert len(scene.entries(scene.commands)) == 1


def test_what_is_cancelled_is_answered(scene: DeadScene) -> None:
    delivery, _ = scene.started()
    scene.cancel()
    assert scene.reap(delivery.entry) == "cancelled"
    assert [result["status"] for result in scene.sent_results()] == ["cancelled"]
    assert scene.pending() == []


def test_a_command_that_vanished_is_left_to_the_repair(scene: DeadScene) -> None:
    delivery, _ = scene.started()
    scene.client.xdel(scene.commands, delivery.entry)
    assert scene.reap(delivery.entry) == "vanished"
    assert scene.repair() == "repaired"


def test_our_own_late_worker_is_fenced(scene: DeadScene) -> None:
    delivery, token = scene.started()
    scene.reap(delivery.entry)
    assert [scene.heartbeat(delivery, token), scene.finish(delivery, token)] == ["lost", "lost"]


def test_without_a_ledger_its_half_goes_by_itself(scene: DeadScene) -> None:
    scene.client.xadd(scene.commands, {"type": "lab.run", "task_id": "f", "attempt": "1", "callback_stream": scene.results})
    entry = scene.read("foreign").entry
    assert scene.reap(entry, publish=f"entry:{entry}") == "reaped"
    assert scene.client.pttl(scene.keys.run("lab", f"entry:{entry}")) > 0
    again = scene.read("foreign")
    assert (again.command.task_id, again.command.deliveries) == ("f", 1)
