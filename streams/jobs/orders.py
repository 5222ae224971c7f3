"""Orders to a worker: it may only touch what is its service's, so it finds them in the answer to what it tells of itself (`lua/25_announce.lua`).

The management side writes them to a stream of that one process: a worker of the same name that comes later never sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import redis
from pydantic import Field

from streams.bus.codec import decode_json
from streams.bus.functions import FunctionCall, flat
from streams.bus.messages import EventMessage
from streams.bus.topology import Keys, Service
from streams.errors import DecodeError
from streams.jobs.messages import WorkerStatus

ORDERS_TTL: Final = timedelta(minutes=2)
"""For a worker that is out of touch; after that it isn't meant any more."""
NONE_HEARD: Final = "0-0"
MOST_AT_A_TIME: Final = 256
"""Jobs of one worker."""


class OrderKind(StrEnum):
    """What a worker can be asked for."""

    SHUTDOWN = "shutdown"
    """Drain and end, as at SIGTERM; a repeat changes nothing."""
    POOL_GROW = "pool_grow"
    """Run `n` more jobs at a time."""
    POOL_SHRINK = "pool_shrink"
    """Run `n` fewer jobs at a time; what runs goes on."""


class Order(EventMessage):
    """One order."""

    kind: OrderKind
    n: int = Field(default=1, ge=1)


@dataclass(frozen=True, slots=True)
class Heard:
    """The answer to an announcement."""

    orders: tuple[Order, ...]
    """Those since the last announcement, in their order."""
    last: str
    """Id of the last order so far."""
    namesake: WorkerStatus | None
    """What was last told under this name, by whichever process."""


def give(client: redis.Redis, keys: Keys, consumer: str, order: Order) -> None:
    """Leave an order for one worker process, by its consumer name."""
    fields: dict[Any, Any] = {**order.to_redis_dict()}
    with client.pipeline(transaction=True) as both:
        both.xadd(keys.orders(consumer), fields)
        both.pexpire(keys.orders(consumer), ORDERS_TTL)
        both.execute()


def announce(keys: Keys, service: Service, status: WorkerStatus, *, last: str = NONE_HEARD, status_cap: int) -> FunctionCall[Heard]:
    """Tell how things stand with a worker, and hear what it is to do.

    Args:
        keys: of this deployment.
        service: the worker's.
        status: with its `consumer`.
        last: id of the last order that it has heard.
        status_cap: about how many messages the status stream keeps.
    """
    return FunctionCall(
        "announce",
        (keys.stream(service.status),),
        (keys.orders(status.consumer or ""), keys.workers, status.worker, last, status_cap, *flat(status.to_redis_dict())),
        lambda reply: _heard(reply, last),
    )


def _heard(reply: Any, last: str) -> Heard:
    rows, told = reply
    orders = []
    for _, fields in rows:
        try:
            orders.append(Order.from_redis_dict(dict(zip(fields[::2], fields[1::2], strict=True))))
        except DecodeError:  # of a later version's management
            continue
    return Heard(tuple(orders), str(rows[-1][0]) if rows else last, _last_told(told))


def _last_told(told: str) -> WorkerStatus | None:
    try:
        return WorkerStatus.from_redis_dict(decode_json(told)) if told else None
    except (DecodeError, TypeError, ValueError):
        return None
