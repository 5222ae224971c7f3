"""S6: a command that may run once only is never run again, whoever would."""

from __future__ import annotations

import pytest

from streams.jobs import dead_letters
from tests.protocol.dead_scene import DeadScene


def reason(scene: DeadScene) -> str:
    ((_, letter),) = scene.entries(scene.dead)
    (result,) = scene.sent_results()
    assert (result["status"], result["reason"]) == ("dead_lettered", letter["reason"])
    assert scene.pending() == []
    return letter["reason"]


def test_a_command_says_so(scene: DeadScene) -> None:
    scene.dispatch(at_most_once=True)
    assert scene.entries(scene.commands)[0][1]["at_most_once"] == "true"
    assert scene.read().command.at_most_once


def test_it_isnt_taken_up_a_second_time(scene: DeadScene) -> None:
    scene.dispatch(at_most_once=True)
    assert scene.take_up(scene.read()).verdict == "run"
    again = scene.claim("W2")
    assert again is not None
    assert scene.take_up(again).verdict == "dead_lettered"
    assert reason(scene) == "uncertain"


def test_nor_when_its_entry_was_deleted(scene: DeadScene) -> None:
    scene.dispatch(at_most_once=True)
    delivery = scene.read()
    scene.take_up(delivery)
    scene.client.xdel(scene.commands, delivery.entry)
    assert scene.take_up(delivery).verdict == "dead_lettered"
    assert reason(scene) == "uncertain"


def test_a_passing_trouble_isnt_tried_again(scene: DeadScene) -> None:
    scene.dispatch(at_most_once=True)
    delivery = scene.read()
    assert scene.retry_later(delivery, scene.take_up(delivery).token) == "dead_lettered"
    assert reason(scene) == "uncertain"
    assert scene.client.zcard(scene.delayed) == 0


def test_a_command_that_vanished_isnt_sent_again(scene: DeadScene) -> None:
    scene.dispatch(at_most_once=True)
    scene.client.delete(scene.commands)
    assert scene.repair() == "dead_lettered"
    ((_, letter),) = scene.entries(scene.dead)
    assert letter["reason"] == "uncertain"


def test_it_isnt_reaped_to_run_again(scene: DeadScene) -> None:
    scene.dispatch(at_most_once=True)
    assert scene.reap(scene.read().entry) == "dead_lettered"
    assert reason(scene) == "uncertain"


@pytest.mark.parametrize("parked", [False, True])
def test_a_redriven_one_may_run_once_again(scene: DeadScene, *, parked: bool) -> None:
    scene.dispatch(at_most_once=True)
    letter = scene.killed()
    if parked:
        scene.begin("p1", entry := scene.read_result()[0])
        scene.park("p1", entry)
    else:
        scene.close(outcome="FAILURE")
    assert scene.redrive("p1", letter, new="p2").verdict == "sent"
    assert scene.do(dead_letters.command_of(scene.keys, "p2"))["at_most_once"] == "true"
    assert scene.take_up(scene.read()).verdict == "run"
    again = scene.claim("W2")
    assert again is not None
    assert scene.take_up(again).verdict == "dead_lettered"
