"""One process at a time does a work of upkeep, once in its interval; one that dies over it keeps nobody else from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bridge.connection import Connection
from bridge.maintenance.registry import WORKS, Work, due_works
from bridge.maintenance.turns import Turn, do_in_turn
from tests.protocol.scene import Scene
from tests.waiting import wait_until

Connected = Callable[..., Connection]


def counted(done: list[str]) -> Work:
    return Work("trim", lambda connection: done.append(connection.keys.prefix), "trim_seconds")


def test_of_many_at_once_one_does_it(connected: Connected) -> None:
    done: list[str] = []
    works = [(connected(trim_seconds=60.0), f"b{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        turns = list(pool.map(lambda each: do_in_turn(each[0], counted(done), by=each[1]), works))
    assert 1 == len(done)
    assert 1 == sum(turn.done for turn in turns)
    assert all(0 < turn.free_in_seconds <= 54 for turn in turns if not turn.done)


def test_it_is_done_again_after_its_interval(connected: Connected) -> None:
    done: list[str] = []
    connection = connected(trim_seconds=0.2)
    do_in_turn(connection, counted(done), by="b")
    wait_until(lambda: do_in_turn(connection, counted(done), by="b").done)
    assert 2 == len(done)


def test_a_long_work_keeps_its_turn(connected: Connected) -> None:
    begun, over, done = threading.Event(), threading.Event(), list[str]()
    mine, other = connected(trim_seconds=0.3), connected(trim_seconds=0.3)
    key = mine.keys.upkeep_turn("trim")
    holder = mine.client.get

    def work(_: Connection) -> None:
        begun.set()
        over.wait(20)

    thread = threading.Thread(target=do_in_turn, args=(mine, Work("trim", work, "trim_seconds")), kwargs={"by": "slow"})
    thread.start()
    begun.wait(20)
    first = holder(key)
    renewed: list[int] = []
    # Several times its interval: each renewal makes what is left of its life grow.
    before = [10**9]

    def has_grown_thrice() -> bool:
        left = int(str(other.client.pttl(key)))
        if left > before[0]:
            renewed.append(left)
        before[0] = left
        return len(renewed) >= 5

    wait_until(has_grown_thrice)
    assert first == holder(key)
    assert not do_in_turn(other, counted(done), by="other").done
    over.set()
    thread.join()
    assert [] == done


@pytest.mark.chaos
def test_one_that_is_killed_over_it_leaves_it_to_the_next(connected: Connected, redis_url: str, scene: Scene) -> None:
    code = f"""
import time
from celery import Celery
from bridge import connect
from bridge.connection import Connection
from bridge.maintenance.registry import Work
from bridge.maintenance.turns import do_in_turn
from bridge.settings import BridgeSettings
app = connect(Celery("victim", broker="memory://", set_as_current=False), BridgeSettings(redis_url={redis_url!r}, streams_prefix={scene.keys.prefix!r}, trim_seconds=2.0))
def work(connection):
    print("begun", flush=True)
    time.sleep(600)
do_in_turn(Connection.of(app), Work("trim", work, "trim_seconds"), by="victim")
"""
    victim = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=os.getcwd())
    try:
        assert victim.stdout is not None
        assert "begun" == victim.stdout.readline().strip()
        done: list[str] = []
        connection = connected(trim_seconds=2.0)
        assert not do_in_turn(connection, counted(done), by="next").done
        victim.send_signal(signal.SIGKILL)
    finally:
        victim.kill()
        victim.communicate()
    assert do_in_turn(connection, counted(done), by="next").free_in_seconds <= 2.0
    wait_until(lambda: do_in_turn(connection, counted(done), by="next").done)
    assert 1 == len(done)


def test_what_came_out_is_noted(connected: Connected) -> None:
    connection = connected()
    do_in_turn(connection, Work("trim", lambda _: {"s": 3}, "trim_seconds"), by="bridge@here")
    noted = json.loads(str(connection.client.hget(connection.keys.upkeep, "trim")))
    assert ("bridge@here", {"s": 3}) == (noted["by"], noted["outcome"])
    assert {"at", "by", "outcome", "seconds"} == set(noted)


def test_what_went_wrong_is_noted_and_raised(connected: Connected) -> None:
    def work(_: Connection) -> None:
        raise OSError("no room")

    connection = connected()
    with pytest.raises(OSError, match="no room"):
        do_in_turn(connection, Work("trim", work, "trim_seconds"), by="b")
    noted = json.loads(str(connection.client.hget(connection.keys.upkeep, "trim")))
    assert "OSError: no room" == noted["error"]


@pytest.mark.parametrize("name", [work.name for work in WORKS])
def test_each_work_can_be_done_twice_at_once(connected: Connected, scene: Scene, name: str) -> None:
    delivery, token = scene.started("p1")
    scene.finish(delivery, token)
    scene.close("p1")
    scene.dispatch("p2", task="t2")
    work, failed = next(each for each in WORKS if each.name == name), list[Any]()

    def do(connection: Connection) -> None:
        try:
            work.do(connection)
        except Exception as exc:  # noqa: BLE001 - told below
            failed.append(exc)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(do, [connected() for _ in range(4)]))
    assert [] == failed
    assert "open" == scene.job("p2")["phase"]
    assert scene.client.xlen(scene.commands) >= 1


def test_an_interval_of_0_is_never(connected: Connected) -> None:
    assert "trim" not in due_works(connected(trim_seconds=0.0).settings)
    assert isinstance(do_in_turn(connected(), WORKS[0], by="b"), Turn)
