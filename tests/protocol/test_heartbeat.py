"""R5: a lease is renewed only for who holds the entry, under the newest token."""

from __future__ import annotations

from streams.jobs import running
from streams.jobs.messages import Status, StatusKind
from tests.protocol.scene import Scene


def test_the_holder_renews_its_lease_and_no_delivery_is_counted(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.client.xclaim(scene.commands, scene.service.group, "W1", 0, [delivery.entry], idle=60_000, justid=True)
    assert "held" == scene.heartbeat(delivery, token)
    (row,) = scene.pending()
    assert row["time_since_delivered"] < 60_000
    assert 1 == row["times_delivered"]


def test_after_another_consumer_claimed_it_is_lost(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.claim("W2")
    assert "lost" == scene.heartbeat(delivery, token)
    assert ["W2"] == [row["consumer"] for row in scene.pending()]


def test_a_restarted_worker_of_the_same_name_ends_the_old_one(scene: Scene) -> None:
    delivery, old = scene.started(consumer="W1")
    new = scene.take_up(delivery).token
    assert ["lost", "held"] == [scene.heartbeat(delivery, old), scene.heartbeat(delivery, new)]


def test_it_tells_of_a_cancel(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.cancel()
    assert "cancelled" == scene.heartbeat(delivery, token)


def test_progress_goes_to_the_status_stream_and_the_ledger(scene: Scene) -> None:
    delivery, token = scene.started()
    status = Status(task_id="t1", attempt=1, publish_id="p1", kind=StatusKind.PROGRESS, current=3, total=9, message="half")
    assert "held" == scene.do(running.heartbeat(scene.keys, delivery, token, status))
    assert {"kind": "progress", "current": "3", "total": "9", "message": "half"}.items() <= scene.entries(scene.status)[-1][1].items()
    assert {"current": "3", "total": "9", "message": "half"}.items() <= scene.run().items()


def test_a_status_stream_that_is_none_stops_no_run(scene: Scene) -> None:
    scene.client.set(scene.status, "text")
    delivery, token = scene.started()
    assert "held" == scene.heartbeat(delivery, token)


def test_an_entry_that_was_deleted_is_lost(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.client.xdel(scene.commands, delivery.entry)
    assert "lost" == scene.heartbeat(delivery, token)
    assert "repaired" == scene.repair()


def test_a_late_one_leaves_the_tombstone_its_ttl(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "status": "succeeded"})
    scene.close("p1")
    assert "held" == scene.heartbeat(delivery, token)
    assert scene.client.ttl(scene.keys.run("lab", "p1")) > 0
