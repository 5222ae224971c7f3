"""R6 finish and hand_back: how a run ends under the fence."""

from __future__ import annotations

import pytest
import redis

from streams.jobs.messages import ResultStatus
from streams.jobs.running import HANDED_BACK, HANDED_BACK_IDLE_MS
from tests.protocol.scene import Scene


def test_result_and_acknowledgement_are_one_step(scene: Scene) -> None:
    delivery, token = scene.started()
    assert "finished" == scene.finish(delivery, token, data={"profit": 1.5})
    assert [("succeeded", '{"profit":1.5}')] == [(sent["status"], sent["data"]) for sent in scene.sent_results()]
    assert [] == scene.pending()
    assert scene.entries(scene.results)[0][0] == scene.run()["result_id"]


def test_sent_again_after_a_lost_reply_it_answers_the_same(scene: Scene) -> None:
    delivery, token = scene.started()
    assert ["finished", "finished"] == [scene.finish(delivery, token), scene.finish(delivery, token)]
    assert 1 == len(scene.sent_results())


def test_a_zombie_sends_no_result(scene: Scene) -> None:
    delivery, token = scene.started(consumer="W1")
    second = scene.claim("W2")
    assert second is not None
    new = scene.take_up(second).token
    assert "lost" == scene.finish(delivery, token)
    assert [] == scene.sent_results()
    assert "finished" == scene.finish(second, new)


def test_an_old_token_under_the_same_name_sends_no_result(scene: Scene) -> None:
    delivery, old = scene.started()
    new = scene.take_up(delivery).token
    assert ["lost", "finished"] == [scene.finish(delivery, old), scene.finish(delivery, new)]


def test_a_callback_that_is_no_stream_leaves_the_entry_to_be_parked(scene: Scene) -> None:
    no_stream = f"{scene.keys.prefix}text"
    scene.client.set(no_stream, "text", ex=60)
    scene.client.xadd(scene.commands, {"type": "lab.run", "task_id": "t", "callback_stream": no_stream})
    delivery = scene.read()
    token = scene.take_up(delivery).token
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        scene.finish(delivery, token, ResultStatus.FAILED)
    second = scene.claim("W2")
    assert second is not None
    assert "dead_lettered" == scene.take_up(second, max_deliveries=1).verdict
    assert 1 == len(scene.entries(scene.dead))
    assert [] == scene.pending()


def test_what_is_handed_back_counts_no_run(scene: Scene) -> None:
    delivery, token = scene.started()
    assert "handed_back" == scene.hand_back(delivery, token)
    second = scene.claim("W2")
    assert second is not None
    assert 1 == scene.take_up(second, max_deliveries=1).delivery


def test_what_is_handed_back_may_be_taken_at_once(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.hand_back(delivery, token)
    assert [HANDED_BACK] == [row["consumer"] for row in scene.pending()]
    second = scene.claim("W2", min_idle_ms=HANDED_BACK_IDLE_MS // 2)
    assert second is not None
    assert delivery.entry == second.entry


def test_who_handed_back_has_no_say_any_more(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.hand_back(delivery, token)
    assert ["lost", "lost", "lost"] == [scene.hand_back(delivery, token), scene.heartbeat(delivery, token), scene.finish(delivery, token)]
    assert "0" == scene.run()["runs"]


def test_a_zombie_hands_nothing_back(scene: Scene) -> None:
    delivery, token = scene.started("p1", consumer="W1")
    scene.claim("W2")
    assert "lost" == scene.hand_back(delivery, token)
    assert ["W2"] == [row["consumer"] for row in scene.pending()]
