"""One deployment on a real server, for tests of the protocol: its keys, its groups, and each step in a few words."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final, TypeVar, cast

import redis

from streams.bus.functions import FunctionCall, call
from streams.bus.topology import MANAGEMENT_CONSUMERS, Keys, Service
from streams.jobs import dispatching, managing, resolving, running
from streams.jobs.dispatching import Dispatched
from streams.jobs.messages import Command, DeadReason, JobErrorInfo, Result, ResultStatus
from streams.jobs.resolving import Begun
from streams.jobs.running import Delivery, TakenUp

T = TypeVar("T")

SERVICE: Final = Service.named("lab")
TOMBSTONE: Final = timedelta(days=7)
DEAD_TOMBSTONE: Final = timedelta(days=30)
"""Of what has a dead letter."""
MARK_TTL_SECONDS: Final = 30 * 86_400
LONG: Final = timedelta(hours=1)
FAR_MS: Final = 2**52
"""A moment (ms) at which everything delayed is due."""
ERROR: Final = JobErrorInfo(type="Unreachable", message="the exchange is away", retryable=True)

Row = tuple[str, dict[str, str]]


class Scene:
    """Steps of callers, workers and bridges; `do` sends any other."""

    def __init__(self, client: redis.Redis, prefix: str, *, groups: bool = True) -> None:
        self.client, self.keys, self.service = client, Keys(prefix), SERVICE
        self.commands, self.results = self.keys.stream(SERVICE.commands), self.keys.stream(SERVICE.results)
        self.dead, self.status = self.keys.stream(SERVICE.dead_letters), self.keys.stream(SERVICE.status)
        self.delayed = self.keys.delayed(SERVICE.name)
        self._nonces = count(1)
        if groups:
            pipe = client.pipeline(transaction=False)
            pipe.xgroup_create(self.commands, SERVICE.group, id="0", mkstream=True)
            pipe.xgroup_create(self.results, MANAGEMENT_CONSUMERS, id="0", mkstream=True)
            pipe.execute()

    def do(self, step: FunctionCall[T]) -> T:
        return call(self.client, step)

    def nonce(self) -> str:
        return f"n{next(self._nonces)}"

    # ------------------------------------------------------------------------------------------------------------------------------- dispatch

    def dispatch(
        self,
        publish: str = "p1",
        *,
        task: str = "t1",
        lineage: str | None = None,
        retries: int = 0,
        expires_at: datetime | None = None,
        max_backlog: int | None = None,
        at_most_once: bool = False,
        parent: str = "",
    ) -> Dispatched:
        command = Command(type="lab.run", task_id=task, callback_stream=self.results, data={"n": 1}, expires_at=expires_at, at_most_once=at_most_once)
        step = dispatching.dispatch(
            self.keys,
            self.service,
            command,
            publish_id=publish,
            lineage=lineage or publish,
            retries=retries,
            context=f"ctx of {publish}",
            max_backlog=max_backlog,
            parent=parent,
        )
        return self.do(step)

    def set_flag(self, task: str = "t1") -> None:
        self.client.set(self.keys.cancel_flag(task), self.nonce(), px=LONG)

    # ------------------------------------------------------------------------------------------------------------------------------------ run

    def read(self, consumer: str = "W1") -> Delivery:
        """The next new command."""
        (row,) = rows(self.client.xreadgroup(self.service.group, consumer, {self.commands: ">"}, count=1), self.commands)
        return self.delivery(row, consumer)

    def claim(self, consumer: str, *, min_idle_ms: int = 0) -> Delivery | None:
        """The first pending command whose lease is over, which is any one when `min_idle_ms` is 0."""
        claimed: list[Row] = self.client.xautoclaim(self.commands, self.service.group, consumer, min_idle_ms, "0-0", count=1)[1]
        return self.delivery(claimed[0], consumer) if claimed else None

    def delivery(self, row: Row, consumer: str) -> Delivery:
        return Delivery(self.service, self.commands, row[0], consumer, Command.from_redis_dict(row[1]))

    def take_up(self, delivery: Delivery, *, nonce: str | None = None, max_deliveries: int = 3) -> TakenUp:
        step = running.take_up(
            self.keys, delivery, nonce=nonce or self.nonce(), max_deliveries=max_deliveries, worker=f"lab@{delivery.consumer}", pid=7
        )
        return self.do(step)

    def started(self, publish: str = "p1", *, consumer: str = "W1", task: str = "t1") -> tuple[Delivery, str]:
        """A publish that was dispatched, read and taken up: its delivery and its token."""
        self.dispatch(publish, task=task)
        delivery = self.read(consumer)
        return delivery, self.take_up(delivery).token

    def heartbeat(self, delivery: Delivery, token: str) -> str:
        return self.do(running.heartbeat(self.keys, delivery, token))

    def finish(self, delivery: Delivery, token: str, status: ResultStatus = ResultStatus.SUCCEEDED, data: Any = None) -> str:
        command = delivery.command
        result = Result(task_id=command.task_id, attempt=command.attempt, publish_id=command.publish_id, status=status, data=data)
        return self.do(running.finish(self.keys, delivery, token, result))

    def retry_later(
        self, delivery: Delivery, token: str, *, delay: timedelta = timedelta(0), max_deliveries: int = 3, reason: DeadReason = DeadReason.EXHAUSTED
    ) -> str:
        step = running.retry_later(
            self.keys,
            delivery,
            token,
            ERROR,
            reason=reason,
            delay=delay,
            max_deliveries=max_deliveries,
            worker=f"lab@{delivery.consumer}",
            pid=7,
        )
        return self.do(step)

    def dead_letter(self, row: Row, *, consumer: str = "W1", reason: DeadReason = DeadReason.UNDECODABLE) -> str:
        step = running.dead_letter(
            self.keys,
            self.service,
            stream=self.commands,
            consumer=consumer,
            entry=row[0],
            fields=row[1],
            reason=reason,
            error=ERROR,
            worker=f"lab@{consumer}",
            pid=7,
        )
        return self.do(step)

    def hand_back(self, delivery: Delivery, token: str) -> str:
        return self.do(running.hand_back(self.keys, delivery, token))

    # -------------------------------------------------------------------------------------------------------------------------------- resolve

    def read_result(self, bridge: str = "B1") -> Row:
        (row,) = rows(self.client.xreadgroup(MANAGEMENT_CONSUMERS, bridge, {self.results: ">"}, count=1), self.results)
        return row

    def claim_result(self, bridge: str) -> Row | None:
        claimed: list[Row] = self.client.xautoclaim(self.results, MANAGEMENT_CONSUMERS, bridge, 0, "0-0", count=1)[1]
        return claimed[0] if claimed else None

    def begin(self, publish: str, entry: str) -> Begun:
        task, service = self.client.hmget(self.keys.job(publish), ["task_id", "service"])
        step = resolving.begin(
            self.keys, publish, results=self.results, group=MANAGEMENT_CONSUMERS, entry=entry, task_id=str(task), service_name=str(service)
        )
        return self.do(step)

    def resolved(
        self,
        publish: str,
        entry: str,
        *,
        task: str = "t1",
        tombstone: timedelta = TOMBSTONE,
        outcome: str = "SUCCESS",
        retry: str = "",
        retry_due_ms: int = 0,
    ) -> str:
        step = resolving.resolved(
            self.keys,
            self.service.name,
            publish,
            task,
            results=self.results,
            group=MANAGEMENT_CONSUMERS,
            entry=entry,
            outcome=outcome,
            retry=retry,
            retry_due_ms=retry_due_ms,
            tombstone=tombstone,
        )
        return self.do(step)

    def close(self, publish: str = "p1", *, task: str = "t1", outcome: str = "SUCCESS", retry: str = "", tombstone: timedelta = TOMBSTONE) -> str:
        """Read, begin and resolve the next result; its entry."""
        entry = self.read_result()[0]
        assert self.begin(publish, entry).verdict == "won"
        assert self.resolved(publish, entry, task=task, outcome=outcome, retry=retry, tombstone=tombstone) == "closed"
        return entry

    # --------------------------------------------------------------------------------------------------------------------------------- manage

    def promote(self, publish: str = "p1", *, now_ms: int | None = None) -> str:
        step = managing.promote(self.keys, self.service, publish)
        return self.do(step if now_ms is None else FunctionCall(step.name, step.keys, (step.args[0], now_ms, *step.args[2:]), step.parse))

    def cancel(self, publish: str = "p1", *, waiting_only: bool = False) -> str:
        return self.do(managing.cancel(self.keys, self.service, publish, waiting_only=waiting_only))

    def repair(self, publish: str = "p1", *, task: str = "t1", attempt: int = 1, max_deliveries: int = 3, answered_up_to: str = "") -> str:
        step = managing.repair(
            self.keys,
            self.service,
            publish,
            task_id=task,
            attempt=attempt,
            callback_stream=self.results,
            results_group=MANAGEMENT_CONSUMERS,
            max_deliveries=max_deliveries,
            answered_up_to=answered_up_to,
        )
        return self.do(step)

    # ----------------------------------------------------------------------------------------------------------------------------------- look

    def job(self, publish: str = "p1") -> dict[str, str]:
        return cast("dict[str, str]", self.client.hgetall(self.keys.job(publish)))

    def run(self, publish: str = "p1") -> dict[str, str]:
        return cast("dict[str, str]", self.client.hgetall(self.keys.run(self.service.name, publish)))

    def entries(self, stream: str) -> list[Row]:
        return cast("list[Row]", self.client.xrange(stream))

    def sent_results(self) -> list[dict[str, str]]:
        return [fields for _, fields in self.entries(self.results)]

    def pending(self, stream: str | None = None, group: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.xpending_range(stream or self.commands, group or self.service.group, "-", "+", 1000)
        return found


def rows(reply: Any, stream: str) -> list[Row]:
    """What a read gave of one stream."""
    found: list[Row] = (reply or {}).get(stream, [])
    return found
