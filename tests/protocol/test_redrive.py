"""R12: a dead letter's job runs again under its task id, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from streams.jobs import dead_letters
from tests.protocol.dead_scene import DeadScene
from tests.protocol.scene import LONG, TOMBSTONE

PAST = datetime.now(UTC) - timedelta(hours=1)


def test_a_failed_one_is_sent_again_as_a_new_run_of_its_lineage(scene: DeadScene) -> None:
    letter = scene.failed()
    redriven = scene.redrive("p1", letter, new="p2")
    assert (redriven.verdict, redriven.seq, redriven.lineage, redriven.waits) == ("sent", 2, "p1", True)
    new, old = scene.job("p2"), scene.job("p1")
    assert {name: new[name] for name in ("task_id", "lineage", "retries", "seq", "phase", "ctx", "entry", "redrive_of")} == {
        "task_id": "t1",
        "lineage": "p1",
        "retries": "0",
        "seq": "2",
        "phase": "open",
        "ctx": "ctx of p2",
        "entry": redriven.entry,
        "redrive_of": letter,
    }
    assert (old["phase"], old["outcome"]) == ("closed", "FAILURE")
    delivery = scene.read()
    assert (delivery.command.publish_id, delivery.command.attempt, delivery.command.data) == ("p2", 2, {"n": 1})
    scene.finish(delivery, scene.take_up(delivery).token)
    scene.close("p2")
    assert scene.client.hget(scene.keys.task("t1"), "open") == "0"
    assert 0 < scene.client.pttl(scene.keys.job("p2")) <= TOMBSTONE / timedelta(milliseconds=1)


def test_a_repeat_does_nothing_and_answers_the_same(scene: DeadScene) -> None:
    letter = scene.failed()
    first, second = (scene.redrive("p1", letter, new="p2") for _ in range(2))
    assert (second.verdict, second.seq, second.entry, second.waits) == ("duplicate", first.seq, first.entry, True)
    assert len(scene.entries(scene.commands)) == 2
    assert scene.client.hget(scene.keys.task("t1"), "open") == "1"
    delivery = scene.read()
    scene.finish(delivery, scene.take_up(delivery).token)
    scene.begin("p2", scene.read_result()[0])
    assert not scene.redrive("p1", letter, new="p2").waits, "its DISPATCHED would be stored over its outcome, where the mark has expired"


def test_one_that_was_redriven_so_long_ago_that_its_ledger_is_gone_isnt_again(scene: DeadScene) -> None:
    letter = scene.failed()
    scene.redrive("p1", letter, new="p2")
    delivery = scene.read()
    scene.finish(delivery, scene.take_up(delivery).token)
    scene.close("p2")
    scene.client.delete(scene.keys.job("p2"))
    assert scene.redrive("p1", letter, new="p2").verdict == "refused:redriven"


def test_an_earlier_dead_letter_isnt_redriven_after_a_later_success_was_forgotten(scene: DeadScene) -> None:
    """p1 became a dead letter and was retried as p2, which became one too; p2's is redriven as p3, which succeeds, and whose ledger goes first."""
    scene.dispatch("p1")
    first = scene.killed()
    scene.close("p1", outcome="RETRY", retry="p2")
    scene.dispatch("p2", lineage="p1", retries=1, parent="p1")
    second = scene.killed()
    scene.close("p2", outcome="FAILURE")
    scene.redrive("p2", second, new="p3")
    delivery = scene.read()
    scene.finish(delivery, scene.take_up(delivery).token)
    scene.close("p3")
    scene.client.delete(scene.keys.job("p3"))
    assert scene.redrive("p1", first, new="p4").verdict == "refused:SUCCESS"


@pytest.mark.parametrize("outcome", ["SUCCESS", "REVOKED", "RETRY"])
def test_only_a_failure_is_redriven(scene: DeadScene, outcome: str) -> None:
    scene.dispatch()
    letter = scene.killed()
    scene.close(outcome=outcome, retry="p2")
    assert scene.redrive("p1", letter, new="p3").verdict == f"refused:{outcome}"
    assert len(scene.entries(scene.commands)) == 1


def test_not_while_its_retry_is_under_way_and_not_after_its_success(scene: DeadScene) -> None:
    scene.dispatch("p1")
    letter = scene.killed()
    scene.close("p1", outcome="RETRY", retry="p2")
    scene.dispatch("p2", lineage="p1", retries=1, parent="p1")
    assert scene.redrive("p1", letter, new="p3").verdict == "refused:open"
    delivery = scene.read()
    scene.finish(delivery, scene.take_up(delivery).token)
    scene.close("p2")
    assert scene.redrive("p1", letter, new="p3").verdict == "refused:SUCCESS"


def test_two_lineages_of_one_task_id_dont_hinder_each_other(scene: DeadScene) -> None:
    letter = scene.failed("p1")
    scene.dispatch("q1")
    assert scene.redrive("p1", letter, new="p2").verdict == "sent"


def test_who_saw_an_older_task_looks_again(scene: DeadScene) -> None:
    letter = scene.failed("p1")
    scene.dispatch("q1")
    assert scene.redrive("p1", letter, new="p2", seen_seq=1).verdict == "changed"


def test_who_saw_it_parked_doesnt_send_its_chord_when_it_has_failed_meanwhile(scene: DeadScene) -> None:
    letter = scene.parked()
    scene.release()
    scene.close(outcome="FAILURE")
    assert scene.redrive("p1", letter, new="p2", seen_phase="parked").verdict == "changed"
    assert scene.redrive("p1", letter, new="p2").verdict == "sent"


def test_a_parked_one_is_closed_and_the_new_run_is_the_one_that_counts(scene: DeadScene) -> None:
    letter = scene.parked()
    assert scene.redrive("p1", letter, new="p2").verdict == "sent"
    old = scene.job("p1")
    assert (old["phase"], old["outcome"], "parked_result" in old) == ("closed", "REDRIVEN", False)
    assert scene.client.zrange(scene.keys.parked_jobs, 0, -1) == []
    assert scene.client.zrange(scene.keys.open_jobs, 0, -1) == ["p2"]
    assert scene.client.hget(scene.keys.task("t1"), "open") == "1"
    for key in (scene.keys.job("p1"), scene.keys.run("lab", "p1")):
        assert scene.client.pttl(key) > 0
    assert scene.client.ttl(scene.keys.task("t1")) == -1
    assert scene.release("p1") == "not parked"


def test_an_earlier_dead_letter_of_what_is_parked_isnt_redriven(scene: DeadScene) -> None:
    scene.dispatch("p1")
    first = scene.killed()
    scene.close("p1", outcome="RETRY", retry="p2")
    scene.dispatch("p2", lineage="p1", retries=1, parent="p1")
    scene.killed()
    scene.begin("p2", entry := scene.read_result()[0])
    scene.park("p2", entry)
    assert scene.redrive("p1", first, new="p3").verdict == "refused:parked"


def test_a_late_result_of_the_old_run_is_superseded(scene: DeadScene) -> None:
    letter = scene.parked()
    scene.redrive("p1", letter, new="p2")
    late = scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "publish_id": "p1", "status": "succeeded"})
    scene.read_result()
    assert scene.begin("p1", str(late)).verdict == "superseded"


def test_a_cancel_of_before_doesnt_stop_it_and_one_of_afterwards_does(scene: DeadScene) -> None:
    letter = scene.failed()
    scene.set_flag()
    scene.redrive("p1", letter, new="p2")
    assert scene.dispatch("p3", lineage="p1", retries=1).verdict == "sent", "a retry of the redriven run"
    assert scene.dispatch("other").verdict == "cancelled", "another lineage of the task id, whose message is delivered now"
    assert scene.cancel("p2") == "accepted"
    scene.set_flag()
    assert scene.dispatch("p4", lineage="p1", retries=2).verdict == "cancelled", "a revoke that came later"


def test_the_payload_may_be_another_and_what_expired_is_sent_all_the_same(scene: DeadScene) -> None:
    scene.dispatch(expires_at=PAST + LONG * 2)
    letter = scene.killed()
    scene.close(outcome="FAILURE")
    scene.redrive("p1", letter, new="p2", data='{"n":2}')
    command = scene.read().command
    assert (command.data, command.expires_at) == ({"n": 2}, None)
    assert scene.do(dead_letters.command_of(scene.keys, "p2"))["data"] == '{"n":2}', "a repair would send what it was"


def test_without_a_ledger_there_is_nothing_to_send(scene: DeadScene) -> None:
    assert scene.redrive("unheard of", "1-1", new="p2", task="t9", seen_seq=0, seen_phase="closed").verdict == "gone"
    assert scene.entries(scene.commands) == []


def test_the_counter_outlives_the_ledger_of_each_dead_letter(scene: DeadScene) -> None:
    """A dead letter's ledger is kept for longer than that of a retry that has succeeded afterwards."""
    scene.dispatch("p1")
    scene.killed()
    scene.close("p1", outcome="RETRY", retry="p2", tombstone=timedelta(days=30))
    scene.dispatch("p2", lineage="p1", retries=1, parent="p1")
    delivery = scene.read()
    scene.finish(delivery, scene.take_up(delivery).token)
    scene.close("p2", tombstone=timedelta(days=7))
    kept = scene.client.pttl(scene.keys.job("p1"))
    assert kept > timedelta(days=29) / timedelta(milliseconds=1)
    assert scene.client.pttl(scene.keys.task("t1")) > kept


def test_a_foreign_command_is_sent_again_once(scene: DeadScene) -> None:
    scene.client.xadd(
        scene.commands, {"type": "lab.run", "task_id": "f", "callback_stream": scene.results, "data": "{}", "expires_at": PAST.isoformat()}
    )
    assert scene.take_up(scene.read()).verdict == "expired"
    ((letter, fields),) = scene.entries(scene.dead)
    assert fields["reason"] == "expired"
    assert scene.resend(letter, data='{"n":2}') == scene.entries(scene.commands)[-1][0]
    assert scene.entries(scene.commands)[-1][1] == {"type": "lab.run", "task_id": "f", "callback_stream": scene.results, "data": '{"n":2}'}
    assert scene.resend(letter) == ""
    assert scene.resend("1-1") == ""
