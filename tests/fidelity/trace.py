"""What of a run is compared: one JSON-like value, with names for ids, and without what no two runs have in common (times, pids)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from tests.fidelity.kit import Kit
from tests.fidelity.labels import Labels
from tests.fidelity.observing import META, TERMINAL_EVENTS, Record
from tests.fidelity.recording import plain

HEADERS = (
    "task",
    "retries",
    "group_index",
    "shadow",
    "timelimit",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
    "argsrepr",
    "kwargsrepr",
)
OF_THE_BRIDGE = frozenset({"publish_id", "publish_lineage", "publish_parent"})
NOT_COMPARED = frozenset(
    {"id", "root_id", "parent_id", "group", "eta", "expires", "lang", "origin", "correlation_id", "reply_to", "hostname", "headers"}
)
NOT_OF_EVENTS = frozenset({"uuid", "root_id", "parent_id", "timestamp", "local_received", "clock", "utcoffset", "type", "pid", "hostname", "state"})
PRESENT_IN_EVENTS = frozenset({"runtime", "traceback", "eta", "expires"})
EXECUTION = frozenset(
    {"prerun", "postrun", "before_start", "on_success", "on_failure", "on_retry", "after_return", "success", "failure", "retry", "asked", "called"},
)
MOMENT_SECONDS = 60
ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Of a task, a group or a publish."""
CELERY_KEYS = ("celery-taskset-meta-", META)


@dataclass(frozen=True)
class Leftovers:
    """What there is in Redis when everything is done: keys, and the seconds that each has left, -1 for ever."""

    keys: dict[str, int]
    by_id: dict[str, set[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.keys:
            for found in ID.findall(key):
                self.by_id.setdefault(found, set()).add(key)

    def about(self, ids: Iterable[str]) -> dict[str, int]:
        """Those that name one of these ids and aren't gone in a moment, as Celery's claim on a chord is."""
        found = {key: self.keys[key] for each in ids for key in self.by_id.get(each, ())}
        return {key: ttl for key, ttl in found.items() if ttl == -1 or ttl > MOMENT_SECONDS}


def trace(kit: Kit, observed: Any, leftovers: Leftovers, metas: dict[str, Record], runs: Counter[tuple[str, str]]) -> Record:
    """The trace of one run of a scenario."""
    observer = kit.observer
    publishes = observer.published_under(kit.roots)
    sent = {line["id"] for line in publishes}
    eager = [next((line for line in observer.lines[each] if line["kind"] == "prerun"), None) for each in sorted(kit.roots - sent)]
    labels = Labels(publishes, [line for line in eager if line], kit.token)
    functions = {function for _, function in runs}
    tasks = {}
    for task_id in [each for each in labels.names if each in sent or each in kit.roots]:
        tasks[labels.names[task_id]] = {
            "messages": [_message(line, labels) for line in publishes if line["id"] == task_id],
            "attempts": _attempts(observer.lines[task_id], labels),
            "other signals": sorted(
                (_line(line, labels) for line in observer.lines[task_id] if line["kind"] not in EXECUTION | {"publish"}), key=repr
            ),
            "sent events": sorted((_event(event, labels) for event in observer.events[task_id] if event["type"] == "task-sent"), key=repr),
            "events": _events(sorted(observer.events[task_id], key=_moment), labels),
            # Each node may store REVOKED, for instance.
            "states": [state for state, _ in groupby(_state(meta, labels) for meta in observer.states[task_id])],
            "meta": _meta(metas.get(task_id), labels),
            "runs": {function: number for function in functions if (number := runs[task_id, function])},
        }
    publish_ids = {line["headers"]["publish_id"] for line in publishes if "publish_id" in line["headers"]}
    ours = leftovers.about(labels.names)
    return {
        "observed": labels.clean(_plain(observed)),
        "tasks": tasks,
        "keys": sorted(labels.text(key) for key in ours if key.startswith(CELERY_KEYS)),
        "kept for ever": sorted(labels.text(key) for key, ttl in (ours | leftovers.about(publish_ids)).items() if ttl == -1),
        "unfinished": sorted(labels.names.get(each, each) for each in observer.unfinished(kit.roots, kit.silent)),
    }


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=lambda other: str(getattr(other, "id", plain(other)))))


def _moment(event: Record) -> float:
    return float(event["timestamp"])


def _message(line: Record, labels: Labels) -> Record:
    headers, embed = line["headers"], line["embed"]
    own = line["id"]
    extra = {name: value for name, value in headers.items() if name not in {*HEADERS, *NOT_COMPARED, *OF_THE_BRIDGE}}
    told = {
        **{name: headers.get(name) for name in HEADERS},
        **extra,
        "parent": labels.place(headers.get("parent_id"), own),
        "root": labels.place(headers.get("root_id"), own),
        "group": labels.names.get(headers.get("group") or "", None),
        "eta": headers.get("eta") is not None,
        "expires": headers.get("expires") is not None,
        **{
            name: [each.get("task") if isinstance(each, dict) else each for each in embed.get(name) or []]
            for name in ("callbacks", "errbacks", "chain")
        },
        "chord": (embed.get("chord") or {}).get("task"),
        "priority": line["properties"].get("priority"),
        "correlation": labels.place(line["properties"].get("correlation_id"), own),
        "routing key": line["routing_key"],
        "retry policy": line["retry_policy"],
    }
    return {name: value for name, value in labels.clean(told).items() if value not in (None, [], {}, False)}


def _attempts(lines: list[Record], labels: Labels) -> list[list[Record]]:
    """What its process said of each attempt, in the order of attempts."""
    attempts: list[tuple[int, list[Record]]] = []
    latest: dict[str, list[Record]] = {}
    for line in lines:
        if line["kind"] in EXECUTION:
            where = line["attempt"]
            retries = int(where.partition(":")[0])
            if line["kind"] == "prerun" or (where not in latest and retries not in dict(attempts)):
                latest[where] = []
                attempts.append((retries, latest[where]))
            # What the parent of a pool process says of an attempt belongs to it.
            latest.setdefault(where, dict(attempts)[retries]).append(_line(line, labels))
    return [said for _, said in sorted(attempts, key=itemgetter(0))]


def _line(line: Record, labels: Labels) -> Record:
    cleaned: Record = labels.clean({name: value for name, value in line.items() if name not in {"id", "task", "attempt"}})
    return cleaned


def _event(event: Record, labels: Labels) -> Record:
    told = {name: (name in PRESENT_IN_EVENTS and value is not None) or value for name, value in event.items() if name not in NOT_OF_EVENTS}
    return {
        "type": event["type"],
        "host": role(event["hostname"]),
        **{name: value for name, value in labels.clean(told).items() if value is not None},
    }


def _events(events: list[Record], labels: Labels) -> Record:
    """By what they tell; and whether what was done once was received, started and ended in this order. Those of several attempts may come mixed."""
    told = {
        "received": [event for event in events if event["type"] == "task-received"],
        "started": [event for event in events if event["type"] == "task-started"],
        # A retried one may be told after its next attempt has ended.
        "ended": sorted((event for event in events if event["type"] in TERMINAL_EVENTS), key=lambda event: event["type"] != "task-retried"),
    }
    once = all(len(events) <= 1 for events in told.values())
    times = [event["timestamp"] for events in told.values() for event in events]
    told["other"] = [event for event in events if event["type"] not in {"task-sent", "task-received", "task-started", *TERMINAL_EVENTS}]
    return {
        **{name: [_event(event, labels) for event in events] for name, events in told.items() if events},
        "in order": times == sorted(times) if once else "several attempts",
    }


def role(hostname: str | None) -> str | None:
    """Which kind of node."""
    if hostname is None:
        return None
    name = hostname.partition("@")[0]
    return name if name in {"celery", "bridge", "fidelity"} else "caller"


def _state(meta: Record, labels: Labels) -> Record:
    told: Record = labels.clean({"status": meta["status"], "result": meta["result"]})
    return told | {"traceback": bool(meta.get("traceback"))}


def _meta(meta: Record | None, labels: Labels) -> Record | None:
    """All of it; only whether there are a date and a traceback."""
    if meta is None:
        return None
    told = dict(meta)
    own = told.pop("task_id")
    told |= {name: bool(told.get(name)) for name in ("date_done", "traceback")}
    told |= {"worker": role(told.get("worker")), "parent_id": labels.place(told.get("parent_id"), own)}
    if "group_id" in told:
        told["group_id"] = labels.names.get(told["group_id"] or "")
    cleaned: Record = labels.clean(told)
    return cleaned
