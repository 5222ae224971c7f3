"""Celery's control commands for stream workers, which have no Celery: a bridge takes them, and leaves orders that a worker hears with its next heartbeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from celery.worker.control import Panel

from bridge.connection import Connection
from streams.jobs import orders
from streams.jobs.orders import MOST_AT_A_TIME, Order, OrderKind
from streams.jobs.stream_worker import StreamWorker


def _shutdown(state: Any, worker: StreamWorker, **_: Any) -> dict[str, str]:
    return _give(state, worker, Order(kind=OrderKind.SHUTDOWN), "the stream worker will drain and end")


def _pool_grow(state: Any, worker: StreamWorker, n: int = 1, **_: Any) -> dict[str, str]:
    return _resize(state, worker, int(n), OrderKind.POOL_GROW, "pool will grow")


def _pool_shrink(state: Any, worker: StreamWorker, n: int = 1, **_: Any) -> dict[str, str]:
    return _resize(state, worker, -int(n), OrderKind.POOL_SHRINK, "pool will shrink")


def _resize(state: Any, worker: StreamWorker, by: int, kind: OrderKind, told: str) -> dict[str, str]:
    now = worker.status.concurrency
    if by == 0 or (by > 0) != (kind is OrderKind.POOL_GROW) or not 1 <= now + by <= MOST_AT_A_TIME:
        return {"error": f"{kind} by {abs(by)}: it runs {now} jobs at a time, and may run 1 to {MOST_AT_A_TIME}"}
    return _give(state, worker, Order(kind=kind, n=abs(by)), told)


def _give(state: Any, worker: StreamWorker, order: Order, told: str) -> dict[str, str]:
    connection, consumer = Connection.of(state.app), worker.status.consumer
    if consumer is None:
        return {"error": f"{order.kind}: this worker takes no orders, as it tells of no `consumer`"}
    orders.give(connection.client, connection.keys, consumer, order)
    return {"ok": told}


def _by_the_bridge(command: str) -> Callable[..., Any]:
    """What the bridge does for all of them, whichever is named."""
    return lambda state, _worker, **arguments: Panel.data[command](state, **arguments)


ORDERS: Final[dict[str, Callable[..., Any]]] = {
    "shutdown": _shutdown,
    "pool_grow": _pool_grow,
    "pool_shrink": _pool_shrink,
    **{command: _by_the_bridge(command) for command in ("revoke", "revoke_by_stamped_headers", "terminate")},
}
FOR_EACH_NAMED: Final = frozenset({"revoke", "revoke_by_stamped_headers", "terminate"})
"""Of those: without a destination the bridge hears them itself."""


def refuse(command: str) -> Callable[..., dict[str, str]]:
    """The answer of a stream worker that is named in a command which it can't do."""
    why = "Celery workers keep it, which dispatch: send it to them" if command in {"rate_limit", "time_limit"} else "a stream worker can't do that"
    can = ", ".join(sorted(set(ORDERS) - FOR_EACH_NAMED))
    return lambda _state, _worker, **_: {"error": f"{command}: {why} (it takes {can}, and what `inspect` asks)"}
