"""R6 retry_later, R7 promote: one counter from the first delivery to the last."""

from __future__ import annotations

from streams.jobs.messages import Command, DeadReason
from tests.protocol.scene import FAR_MS, LONG, Scene


def test_a_passing_trouble_waits_in_delayed(scene: Scene) -> None:
    delivery, token = scene.started()
    assert "delayed" == scene.retry_later(delivery, token, delay=LONG)
    assert ["p1"] == scene.client.zrange(scene.delayed, 0, -1)
    assert [] == scene.pending()
    assert [] == scene.sent_results()


def test_sent_again_after_a_lost_reply_it_answers_the_same(scene: Scene) -> None:
    delivery, token = scene.started()
    assert ["delayed", "delayed"] == [scene.retry_later(delivery, token), scene.retry_later(delivery, token)]
    scene.promote()
    assert "delayed" == scene.retry_later(delivery, token)
    assert 0 == scene.client.zcard(scene.delayed)


def test_a_zombie_delays_nothing(scene: Scene) -> None:
    delivery, token = scene.started(consumer="W1")
    scene.claim("W2")
    assert "lost" == scene.retry_later(delivery, token)
    assert 0 == scene.client.zcard(scene.delayed)


def test_used_up_it_is_a_dead_letter_with_its_result(scene: Scene) -> None:
    delivery, token = scene.started()
    assert ["dead_lettered"] * 2 == [scene.retry_later(delivery, token, max_deliveries=1) for _ in range(2)]
    ((letter, dead),) = scene.entries(scene.dead)
    assert {"reason": "exhausted", "deliveries": "1", "type": "lab.run", "worker": "lab@W1"}.items() <= dead.items()
    assert [("dead_lettered", letter)] == [(sent["status"], sent["dead_letter_id"]) for sent in scene.sent_results()]
    assert [] == scene.pending()
    assert 0 == scene.client.zcard(scene.delayed)


def test_poison_is_only_what_died_each_time(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token, reason=DeadReason.EXHAUSTED)
    scene.promote()
    second = scene.read()
    assert "dead_lettered" == scene.retry_later(second, scene.take_up(second).token, reason=DeadReason.POISON, max_deliveries=2)
    ((_, dead),) = scene.entries(scene.dead)
    assert "exhausted" == dead["reason"]


def test_promoted_it_is_the_same_command_with_its_counter(scene: Scene) -> None:
    delivery, token = scene.started()
    before = dict(scene.entries(scene.commands))[delivery.entry]
    scene.retry_later(delivery, token)
    entry = scene.promote()
    assert {**before, "deliveries": "1"} == dict(scene.entries(scene.commands))[entry]
    assert entry == scene.job()["entry"]
    second = scene.read()
    assert 1 == second.command.deliveries
    assert 2 == scene.take_up(second).delivery


def test_what_is_not_due_stays(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token, delay=LONG)
    assert "" == scene.promote()
    assert ["p1"] == scene.client.zrange(scene.delayed, 0, -1)
    assert "" != scene.promote(now_ms=FAR_MS)


def test_promoted_twice_it_is_sent_once(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token)
    assert "" != scene.promote()
    assert "" == scene.promote()
    assert 2 == len(scene.entries(scene.commands))


def test_a_member_without_its_command_is_dropped_and_repaired(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token)
    scene.client.hdel(scene.keys.run("lab", "p1"), "delayed")
    assert "" == scene.promote()
    assert "repaired" == scene.repair()


def test_cancelled_while_it_waits_it_does_not_run_again(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token)
    assert "accepted" == scene.cancel()
    scene.promote()
    assert "cancelled" == scene.take_up(scene.read()).verdict


def test_when_its_entry_was_deleted_it_waits_as_it_was_dispatched(scene: Scene) -> None:
    delivery, token = scene.started()
    before = dict(scene.entries(scene.commands))[delivery.entry]
    scene.client.xdel(scene.commands, delivery.entry)
    assert "delayed" == scene.retry_later(delivery, token)
    scene.promote()
    ((_, fields),) = scene.entries(scene.commands)
    assert Command.from_redis_dict({**before, "deliveries": "1"}) == Command.from_redis_dict(fields)


def test_a_deleted_entry_without_a_ledger_is_parked(scene: Scene) -> None:
    scene.client.xadd(scene.commands, {"type": "lab.run", "task_id": "foreign", "callback_stream": scene.results})
    delivery = scene.read()
    token = scene.take_up(delivery).token
    scene.client.xdel(scene.commands, delivery.entry)
    assert "dead_lettered" == scene.retry_later(delivery, token)
    assert ["dead_lettered"] == [sent["status"] for sent in scene.sent_results()]
