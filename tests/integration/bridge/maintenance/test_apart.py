"""What the workers of one service write to keys of their own, be it nonsense, holds up the upkeep of no other service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis

from bridge.connection import Connection
from bridge.maintenance.apart import apart
from bridge.maintenance.dead_letters import purge_old_dead_letters
from bridge.maintenance.promoting import promote_due
from bridge.maintenance.reaping import reap_silent
from bridge.maintenance.trimming import trim_done
from bridge.reconciling import Kind, find_problems
from bridge.reconciling.thresholds import ReconcilerSettings
from streams.bus.topology import SERVICES, Service
from tests.protocol.scene import SERVICE, Scene

BAD = Service.named("aaa-bad")
AT_ONCE = ReconcilerSettings(settle_seconds=0, silent_leases=1, stalled_seconds=0.001, retry_grace_seconds=0)


@pytest.fixture
def bad(scene: Scene) -> Iterator[Service]:
    """Comes before `lab`."""
    others = dict(SERVICES)
    SERVICES.clear()
    SERVICES.update({BAD.name: BAD} | others)
    yield BAD
    SERVICES.clear()
    SERVICES.update(others)


@pytest.fixture
def connection(bad: Service, connected: Callable[..., Connection]) -> Connection:
    return connected(dead_letter_days=1.0)


def put_off(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token)


def test_each_is_done_and_the_first_refusal_is_told_at_the_end() -> None:
    done: list[int] = []

    def do(number: int) -> int:
        done.append(number)
        if number % 2:
            raise redis.ResponseError(str(number))
        return number

    with pytest.raises(redis.ResponseError, match="1"):
        list(apart(range(5), do))
    assert done == [0, 1, 2, 3, 4]
    assert list(apart([0, 2], do)) == [0, 2]


def test_delayed_commands_of_another_service_are_promoted(scene: Scene, connection: Connection) -> None:
    put_off(scene)
    scene.client.set(scene.keys.delayed(BAD.name), "no sorted set")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        promote_due(connection)
    assert scene.read().publish_id == "p1"


def test_so_are_those_behind_one_that_is_nonsense(scene: Scene, connection: Connection) -> None:
    put_off(scene)
    scene.client.set(scene.keys.run(SERVICE.name, "odd"), "no hash")
    scene.client.zadd(scene.delayed, {"odd": 1})
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        promote_due(connection)
    assert scene.read().publish_id == "p1"


def test_entries_behind_one_that_is_nonsense_are_reaped(scene: Scene, connection: Connection) -> None:
    SERVICES[SERVICE.name] = replace(SERVICE, reap_after_seconds=0)
    scene.client.xadd(scene.commands, {"publish_id": "odd"})
    scene.client.set(scene.keys.run(SERVICE.name, "odd"), "no hash")
    scene.dispatch()
    scene.client.xreadgroup(SERVICE.group, "foreign", {scene.commands: ">"})
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        reap_silent(connection)
    assert scene.read().publish_id == "p1"


def test_old_dead_letters_of_another_service_are_purged(scene: Scene, connection: Connection) -> None:
    scene.client.xadd(scene.dead, {"reason": "poison"}, id="5-1")
    scene.client.set(scene.keys.stream(BAD.dead_letters), "no stream")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        purge_old_dead_letters(connection)
    assert scene.client.xlen(scene.dead) == 0


def test_streams_of_another_service_are_trimmed(scene: Scene, connection: Connection) -> None:
    status = scene.keys.stream(SERVICE.status)
    for number in range(1, 12_001):
        scene.client.xadd(status, {"n": number})
    scene.client.set(scene.keys.stream(BAD.status), "no stream")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        trim_done(connection, exact=True)
    assert scene.client.xlen(status) == 10_000


@pytest.mark.parametrize("field", ["result_id", "progress_at", "heartbeat"])
def test_the_doctor_looks_at_the_jobs_behind_one_that_is_nonsense(scene: Scene, connection: Connection, field: str) -> None:
    scene.started()
    scene.client.hset(scene.keys.run(SERVICE.name, "p1"), mapping={"progress_at": 5, field: "nonsense"})
    scene.dispatch("p2", task="t2")
    delivery = scene.read("W2")
    scene.finish(delivery, scene.take_up(delivery).token)
    assert ("task t2", Kind.RESULT_UNRESOLVED) in {(each.what, each.kind) for each in find_problems(connection, settings=AT_ONCE)}


@pytest.mark.parametrize("key", ["delayed", "commands"])
def test_the_doctor_looks_at_the_services_behind_one_that_is_nonsense(scene: Scene, connection: Connection, key: str) -> None:
    put_off(scene)
    scene.client.set(scene.keys.delayed(BAD.name) if key == "delayed" else scene.keys.stream(BAD.commands), "nonsense")
    assert Kind.DELAYED_OVERDUE in {each.kind for each in find_problems(connection, settings=AT_ONCE)}
