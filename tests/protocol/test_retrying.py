"""R9: whose retry isn't dispatched yet is kept until that comes, or has ended before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.protocol.dead_scene import DeadScene
from tests.protocol.scene import TOMBSTONE

MS = timedelta(milliseconds=1)


def retried(scene: DeadScene, publish: str = "p1", **options: object) -> None:
    """A publish that Celery retries as `p2`."""
    delivery, token = scene.started(publish)
    scene.finish(delivery, token)
    scene.close(publish, outcome="RETRY", retry="p2", **options)  # type: ignore[arg-type]


def test_it_is_listed_and_kept_with_the_counter(scene: DeadScene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    scene.resolved("p1", entry, outcome="RETRY", retry="p2", retry_due_ms=12345)
    assert scene.client.zrange(scene.keys.retrying_jobs, 0, -1, withscores=True) == [["p1", 12345.0]]
    assert (scene.job()["phase"], scene.job()["outcome"]) == ("closed", "RETRY")
    assert scene.client.ttl(scene.keys.job("p1")) == scene.client.ttl(scene.keys.task("t1")) == -1


def test_the_dispatch_of_the_retry_lets_it_go(scene: DeadScene) -> None:
    retried(scene, tombstone=timedelta(days=30))
    assert scene.dispatch("p2", lineage="p1", retries=1, parent="p1").seq == 2
    assert scene.client.zcard(scene.keys.retrying_jobs) == 0
    assert timedelta(days=29) / MS < scene.client.pttl(scene.keys.job("p1")) <= timedelta(days=30) / MS
    assert scene.client.ttl(scene.keys.task("t1")) == -1


def test_a_retry_that_was_dispatched_before_is_not_waited_for(scene: DeadScene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    scene.dispatch("p2", lineage="p1", retries=1, parent="p1")
    scene.resolved("p1", entry, outcome="RETRY", retry="p2")
    assert scene.client.zcard(scene.keys.retrying_jobs) == 0
    assert 0 < scene.client.pttl(scene.keys.job("p1")) <= TOMBSTONE / MS


@pytest.mark.parametrize("before_r9", [False, True])
def test_a_retry_that_ends_before_its_dispatch_is_the_end_of_its_lineage(scene: DeadScene, *, before_r9: bool) -> None:
    scene.dispatch()
    letter = scene.killed()
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    if before_r9:
        assert scene.retry_ended("p1") == "told"
    scene.resolved("p1", entry, outcome="RETRY", retry="p2")
    if not before_r9:
        assert [scene.retry_ended("p1") for _ in range(2)] == ["ended", "told"]
    assert scene.client.zcard(scene.keys.retrying_jobs) == 0
    assert scene.job()["outcome"] == "FAILURE"
    assert scene.client.pttl(scene.keys.job("p1")) > 0
    assert scene.client.pttl(scene.keys.task("t1")) > scene.client.pttl(scene.keys.job("p1"))
    assert scene.redrive("p1", letter, new="p3").verdict == "sent"


def test_a_revoked_retry_ends_its_lineage_so_that_nothing_is_redriven(scene: DeadScene) -> None:
    scene.dispatch()
    letter = scene.killed()
    scene.close(outcome="RETRY", retry="p2")
    scene.retry_ended("p1", "REVOKED")
    assert scene.redrive("p1", letter, new="p3").verdict == "refused:REVOKED"


def test_of_a_forgotten_parent_nothing_is_made(scene: DeadScene) -> None:
    assert scene.retry_ended("unheard of") == "told"
    scene.dispatch("p2", parent="unheard of")
    assert not scene.client.exists(scene.keys.job("unheard of"))
    scene.client.zadd(scene.keys.retrying_jobs, {"gone": 1})
    scene.dispatch("p3", parent="gone")
    assert scene.retry_ended("gone") == "told"
    assert not scene.client.exists(scene.keys.job("gone"))
