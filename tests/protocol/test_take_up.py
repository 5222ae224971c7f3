"""R4: may this entry run? The checks come in this order: resolved, cancelled, expired, used up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from streams.jobs.messages import DeadReason, ResultStatus
from tests.protocol.scene import Scene

PAST = datetime(2020, 1, 1, tzinfo=UTC)


def test_the_first_run_gets_token_and_delivery_number(scene: Scene) -> None:
    scene.dispatch()
    taken = scene.take_up(scene.read())
    assert ("run", "1", 1) == (taken.verdict, taken.token, taken.delivery)
    ((_, told),) = scene.entries(scene.status)
    assert {"kind": "started", "task_id": "t1", "publish_id": "p1", "attempt": "1", "worker": "lab@W1"}.items() <= told.items()


def test_who_does_not_hold_the_entry_has_lost_it(scene: Scene) -> None:
    scene.dispatch()
    delivery = scene.read("W1")
    scene.claim("W2")
    assert "lost" == scene.take_up(delivery).verdict


def test_without_a_group_everything_is_lost(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.client.xgroup_destroy(scene.commands, scene.service.group)
    assert ["lost", "lost", "lost"] == [scene.take_up(delivery).verdict, scene.heartbeat(delivery, token), scene.finish(delivery, token)]


def test_the_same_nonce_counts_once(scene: Scene) -> None:
    scene.dispatch()
    delivery = scene.read()
    assert scene.take_up(delivery, nonce="n") == scene.take_up(delivery, nonce="n")
    assert "1" == scene.run()["runs"]
    assert 1 == len(scene.entries(scene.status))


def test_a_second_delivery_counts_and_has_a_new_token(scene: Scene) -> None:
    scene.started()
    second = scene.claim("W2")
    assert second is not None
    taken = scene.take_up(second)
    assert ("run", "2", 2) == (taken.verdict, taken.token, taken.delivery)


def test_a_resolved_publish_is_only_acknowledged(scene: Scene) -> None:
    scene.dispatch(expires_at=PAST)
    delivery = scene.read()
    # A foreign worker's result has won meanwhile, and then a cancel came, too late.
    scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "status": "succeeded"})
    scene.begin("p1", scene.read_result()[0])
    scene.client.hset(scene.keys.job("p1"), "cancel", "1")
    assert "resolved" == scene.take_up(delivery).verdict
    assert [] == scene.pending()
    assert 1 == len(scene.sent_results())


def test_a_cancelled_publish_is_answered_even_when_it_has_expired(scene: Scene) -> None:
    scene.dispatch(expires_at=PAST)
    delivery = scene.read()
    assert "accepted" == scene.cancel()
    assert "cancelled" == scene.take_up(delivery).verdict
    assert [("cancelled", "p1")] == [(sent["status"], sent["publish_id"]) for sent in scene.sent_results()]
    assert [] == scene.pending()


def test_an_expired_one_is_answered_even_when_it_is_used_up(scene: Scene) -> None:
    scene.dispatch(expires_at=PAST)
    assert "expired" == scene.take_up(scene.read(), max_deliveries=0).verdict
    assert ["expired"] == [sent["status"] for sent in scene.sent_results()]
    assert [] == scene.pending()


def test_one_that_expires_later_runs(scene: Scene) -> None:
    scene.dispatch(expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert "run" == scene.take_up(scene.read()).verdict


def test_a_command_that_kills_each_worker_is_poison(scene: Scene) -> None:
    scene.dispatch()
    scene.take_up(scene.read("W1"), max_deliveries=1)
    second = scene.claim("W2")
    assert second is not None
    assert "dead_lettered" == scene.take_up(second, max_deliveries=1).verdict
    ((letter, dead),) = scene.entries(scene.dead)
    assert {
        "reason": "poison",
        "deliveries": "1",
        "source_id": second.entry,
        "source_stream": scene.commands,
        "type": "lab.run",
    }.items() <= dead.items()
    (result,) = scene.sent_results()
    assert ("dead_lettered", "poison", letter) == (result["status"], result["reason"], result["dead_letter_id"])
    assert [] == scene.pending()


def test_after_a_passing_trouble_it_is_exhausted(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token, max_deliveries=2)
    scene.promote()
    second = scene.read("W1")
    scene.take_up(second, max_deliveries=2)
    third = scene.claim("W2")
    assert third is not None
    assert "dead_lettered" == scene.take_up(third, max_deliveries=2).verdict
    ((_, dead),) = scene.entries(scene.dead)
    assert ("exhausted", "2") == (dead["reason"], dead["deliveries"])
    assert "the exchange is away" in dead["error"]


@pytest.mark.parametrize(
    ("first", "reason"), [(DeadReason.POISON, "poison"), (DeadReason.EXHAUSTED, "exhausted")], ids=["its process died", "a passing trouble"]
)
def test_after_the_death_of_its_process_a_lost_lease_does_not_make_it_fit_for_another_try(scene: Scene, first: DeadReason, reason: str) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token, reason=first)
    scene.promote()
    scene.take_up(scene.read("W1"))
    second = scene.claim("W2")
    assert second is not None
    assert "dead_lettered" == scene.take_up(second, max_deliveries=2).verdict
    ((_, dead),) = scene.entries(scene.dead)
    assert reason == dead["reason"]


def test_reads_without_a_take_up_count_too(scene: Scene) -> None:
    scene.dispatch()
    scene.read("W1")
    second = scene.claim("W2")
    assert second is not None
    assert 2 == scene.take_up(second).delivery


def test_a_run_without_a_ledger_goes_by_itself(scene: Scene) -> None:
    scene.client.xadd(scene.commands, {"type": "lab.run", "task_id": "foreign", "callback_stream": scene.results})
    delivery = scene.read()
    token = scene.take_up(delivery).token
    key = scene.keys.run("lab", delivery.publish_id)
    assert scene.client.ttl(key) > 0
    scene.client.expire(key, 10)
    assert "held" == scene.heartbeat(delivery, token)
    assert scene.client.ttl(key) > 10
    assert "finished" == scene.finish(delivery, token, ResultStatus.SUCCEEDED)


def test_a_callback_that_is_no_stream_cannot_keep_an_entry_for_ever(scene: Scene) -> None:
    no_stream = f"{scene.keys.prefix}text"
    scene.client.set(no_stream, "text", ex=60)
    scene.client.xadd(scene.commands, {"type": "lab.run", "task_id": "t", "callback_stream": no_stream, "expires_at": PAST.isoformat()})
    assert "dead_lettered" == scene.take_up(scene.read()).verdict
    assert [] == scene.pending()
    ((_, dead),) = scene.entries(scene.dead)
    assert "undecodable" == dead["reason"]


def test_a_command_that_vanished_is_parked_as_it_was_dispatched(scene: Scene) -> None:
    scene.dispatch()
    delivery = scene.read()
    scene.client.xdel(scene.commands, delivery.entry)
    assert "dead_lettered" == scene.take_up(delivery, max_deliveries=0).verdict
    ((_, dead),) = scene.entries(scene.dead)
    assert ("lab.run", '{"n":1}') == (dead["type"], dead["data"])
