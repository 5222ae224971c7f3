"""R13: a command that vanished is sent again, and only then."""

from __future__ import annotations

from streams.bus.topology import MANAGEMENT_CONSUMERS
from tests.protocol.scene import LONG, Scene


def lose(scene: Scene, publish: str = "p1") -> None:
    scene.client.xdel(scene.commands, scene.job(publish)["entry"])


def test_what_nobody_dispatched_is_closed(scene: Scene) -> None:
    assert "fine:closed" == scene.repair("nobody")


def test_a_closed_one_is_fine(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    scene.close("p1")
    assert "fine:closed" == scene.repair()


def test_one_that_is_being_resolved_is_fine(scene: Scene) -> None:
    scene.dispatch()
    lose(scene)
    scene.begin("p1", str(scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "status": "failed"})))
    assert "fine:resolving" == scene.repair()


def test_one_that_was_finished_is_fine(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    assert "fine:finished" == scene.repair()


def test_one_that_was_cancelled_at_dispatch_is_fine(scene: Scene) -> None:
    scene.set_flag()
    scene.dispatch()
    assert "fine:finished" == scene.repair()


def test_a_delayed_one_is_fine(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token, delay=LONG)
    assert "fine:delayed" == scene.repair()


def test_an_unread_one_is_fine(scene: Scene) -> None:
    scene.dispatch()
    assert "fine:unread" == scene.repair()


def test_without_a_group_an_unread_one_is_fine(scene: Scene) -> None:
    scene.client.xgroup_destroy(scene.commands, scene.service.group)
    scene.dispatch()
    assert "fine:unread" == scene.repair()


def test_a_pending_one_is_fine(scene: Scene) -> None:
    scene.started()
    assert "fine:pending" == scene.repair()


def test_a_promoted_one_is_fine(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token)
    scene.promote()
    assert "fine:unread" == scene.repair()


def test_one_whose_foreign_result_is_not_read_yet_is_fine(scene: Scene) -> None:
    scene.dispatch()
    delivery = scene.read("F")
    scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "status": "failed"})
    scene.client.xack(scene.commands, scene.service.group, delivery.entry)
    assert "fine:answered" == scene.repair()
    scene.read_result()
    assert "fine:answered" == scene.repair()


def test_the_result_of_another_run_is_no_answer(scene: Scene) -> None:
    scene.dispatch()
    lose(scene)
    scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "2", "status": "failed"})
    assert "repaired" == scene.repair()


def test_a_result_far_behind_others_is_found(scene: Scene) -> None:
    scene.dispatch()
    lose(scene)
    pipe = scene.client.pipeline(transaction=False)
    for number in range(1_200):
        pipe.xadd(scene.results, {"task_id": f"other{number}", "attempt": "1", "status": "failed"})
    pipe.xadd(scene.results, {"task_id": "t1", "attempt": "1", "status": "failed"})
    pipe.execute()
    assert "fine:answered" == scene.repair()


def test_a_vanished_command_is_sent_again_and_counts_as_a_delivery(scene: Scene) -> None:
    scene.dispatch()
    before = scene.entries(scene.commands)[0][1]
    lose(scene)
    assert "repaired" == scene.repair()
    ((entry, fields),) = scene.entries(scene.commands)
    assert {**before, "deliveries": "1"} == fields
    assert entry == scene.job()["entry"]
    assert "fine:unread" == scene.repair()
    assert 2 == scene.take_up(scene.read()).delivery


def test_a_run_whose_entry_was_deleted_is_sent_again_once_nobody_holds_it(scene: Scene) -> None:
    delivery, token = scene.started()
    lose(scene)
    assert "fine:pending" == scene.repair()
    assert "lost" == scene.heartbeat(delivery, token)
    assert "repaired" == scene.repair()
    second = scene.read("W2")
    assert "lost" == scene.finish(delivery, token)
    assert 3 == scene.take_up(second).delivery


def test_after_a_flush_of_the_stream_it_is_sent_again(scene: Scene) -> None:
    scene.dispatch()
    scene.client.delete(scene.commands, scene.results)
    assert "repaired" == scene.repair()


def test_used_up_it_is_a_dead_letter_with_its_result(scene: Scene) -> None:
    scene.dispatch()
    lose(scene)
    assert ["dead_lettered", "fine:finished"] == [scene.repair(max_deliveries=1), scene.repair(max_deliveries=1)]
    ((letter, dead),) = scene.entries(scene.dead)
    assert {"reason": "exhausted", "type": "lab.run", "data": '{"n":1}', "worker": "reconciler"}.items() <= dead.items()
    assert [("dead_lettered", "p1", letter)] == [(sent["status"], sent["publish_id"], sent["dead_letter_id"]) for sent in scene.sent_results()]
    scene.close("p1")
    assert [] == scene.pending(scene.results, MANAGEMENT_CONSUMERS)
