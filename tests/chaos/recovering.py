"""What a part has in hand when it is hit, and when all of that is in good hands again. Read from the ledger and the pending lists.

    stream worker   the jobs that run in it: until each is taken up by somebody, put off, or has its result; where the worker itself wasn't killed, also until
                    it renews its lease again
    bridge          the results that it holds: until each is acknowledged
    Celery worker   the messages that are unacknowledged and not dispatched: until each is dispatched (both workers' messages: the broker doesn't tell whose)
    Redis           all open jobs: until the first one ends after it answered again

The time begins with the fault, so the fault's own length is in it.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streams.bus.topology import MANAGEMENT_CONSUMERS
from tests.acceptance.stack import LAB
from tests.chaos.chaos_stack import ChaosStack
from tests.chaos.faults import Harm, Part
from tests.chaos.outcomes import PREFIX, Outcomes
from tests.chaos.run_log import RunLog
from tests.chaos.striking import Struck


@dataclass(frozen=True, slots=True)
class _RunInHand:
    task_id: str
    publish_id: str
    token: str


class Recovery:
    """Looks after the faults until each is over."""

    def __init__(self, stack: ChaosStack, run_log: RunLog, outcomes: Outcomes) -> None:
        self._stack, self._run_log, self._outcomes = stack, run_log, outcomes
        self._waiting: dict[Struck, Callable[[], bool]] = {}

    def note(self, struck: Struck) -> None:
        """Just before it happens: what the part has in hand. The server answers."""
        is_over: Callable[[], bool] | None = None
        match struck.fault.part:
            case Part.WORKER:
                runs = self._runs_of(struck)
                struck.in_hand = frozenset(run.task_id for run in runs)
                is_over = self._when_empty(runs, lambda run: self._is_run_in_good_hands(struck, run))
            case Part.BRIDGE:
                held = self._results_of(struck)
                struck.in_hand = frozenset(held.values())
                is_over = self._when_empty(list(held), self._is_acknowledged)
            case Part.CELERY:
                struck.in_hand = frozenset(filter(lambda each: not self._is_dispatched(each), self._messages()))
                is_over = self._when_empty(list(struck.in_hand), self._is_dispatched)
            case Part.SERVER:
                struck.in_hand = frozenset(self._outcomes.open)
                is_over = self._first_end_after(struck)
        if struck.in_hand and is_over is not None:
            self._waiting[struck] = is_over

    def forget(self, struck: Struck) -> None:
        """It didn't happen."""
        self._waiting.pop(struck, None)

    def look(self) -> None:
        """See which faults are over.

        Raises:
            one of CONNECTION_ERRORS: the server is away.
        """
        for struck, is_over in list(self._waiting.items()):
            if is_over():
                struck.recovered_seconds = time.time() - struck.began
                del self._waiting[struck]

    @property
    def waiting(self) -> list[Struck]:
        return list(self._waiting)

    def _when_empty(self, items: list[Any], is_done: Callable[[Any], bool]) -> Callable[[], bool]:
        left = set(items)

        def is_over() -> bool:
            left.difference_update([item for item in left if is_done(item)])
            return not left

        return is_over

    def _first_end_after(self, struck: Struck) -> Callable[[], bool]:
        return lambda: struck.ended is not None and self._outcomes.last_end() > struck.ended

    # -------------------------------------------------------------------------------------------------------------------- stream workers

    def _runs_of(self, struck: Struck) -> list[_RunInHand]:
        keys, redis, found = self._stack.keys, self._stack.redis, []
        for run in self._run_log.under_way(struck.pids):
            publish_id = redis.hget(keys.task(run.task_id), f"publish:{run.attempt}")
            if publish_id:
                token = redis.hget(keys.run(LAB.name, str(publish_id)), "token")
                found.append(_RunInHand(run.task_id, str(publish_id), str(token)))
        return found

    def _is_run_in_good_hands(self, struck: Struck, run: _RunInHand) -> bool:
        keys, redis = self._stack.keys, self._stack.redis
        token, heartbeat, result, delayed = redis.hmget(keys.run(LAB.name, run.publish_id), ["token", "heartbeat", "result_id", "delayed"])
        if result or delayed or token != run.token or redis.hget(keys.job(run.publish_id), "phase") == "closed":
            return True
        dies = struck.fault.harm in {Harm.KILL, Harm.KILL_CHILD}
        return not dies and float(str(heartbeat)) / 1000 > struck.began

    # --------------------------------------------------------------------------------------------------------------------------- bridges

    def _results_of(self, struck: Struck) -> dict[str, str]:
        """The task of each result that this bridge holds, by its entry."""
        name, redis = f"{struck.target}@{socket.gethostname()}", self._stack.redis
        if not redis.exists(LAB.results):
            return {}
        rows: Any = redis.xpending_range(LAB.results, MANAGEMENT_CONSUMERS, "-", "+", 1_000, name)
        held = {}
        for row in rows:
            entry: Any = redis.xrange(LAB.results, row["message_id"], row["message_id"])
            if entry:
                held[str(row["message_id"])] = str(entry[0][1].get("task_id"))
        return held

    def _is_acknowledged(self, entry: str) -> bool:
        return not self._stack.redis.xpending_range(LAB.results, MANAGEMENT_CONSUMERS, entry, entry, 1)

    # -------------------------------------------------------------------------------------------------------------------- Celery workers

    def _messages(self) -> list[str]:
        """Task ids of unacknowledged messages, those aside that wait for their time."""
        rows: Any = self._stack.broker.hvals("unacked")
        headers = [json.loads(row)[0]["headers"] for row in rows]
        return [str(each["id"]) for each in headers if not each.get("eta")]

    def _is_dispatched(self, task_id: str) -> bool:
        return bool(self._stack.redis.exists(self._stack.keys.task(task_id), PREFIX + task_id))
