"""Listens to what anybody could see of the tasks: Celery's events, each state as it is stored, what signals and handlers wrote down."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

from celery import Celery
from celery.states import IGNORED
from redis import Redis

from tests.fidelity import recording
from tests.waiting import wait_until

TERMINAL_EVENTS = frozenset({"task-succeeded", "task-failed", "task-retried", "task-revoked", "task-rejected"})
META = "celery-task-meta-"

Record = dict[str, Any]


class Observer:
    """Everything since it was entered, by task id. Enter it before anything is sent."""

    def __init__(self, app: Celery, redis: Redis) -> None:
        self._app, self._redis = app, redis
        self.events: dict[str, list[Record]] = defaultdict(list)
        self.states: dict[str, list[Record]] = defaultdict(list)
        """Redis tells whoever subscribes of each state that is stored: none is missed, however short it lasts."""
        self.lines: dict[str, list[Record]] = defaultdict(list)
        self._published: dict[str, dict[int, Record]] = defaultdict(dict)
        """Each message by the ids of its task and of its root, and by its place among all."""
        self._read = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._receiver: Any = None
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._receive_events, self._receive_states)]

    def __enter__(self) -> Self:
        others = int(self._redis.pubsub_numpat())
        for thread in self._threads:
            thread.start()
        # Both listen before anything happens: a server drops what is published to nobody.
        wait_until(lambda: int(self._redis.pubsub_numpat()) >= others + 2, message="the receivers of events and states listen")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stopping.set()
        if self._receiver is not None:
            self._receiver.should_stop = True
        for thread in self._threads:
            thread.join(5)

    def _receive_events(self) -> None:
        with self._app.connection_for_read() as connection:
            self._receiver = self._app.events.Receiver(connection, handlers={"*": self._on_event})
            self._receiver.capture(limit=None, timeout=None, wakeup=False)

    def _on_event(self, event: Record) -> None:
        if "uuid" in event:
            self.events[event["uuid"]].append(event)

    def _receive_states(self) -> None:
        with self._redis.pubsub() as pubsub:  # type: ignore[no-untyped-call]
            pubsub.psubscribe(f"{META}*")
            while not self._stopping.is_set():
                message = pubsub.get_message(timeout=0.2)
                if message and message["type"] == "pmessage":
                    self.states[message["channel"].removeprefix(META)].append(json.loads(message["data"]))

    def read_lines(self) -> None:
        """What signals and handlers have written since the last time."""
        with self._lock:
            texts: Any = self._redis.lrange(recording.LIST, self._read, -1)
            for line in map(json.loads, texts):
                self._read += 1
                if line["kind"] == "publish":
                    for each in {line["id"], line["headers"]["root_id"]} - {None}:
                        self._published[each][self._read] = line
                if line["id"]:
                    self.lines[line["id"]].append(line)

    def published_under(self, roots: Collection[str]) -> list[Record]:
        """Each message sent because of these tasks, in their order."""
        found = {place: line for root in roots for place, line in list(self._published[root].items())}
        return [found[place] for place in sorted(found)]

    def unfinished(self, roots: Collection[str], silent: Collection[str] = ()) -> list[str]:
        """The tasks with more messages than ends. `silent` ones have no event that tells of their end."""
        self.read_lines()
        ids = {line["id"] for line in self.published_under(roots)} - set(silent)
        # One that couldn't be encoded was about to be published, and never was.
        sent = {each: sum(line["kind"] == "published" for line in list(self.lines[each])) for each in ids}
        return [task_id for task_id, count in sent.items() if count > self.ends(task_id)]

    def ends(self, task_id: str) -> int:
        """How often it has ended: an attempt that is retried, or a message that is rejected, has too. Of one that its body ignores, or replaces,
        no event tells; and that of a revoked one comes before its state, but its signal after it.
        """
        told = sum(
            event["type"] in TERMINAL_EVENTS and not event.get("requeue") and event["type"] != "task-revoked" for event in list(self.events[task_id])
        )
        written = sum(line["kind"] == "revoked" or (line["kind"] == "postrun" and line["state"] == IGNORED) for line in list(self.lines[task_id]))
        return int(told + written)
