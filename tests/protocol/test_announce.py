"""A worker announces itself, and hears what its own process is asked to do."""

from __future__ import annotations

from typing import Any

from streams.bus.codec import encode_json
from streams.jobs import orders
from streams.jobs.messages import WorkerStatus, WorkerStatusKind
from streams.jobs.orders import NONE_HEARD, Heard, Order, OrderKind
from tests.protocol.scene import Scene


def status(consumer: str = "W1") -> WorkerStatus:
    return WorkerStatus(kind=WorkerStatusKind.HEARTBEAT, worker="lab@here", pid=1, consumer=consumer, concurrency=1, freq=2)


def announce(scene: Scene, consumer: str = "W1", last: str = NONE_HEARD) -> Heard:
    return scene.do(orders.announce(scene.keys, scene.service, status(consumer), last=last, status_cap=100))


def test_what_it_tells_is_on_the_status_stream(scene: Scene) -> None:
    assert announce(scene) == Heard((), NONE_HEARD, None)
    rows: Any = scene.client.xrange(scene.status)
    assert status().model_copy(update={"at": None}) == WorkerStatus.from_redis_dict(rows[0][1]).model_copy(update={"at": None})


def test_each_order_is_heard_once_and_in_order(scene: Scene) -> None:
    orders.give(scene.client, scene.keys, "W1", Order(kind=OrderKind.POOL_GROW, n=3))
    orders.give(scene.client, scene.keys, "W1", Order(kind=OrderKind.SHUTDOWN))
    heard = announce(scene)
    assert heard.orders == (Order(kind=OrderKind.POOL_GROW, n=3), Order(kind=OrderKind.SHUTDOWN))
    assert announce(scene, last=heard.last) == Heard((), heard.last, None)
    orders.give(scene.client, scene.keys, "W1", Order(kind=OrderKind.POOL_SHRINK))
    assert [order.kind for order in announce(scene, last=heard.last).orders] == ["pool_shrink"]


def test_an_order_is_for_one_process_and_is_forgotten(scene: Scene) -> None:
    orders.give(scene.client, scene.keys, "W1", Order(kind=OrderKind.SHUTDOWN))
    assert announce(scene, "W2").orders == ()
    assert 0 < scene.client.ttl(scene.keys.orders("W1")) <= orders.ORDERS_TTL.total_seconds()


def test_an_order_that_it_does_not_know_is_passed_over(scene: Scene) -> None:
    scene.client.xadd(scene.keys.orders("W1"), {"kind": "dance"})
    orders.give(scene.client, scene.keys, "W1", Order(kind=OrderKind.SHUTDOWN))
    assert [order.kind for order in announce(scene).orders] == ["shutdown"]


def test_it_hears_what_was_last_told_under_its_name(scene: Scene) -> None:
    told = status("W2")
    scene.client.hset(scene.keys.workers, told.worker, encode_json({"service": "lab", **told.to_redis_dict()}))
    assert announce(scene).namesake == told
    scene.client.hset(scene.keys.workers, told.worker, "no JSON")
    assert announce(scene).namesake is None
