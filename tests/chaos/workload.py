"""What is sent: a plan that a seed decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Final

from tests.chaos.jobs import CancelBy, Job, Operator, Outcome, Task, Unit

MAX_DELIVERIES = 5
SHORT_SECONDS = (0.0, 0.8)
LONG_SECONDS = (3.0, 6.0)
"""Longer than a lease."""
UNITS_IN_A_BURST = 12
USED_UP: Final[dict[str, object]] = {"failures": MAX_DELIVERIES, "how": "retryable"}
"""A job that becomes a dead letter, and succeeds when it is sent again."""


class Planner:
    """Makes units, each with numbers of its own."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"workload {seed}")
        self._numbers = count()
        self._burst: list[float] = []
        self._kinds: dict[Callable[[float], Unit], float] = {
            self._single: 28,
            self._linked: 16,
            self._chain: 12,
            self._chord: 9,
            self._flaky: 9,
            self._long: 12,
            self._once: 6,
            self._cancelled: 10,
            self._cancelled_chain: 4,
            self._insisting: 6,
            self._failing: 6,
            self._broken_chord: 3,
            self._poison: 1,
            self._exhausted: 1,
            self._retried: 1,
            self._revived: 1,
            self._parked: 1,
            self._discarded: 0.5,
            self._revoked_while_parked: 0.5,
        }
        self._slow = {self._poison, self._exhausted, self._retried, self._revived, self._parked, self._discarded, self._revoked_while_parked}
        """They come to their end after many deliveries only."""

    def plan(self, jobs: int, seconds: float) -> list[Unit]:
        """Units with at least `jobs` jobs in all, spread over a time; those that take long come in its first half."""
        units: list[Unit] = [make(self._random.uniform(0, seconds / 2)) for make in self._kinds]  # one of each, however short it is
        while sum(len(unit.all_jobs) for unit in units) < jobs:
            make = self._random.choices(list(self._kinds), list(self._kinds.values()))[0]
            units.append(make(self._random.uniform(0, seconds / 2) if make in self._slow else self._moment(seconds)))
        return sorted(units, key=lambda unit: unit.at)

    def _moment(self, seconds: float) -> float:
        """Half of it comes in bursts, so that something lies in every queue."""
        if len(self._burst) == 0:
            self._burst = [self._random.uniform(0, seconds)] * UNITS_IN_A_BURST
        return self._burst.pop() if self._random.random() < 0.5 else self._random.uniform(0, seconds)

    def _job(self, name: str, *, of: int | None = None, **more: object) -> Job:
        """A job that takes a little while; `of`: the sum that it is to return in a chain or a chord."""
        number = next(self._numbers)
        own = self._random.randint(1, 1_000_000)
        how = {"seconds": round(self._random.uniform(*SHORT_SECONDS), 2), **more.pop("how", {})}  # type: ignore[dict-item]
        return Job(id=f"{number:05d}-{name}", value=own if of is None else own + of, own_value=own, how=how, **more)  # type: ignore[arg-type]

    def _single(self, at: float) -> Unit:
        return Unit("single", at, (self._job("single"),))

    def _long(self, at: float) -> Unit:
        return Unit("long", at, (self._job("long", how={"seconds": round(self._random.uniform(*LONG_SECONDS), 1)}),))

    def _once(self, at: float) -> Unit:
        how = {"seconds": round(self._random.uniform(0, LONG_SECONDS[0]), 1)}
        job = self._job("once", task=Task.ONCE, outcome=Outcome.ONCE, errors=("UncertainOutcome",), most_runs=1, how=how)
        return Unit("at most once", at, (job,))

    def _linked(self, at: float) -> Unit:
        return Unit("with a link", at, (self._job("linked"),), link=self._job("link"))

    def _chain_of(self, length: int, **of_first: object) -> Iterator[Job]:
        total: int | None = None
        for place in range(length):
            job = self._job(f"chain-{place}", of=total, **of_first)
            total = job.value
            yield job

    def _chain(self, at: float) -> Unit:
        return Unit("chain", at, tuple(self._chain_of(3)))

    def _chord(self, at: float) -> Unit:
        parts = tuple(self._job("part") for _ in range(4))
        body = self._job("body", task=Task.TOTAL)
        return Unit("chord", at, parts, body=replace(body, value=sum(part.value for part in parts)))

    def _broken_chord(self, at: float) -> Unit:
        parts = (*(self._job("part") for _ in range(2)), self._failure("part"))
        body = self._job("body", task=Task.TOTAL, outcome=Outcome.FAILURE, errors=("ChordError",), fewest_publishes=0, most_publishes=0)
        return Unit("chord with a part that fails", at, parts, body=body)

    def _flaky(self, at: float) -> Unit:
        how = {"failures": self._random.randint(1, 2), "how": "retryable"}
        return Unit("retried by its worker", at, (self._job("flaky", how=how),))

    def _insisting(self, at: float) -> Unit:
        failures = self._random.randint(1, 2)
        job = self._job("insisting", task=Task.INSISTING, how={"failures": failures, "how": "fail"}, most_publishes=1 + failures)
        return Unit("retried by Celery", at, (job,))

    def _retried(self, at: float) -> Unit:
        job = self._job("retried", task=Task.RETRIED, how=USED_UP, most_publishes=2)
        return Unit("dead letter retried by Celery", at, (job,))

    def _failure(self, name: str) -> Job:
        return self._job(name, outcome=Outcome.FAILURE, errors=("RemoteError",), how={"failures": 1_000, "how": "fail"})

    def _failing(self, at: float) -> Unit:
        return Unit("failing, with an errback", at, (self._failure("failing"),), errback=self._job("errback"))

    def _poison(self, at: float) -> Unit:
        how = {"seconds": 0.0, "failures": 1_000, "how": "crash"}
        return Unit("poison", at, (self._job("poison", outcome=Outcome.FAILURE, errors=("PoisonCommand",), how=how),))

    def _exhausted(self, at: float) -> Unit:
        how = {"failures": 1_000, "how": "retryable"}
        return Unit("exhausted", at, (self._job("exhausted", outcome=Outcome.FAILURE, errors=("DeadLettered",), how=how),))

    def _revived(self, at: float) -> Unit:
        return Unit("dead letter redriven", at, (self._job("revived", how=USED_UP, operator=Operator.REDRIVE),))

    def _parked(self, at: float) -> Unit:
        """Its chord waits until the operator has come."""
        parked = self._job("parked", task=Task.PARKING, how=USED_UP, operator=Operator.REDRIVE)
        parts = (self._job("part"), parked)
        body = self._job("body", task=Task.TOTAL)
        return Unit("chord with a parked part, redriven", at, parts, body=replace(body, value=sum(part.value for part in parts)))

    def _discarded(self, at: float) -> Unit:
        how = {"failures": 1_000, "how": "retryable"}
        errors = ("DeadLettered",)
        job = self._job("discarded", task=Task.PARKING, outcome=Outcome.FAILURE, errors=errors, how=how, operator=Operator.DISCARD)
        return Unit("parked, discarded", at, (job,), errback=self._job("errback"))

    def _revoked_while_parked(self, at: float) -> Unit:
        how = {"failures": 1_000, "how": "retryable"}
        job = self._job("revoked", task=Task.PARKING, outcome=Outcome.CANCELLABLE, how=how, operator=Operator.REVOKE)
        return Unit("parked, revoked", at, (job,))

    def _cancelled(self, at: float) -> Unit:
        job = self._job("cancelled", outcome=Outcome.CANCELLABLE, how=self._cancellable(), fewest_publishes=0)
        return Unit("cancelled", at, (job,), cancel_after=self._patience(), cancel_by=self._random.choice(list(CancelBy)))

    def _cancelled_chain(self, at: float) -> Unit:
        chain = tuple(self._chain_of(2, outcome=Outcome.CANCELLABLE, how=self._cancellable(), fewest_publishes=0))
        return Unit("cancelled chain", at, chain, cancel_after=self._patience())

    def _cancellable(self) -> dict[str, object]:
        return {"seconds": round(self._random.uniform(0, 1.5), 2)}

    def _patience(self) -> float:
        return self._random.uniform(0, 1.5)
