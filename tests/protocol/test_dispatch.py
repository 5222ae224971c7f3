"""R3: one publish is dispatched once, however often its Celery message is delivered."""

from __future__ import annotations

import pytest
import redis

from tests.protocol.scene import Scene


def test_a_publish_becomes_one_command_and_an_open_ledger(scene: Scene) -> None:
    sent = scene.dispatch("p1")
    ((entry, fields),) = scene.entries(scene.commands)
    assert ("sent", 1, entry) == (sent.verdict, sent.seq, sent.entry)
    assert {"task_id": "t1", "publish_id": "p1", "attempt": "1", "data": '{"n":1}'}.items() <= fields.items()
    assert {"phase": "open", "seq": "1", "lineage": "p1", "ctx": "ctx of p1", "entry": entry, "service": "lab"}.items() <= scene.job().items()
    assert ["p1"] == scene.client.zrange(scene.keys.open_jobs, 0, -1)


def test_a_redelivered_message_is_a_duplicate_with_the_same_run_number(scene: Scene) -> None:
    sent, again = scene.dispatch("p1"), scene.dispatch("p1")
    assert ("duplicate", sent.seq, sent.entry) == (again.verdict, again.seq, again.entry)
    assert 1 == len(scene.entries(scene.commands))


def test_a_task_id_that_is_sent_twice_runs_twice(scene: Scene) -> None:
    assert [("sent", 1), ("sent", 2)] == [(sent.verdict, sent.seq) for sent in (scene.dispatch("p1"), scene.dispatch("p2"))]


def test_a_closed_publish_is_still_a_duplicate(scene: Scene) -> None:
    delivery, token = scene.started("p1")
    scene.finish(delivery, token)
    scene.close("p1")
    assert "duplicate" == scene.dispatch("p1").verdict
    assert 1 == len(scene.entries(scene.commands))


def test_a_waiting_cancel_is_answered_without_a_command(scene: Scene) -> None:
    scene.set_flag("t1")
    sent = scene.dispatch("p1")
    assert ("cancelled", 1, "") == (sent.verdict, sent.seq, sent.entry)
    assert [("cancelled", "p1", "1")] == [(result["status"], result["publish_id"], result["attempt"]) for result in scene.sent_results()]
    assert [] == scene.entries(scene.commands)
    assert scene.begin("p1", scene.read_result()[0]).cancelled


def test_an_open_ledger_has_no_ttl(scene: Scene) -> None:
    scene.started("p1")
    keys = scene.keys.job("p1"), scene.keys.run("lab", "p1"), scene.keys.task("t1")
    assert [-1, -1, -1] == [scene.client.ttl(key) for key in keys]


def test_a_stream_that_cannot_be_written_leaves_no_ledger(scene: Scene) -> None:
    scene.client.delete(scene.commands)
    scene.client.set(scene.commands, "no stream")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        scene.dispatch("p1")
    assert {} == scene.job("p1")
    assert 0 == scene.client.zcard(scene.keys.open_jobs)
