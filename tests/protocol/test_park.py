"""R15 park, R16 release: a publish waits for an operator, and gets its end once."""

from __future__ import annotations

import signal

import pytest

from streams.jobs import cancelling
from streams.jobs.messages import ResultStatus
from tests.protocol.dead_scene import DeadScene


def test_a_parked_publish_waits_without_a_ttl(scene: DeadScene) -> None:
    scene.parked()
    assert scene.job()["phase"] == "parked"
    assert scene.client.zrange(scene.keys.open_jobs, 0, -1) == []
    assert scene.client.zrange(scene.keys.parked_jobs, 0, -1) == ["p1"]
    for key in (scene.keys.job("p1"), scene.keys.run("lab", "p1"), scene.keys.task("t1")):
        assert scene.client.ttl(key) == -1, key
    assert scene.client.hget(scene.keys.task("t1"), "open") == "1"
    assert scene.pending(scene.results, "management_consumers") == []


def test_it_is_parked_once_however_often(scene: DeadScene) -> None:
    scene.dispatch()
    scene.killed()
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    assert [scene.park("p1", entry) for _ in range(2)] == ["parked", "repeated"]
    assert scene.begin("p1", entry).verdict == "repeated"


def test_only_the_result_that_won_parks(scene: DeadScene) -> None:
    scene.dispatch()
    scene.killed()
    scene.begin("p1", scene.read_result()[0])
    assert scene.park("p1", "9-9") == "superseded"
    assert scene.job()["phase"] == "open"


def test_nothing_is_run_repaired_or_resolved_meanwhile(scene: DeadScene) -> None:
    scene.dispatch()
    delivery = scene.read()
    scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "publish_id": "p1", "status": "dead_lettered"})
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    scene.park("p1", entry)
    assert scene.take_up(delivery).verdict == "resolved"
    assert scene.repair() == "fine:closed"
    assert scene.dispatch().verdict == "duplicate"
    late = scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "publish_id": "p1", "status": "succeeded"})
    scene.read_result()
    assert scene.begin("p1", str(late)).verdict == "superseded"


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_release_sends_its_end_once(scene: DeadScene, cancelled: bool) -> None:
    scene.parked()
    parked_for = scene.sent_results()[0]
    if cancelled:
        assert [scene.cancel() for _ in range(2)] == ["accepted", "too late"]
    else:
        assert [scene.release() for _ in range(2)] == ["released", "repeated"]
    entry, fields = scene.read_result()
    assert fields["status"] == ("cancelled" if cancelled else "dead_lettered")
    if not cancelled:
        assert fields == parked_for
    begun = scene.begin("p1", entry)
    assert (begun.verdict, begun.cancelled, begun.released) == ("won", int(signal.SIGTERM) if cancelled else 0, True)
    assert scene.resolved("p1", entry, outcome="FAILURE") == "closed"
    assert scene.client.zcard(scene.keys.open_jobs) == scene.client.zcard(scene.keys.parked_jobs) == 0
    assert scene.client.hget(scene.keys.task("t1"), "open") == "0"
    assert scene.client.pttl(scene.keys.job("p1")) > 0


def test_no_late_result_wins_over_the_release(scene: DeadScene) -> None:
    scene.parked()
    late = scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "publish_id": "p1", "status": "succeeded"})
    scene.release()
    assert scene.begin("p1", str(late)).verdict == "superseded"


def test_a_cancel_that_comes_while_it_is_being_parked_isnt_lost(scene: DeadScene) -> None:
    scene.dispatch()
    scene.killed()
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    assert cancelling.cancel_task(scene.client, scene.keys, "t1") == {"p1": "too late"}
    assert scene.park("p1", entry) == "cancelled"
    released, fields = scene.read_result()
    assert fields["status"] == ResultStatus.CANCELLED
    assert scene.begin("p1", released).cancelled == signal.SIGTERM
    assert scene.client.zcard(scene.keys.parked_jobs) == 0
    assert [scene.park("p1", entry), scene.begin("p1", entry).verdict] == ["superseded", "superseded"]


def test_a_cancel_of_a_parked_task_releases_it(scene: DeadScene) -> None:
    scene.parked()
    assert cancelling.cancel_task(scene.client, scene.keys, "t1", waiting_only=True, signum=signal.SIGINT) == {"p1": "accepted"}
    assert scene.begin("p1", scene.read_result()[0]).cancelled == signal.SIGINT


def test_a_cancel_and_a_redrive_at_once_leave_no_run_uncancelled(scene: DeadScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The redrive takes the flag away between two steps of the cancel."""
    letter, before = scene.parked(), cancelling._cancel

    def redriven_just_before(*args: object, **kwargs: object) -> str:
        if not scene.job("p2"):
            scene.redrive("p1", letter, new="p2")
        return before(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(cancelling, "_cancel", redriven_just_before)
    assert cancelling.cancel_task(scene.client, scene.keys, "t1") == {"p1": "too late", "p2": "accepted"}
