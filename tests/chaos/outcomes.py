"""How the tasks stand, as their result backend tells it: looked up, and heard of on its channels."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import redis

from bridge.states import DEAD_LETTERED
from tests.acceptance.stack import Stack

TERMINAL = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
PREFIX = "celery-task-meta-"


class Outcomes:
    """The states of the jobs that were sent."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._channels: Any = None
        self.open: set[str] = set()
        self.parked: set[str] = set()
        """Those that are in state DEAD_LETTERED, as of the last look."""
        self.ended_at: dict[str, float] = {}
        """When the driver first saw it ended: seconds since the epoch."""
        self.ended_as: dict[str, str] = {}
        self.heard: dict[str, list[str]] = defaultdict(list)
        """The terminal states that were stored, in their order, each change once. Not all are heard of: the server forgets who listens when it dies."""

    def expect(self, task_ids: Iterable[str]) -> None:
        self.open.update(task_ids)

    def look(self) -> set[str]:
        """Those that have ended since the last look.

        Raises:
            one of CONNECTION_ERRORS: the server is away.
        """
        self._listen()
        ids = sorted(self.open)
        metas: Any = self._stack.redis.mget([PREFIX + each for each in ids]) if ids else []
        states = {each: json.loads(meta)["status"] for each, meta in zip(ids, metas, strict=True) if meta}
        self.parked = {each for each, state in states.items() if state == DEAD_LETTERED}
        ended = {each for each, state in states.items() if state in TERMINAL}
        self.ended_at |= dict.fromkeys(ended, time.time())
        self.ended_as |= {each: states[each] for each in ended}
        self.open -= ended
        return ended

    def metas(self, task_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What is stored of each; an empty one for what nothing is stored of."""
        ids = list(task_ids)
        found: Any = self._stack.redis.mget([PREFIX + each for each in ids])
        return {each: json.loads(meta) if meta else {} for each, meta in zip(ids, found, strict=True)}

    def last_end(self) -> float:
        return max(self.ended_at.values(), default=0.0)

    def _listen(self) -> None:
        try:
            if self._channels is None:
                self._channels = self._stack.redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                self._channels.psubscribe(f"{PREFIX}*")
            while (message := self._channels.get_message(timeout=0)) is not None:
                meta = json.loads(message["data"])
                told = [meta["status"], meta["result"]] if meta["status"] == "SUCCESS" else [meta["status"]]
                states, state = self.heard[message["channel"].removeprefix(PREFIX)], json.dumps(told)
                if meta["status"] in TERMINAL and states[-1:] != [state]:
                    states.append(state)
        except (redis.RedisError, OSError):
            if self._channels is not None:
                self._channels.close()
            self._channels = None
            raise
