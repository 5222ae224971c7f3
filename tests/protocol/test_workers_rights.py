"""The ledger is split by who may write: a worker's functions do all their work while its user may only read management's half."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from streams.bus.clients import connect
from streams.bus.functions import FunctionCall, call
from streams.jobs import managing, orders, running
from streams.jobs.messages import ResultStatus
from streams.jobs.orders import Order, OrderKind
from tests.protocol.dead_scene import DeadScene
from tests.protocol.test_announce import announce
from workers.housekeeping import Housekeeping
from workers.settings import WorkerSettings

COMMANDS = "hget hset hmget hincrby hexists hdel hsetnx exists persist pexpire xpending xadd xack xclaim xautoclaim xrange xreadgroup zadd"


@pytest.fixture
def worker(scene: DeadScene, redis_url: str) -> Iterator[DeadScene]:
    """The same deployment, seen by a user who may read `job:` and write what is a worker's."""
    name, prefix = f"worker-{secrets.token_hex(4)}", scene.keys.prefix
    writable = [scene.commands, scene.results, scene.dead, scene.status, scene.delayed, f"{prefix}run:lab:*"]
    rules = [
        "on",
        "nopass",
        f"%R~{prefix}job:*",
        f"%R~{prefix}orders:*",
        f"%R~{prefix}workers",
        *(f"~{key}" for key in writable),
        "+fcall",
        *(f"+{name}" for name in COMMANDS.split()),
    ]
    scene.client.execute_command("ACL", "SETUSER", name, "reset", *rules)  # type: ignore[no-untyped-call]
    parts = urlsplit(redis_url)
    with connect(urlunsplit(parts._replace(netloc=f"{name}:any@{parts.netloc.rpartition('@')[2]}"))) as client:
        yield DeadScene(client, prefix, groups=False)
    scene.client.acl_deluser(name)


def test_a_job_runs_to_its_end(scene: DeadScene, worker: DeadScene) -> None:
    scene.dispatch()
    delivery = worker.read()
    token = worker.take_up(delivery).token
    assert worker.heartbeat(delivery, token) == "held"
    assert worker.finish(delivery, token, ResultStatus.SUCCEEDED, {"a": 1}) == "finished"


def test_a_job_is_delayed_handed_back_and_parked(scene: DeadScene, worker: DeadScene) -> None:
    for publish in ("later", "back"):
        scene.dispatch(publish)
    later = worker.read()
    assert worker.retry_later(later, worker.take_up(later).token) == "delayed"
    back = worker.read()
    assert call(worker.client, running.hand_back(worker.keys, back, worker.take_up(back).token)) == "handed_back"
    again = worker.claim("W2")
    assert again is not None
    assert worker.take_up(again, max_deliveries=0).verdict == "dead_lettered"


def test_it_learns_of_a_cancel_and_cant_undo_it(scene: DeadScene, worker: DeadScene) -> None:
    scene.dispatch()
    delivery = worker.read()
    token = worker.take_up(delivery).token
    assert scene.do(managing.cancel(scene.keys, scene.service, "p1")) == "accepted"
    assert worker.heartbeat(delivery, token) == "cancelled"
    with pytest.raises(redis.exceptions.NoPermissionError):
        worker.client.hset(worker.keys.job("p1"), "cancel", "")


def test_it_cant_call_the_functions_of_management(scene: DeadScene, worker: DeadScene) -> None:
    scene.dispatch()
    with pytest.raises(redis.exceptions.NoPermissionError):
        call(worker.client, managing.cancel(worker.keys, worker.service, "p1"))


def test_it_hears_orders_and_cant_give_them(scene: DeadScene, worker: DeadScene) -> None:
    orders.give(scene.client, scene.keys, "W1", Order(kind=OrderKind.SHUTDOWN))
    assert [order.kind for order in announce(worker).orders] == ["shutdown"]
    with pytest.raises(redis.exceptions.NoPermissionError):
        orders.give(worker.client, worker.keys, "W1", Order(kind=OrderKind.SHUTDOWN))


def test_one_that_may_not_read_orders_is_still_heard_of(scene: DeadScene, worker: DeadScene) -> None:
    step = FunctionCall("announce", (scene.status,), ("not its own", "not its own", "lab@here", "0-0", 10, "kind", "worker_online"), list)
    assert call(worker.client, step) == [[], ""]
    assert scene.client.xlen(scene.status) == 1


def test_it_cant_decide_about_dead_letters(scene: DeadScene, worker: DeadScene) -> None:
    letter = scene.failed("p1")
    scene.parked("p2", task="t2")
    steps: list[Callable[[], object]] = [
        lambda: worker.redrive("p1", letter, new="p3", seen_seq=1, seen_phase="closed", lineage=["p1"]),
        lambda: worker.redrive("p2", "1-1", new="p3", task="t2", seen_seq=1, seen_phase="parked", lineage=["p2"]),
        lambda: worker.release("p2"),
        lambda: worker.park("p2", "1-1", task="t2"),
        lambda: worker.retry_ended("p1"),
        lambda: worker.resend(letter),
    ]
    for step in steps:
        with pytest.raises(redis.exceptions.NoPermissionError):
            step()
    assert scene.job("p3") == {}
    assert scene.job("p2")["phase"] == "parked"


def test_a_worker_can_ask_which_of_its_jobs_have_ended(scene: DeadScene, worker: DeadScene, tmp_path: Path) -> None:
    scene.dispatch("open")
    settings = WorkerSettings(streams_prefix=scene.keys.prefix, jobs_dir=tmp_path, artifacts_url=str(tmp_path))
    house = Housekeeping(scene.service, settings)
    assert [False, True] == [house._run_has_ended(worker.client, publish) for publish in ("open", "gone")]
