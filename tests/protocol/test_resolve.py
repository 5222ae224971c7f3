"""R8 begin, R9 resolved: the first result of an open publish wins, and is resolved once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.jobs import resolving
from streams.jobs.messages import ResultStatus
from tests.protocol.scene import TOMBSTONE, Scene


def foreign_result(scene: Scene, attempt: int = 1, **more: str) -> str:
    fields: dict[Any, Any] = {"task_id": "t1", "attempt": str(attempt), "status": "failed", **more}
    return str(scene.client.xadd(scene.results, fields))


def test_the_first_result_wins_and_gets_what_dispatch_remembered(scene: Scene) -> None:
    scene.dispatch("p1", lineage="p0", retries=2)
    begun = scene.begin("p1", foreign_result(scene))
    assert ("won", False, False, 1, "p0", 2, "ctx of p1") == (
        *(begun.verdict, begun.replay, begun.cancelled, begun.seq, begun.lineage, begun.retries, begun.context),
    )


def test_the_winner_again_is_a_replay(scene: Scene) -> None:
    scene.dispatch()
    entry = foreign_result(scene)
    assert [False, True] == [scene.begin("p1", entry).replay, scene.begin("p1", entry).replay]


def test_a_second_result_is_superseded_acknowledged_and_kept_whole(scene: Scene) -> None:
    scene.dispatch()
    first, second = foreign_result(scene), foreign_result(scene, error="boom", reason="why", worker="F")
    scene.read_result()
    scene.read_result()
    scene.begin("p1", first)
    assert "superseded" == scene.begin("p1", second).verdict
    assert [first] == [row["message_id"] for row in scene.pending(scene.results, "management_consumers")]
    ((_, kept),) = scene.entries(scene.keys.superseded)
    assert {"error": "boom", "reason": "why", "worker": "F", "source_id": second, "source_stream": scene.results}.items() <= kept.items()


def test_a_result_after_the_end_is_superseded(scene: Scene) -> None:
    scene.dispatch()
    foreign_result(scene)
    scene.close("p1")
    assert "superseded" == scene.begin("p1", foreign_result(scene)).verdict


def test_the_winner_after_the_end_is_repeated_and_not_kept(scene: Scene) -> None:
    scene.dispatch()
    foreign_result(scene)
    entry = scene.close("p1")
    assert "repeated" == scene.begin("p1", entry).verdict
    assert [] == scene.entries(scene.keys.superseded)


def test_a_result_of_nobody_is_unknown_and_kept(scene: Scene) -> None:
    entry = foreign_result(scene)
    scene.read_result()
    assert "unknown" == scene.begin("nobody", entry).verdict
    assert [entry] == [fields["source_id"] for _, fields in scene.entries(scene.keys.superseded)]
    assert [] == scene.pending(scene.results, "management_consumers")
    assert 0 == scene.client.exists(scene.keys.job("nobody"))


def test_an_accepted_cancel_overrides_a_success(scene: Scene) -> None:
    delivery, token = scene.started()
    assert "accepted" == scene.cancel()
    scene.finish(delivery, token, ResultStatus.SUCCEEDED)
    assert scene.begin("p1", scene.read_result()[0]).cancelled


def test_a_cancel_after_begin_is_too_late(scene: Scene) -> None:
    scene.dispatch()
    entry = foreign_result(scene)
    scene.begin("p1", entry)
    assert "too late" == scene.cancel()
    assert not scene.begin("p1", entry).cancelled


def test_a_cancel_of_nobody_is_unknown(scene: Scene) -> None:
    assert "unknown" == scene.cancel("nobody")
    assert 0 == scene.client.exists(scene.keys.job("nobody"))


def test_resolved_closes_once_and_leaves_a_tombstone(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    entry = scene.close("p1")
    assert ("closed", "ctx of p1") == (scene.job()["phase"], scene.job()["ctx"])
    assert [] == scene.pending(scene.results, "management_consumers")
    assert [] == scene.client.zrange(scene.keys.open_jobs, 0, -1)
    for key in (scene.keys.job("p1"), scene.keys.run("lab", "p1")):
        assert 0 < scene.client.pttl(key) <= TOMBSTONE / timedelta(milliseconds=1)
    assert scene.client.pttl(scene.keys.task("t1")) > scene.client.pttl(scene.keys.job("p1"))
    assert "repeated" == scene.resolved("p1", entry)


def test_who_lost_closes_nothing(scene: Scene) -> None:
    scene.dispatch()
    scene.begin("p1", foreign_result(scene))
    assert "superseded" == scene.resolved("p1", foreign_result(scene))
    assert "open" == scene.job()["phase"]


def test_the_run_counter_stays_as_long_as_another_publish_of_the_task_is_open(scene: Scene) -> None:
    # A retry is sent before its parent is closed, and a frozen task id may be sent twice.
    scene.dispatch("p1")
    scene.dispatch("p2", lineage="p1", retries=1)
    foreign_result(scene, 1)
    scene.close("p1")
    assert -1 == scene.client.ttl(scene.keys.task("t1"))
    foreign_result(scene, 2)
    scene.close("p2")
    assert scene.client.ttl(scene.keys.task("t1")) > 0


def test_the_run_counter_goes_on_after_the_end(scene: Scene) -> None:
    scene.dispatch("p1")
    foreign_result(scene)
    scene.close("p1")
    assert 2 == scene.dispatch("p2").seq
    assert -1 == scene.client.ttl(scene.keys.task("t1"))


def test_a_result_that_names_another_task_or_comes_from_another_service_is_kept_aside(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    [entry] = [entry for entry, _ in scene.client.xrange(scene.results) or []]
    for task, service in (("other", scene.service.name), ("t1", "backtesting")):
        step = resolving.begin(
            scene.keys, "p1", results=scene.results, group=MANAGEMENT_CONSUMERS, entry=str(entry), task_id=task, service_name=service
        )
        assert scene.do(step).verdict == "superseded"
    assert scene.client.hget(scene.keys.job("p1"), "winner") is None
    assert scene.client.xlen(scene.keys.superseded) == 2
