"""The intended differences between an ordinary and a bridged task, all of them, each with its reason. Nothing else is forgiven.

`ALWAYS` holds for every bridged task; a scenario names those of `NAMED` that it shows.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fidelity.observing import Record


@dataclass(frozen=True)
class Difference:
    """Something that a bridged task does otherwise, on purpose."""

    reason: str
    forgive: Callable[[Record], None]
    """Takes it out of a trace, in place; is applied to both traces, so what both have in common may be taken out too."""


def _each_task(forgive: Callable[[Record], None]) -> Callable[[Record], None]:
    def forgive_all(trace: Record) -> None:
        for task in trace["tasks"].values():
            forgive(task)

    return forgive_all


@_each_task
def _states_of_a_job(task: Record) -> None:
    task["states"] = [state for state in task["states"] if state["status"] not in {"DISPATCHED", "STARTED", "PROGRESS"}]


@_each_task
def _host(task: Record) -> None:
    for event in (*task["events"].get("started", ()), *task["events"].get("ended", ())):
        event["host"] = "a worker"
    if task["meta"] is not None and task["meta"].get("worker"):
        task["meta"]["worker"] = "a worker"


@_each_task
def _value(task: Record) -> None:
    results = (*(line for said in task["attempts"] for line in said), *task["events"].get("ended", ()), *task["states"], task["meta"])
    for each in results:
        for name in ("retval", "result"):
            each.pop(name, None)


@_each_task
def _eta(task: Record) -> None:
    for message in (*task["messages"], *task["sent events"], *task["events"].get("received", ())):
        message.pop("eta", None)
    # Due at once, the next attempt may be dispatched before RETRY is stored, which is refused then.
    task["states"] = [state for state in task["states"] if state["status"] != "RETRY"]


@_each_task
def _postrun(task: Record) -> None:
    task["attempts"] = [[line for line in said if line["kind"] != "postrun"] for said in task["attempts"]]


@_each_task
def _killed(task: Record) -> None:
    if "TimeLimitExceeded" not in str(task["meta"]):
        return
    task["attempts"] = sorted({line["kind"] for said in task["attempts"] for line in said})
    task["other signals"] = sorted({line["kind"] for line in task["other signals"]})
    task["events"] = {name: sorted({event["type"] for event in events}) for name, events in task["events"].items() if name != "in order"}
    for state in (*task["states"], task["meta"]):
        state.pop("traceback")


@_each_task
def _ran(task: Record) -> None:
    task.pop("runs")


def _error(value: Any) -> None:
    """That there is an error, and where, but not which."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in {"error", "says", "exc_type", "exc_message", "exc_module", "exception"} and not isinstance(item, dict):
                value[name] = "of some kind"
            else:
                _error(item)
    elif isinstance(value, list):
        for item in value:
            _error(item)


ALWAYS: dict[str, Difference] = {
    "states": Difference("DISPATCHED, STARTED and PROGRESS tell where a job is; an ordinary task goes from PENDING to its end", _states_of_a_job),
    "hostname": Difference("the worker of a bridged task is the stream worker that ran its job, or the bridge", _host),
}
NAMED: dict[str, Difference] = {
    "wire": Difference(
        "a job's result is plain JSON, so that any language can write it: what kombu's JSON brings back as a date or a UUID is its text", _value
    ),
    "sigkill": Difference("SIGKILL leaves a pool process no time to call `task_postrun`; the bridge calls it", _postrun),
    "killed": Difference(
        "Celery ends a task at its hard limit by killing the pool process: `task_prerun` there, handlers and errbacks in the worker, twice, no traceback "
        "stored, and an event that doesn't name the error. A bridged task fails like by any other error",
        _killed,
    ),
    "late start": Difference(
        "`before_start` is called when the job's outcome is known: what it raises is the task's error, but the job has run", _ran
    ),
    "payload": Difference(
        "arguments that pydantic refuses are BadPayload, by key and never by value; its own error doesn't survive Celery's JSON", _error
    ),
    "chance": Difference("no difference of the bridge's: when a retry with jitter is due is chance", _eta),
}


def forgiven(trace: Record, names: tuple[str, ...]) -> Record:
    """The trace without the intended differences."""
    for difference in (*ALWAYS.values(), *(NAMED[name] for name in names)):
        difference.forgive(trace)
    return trace


def different_lines(native: Any, bridged: Any, path: str = "") -> list[str]:
    """Where two traces differ, a line each."""
    if isinstance(native, dict) and isinstance(bridged, dict):
        names = [*native, *(name for name in bridged if name not in native)]
        missing = object()
        lines = []
        for name in names:
            ours, theirs = native.get(name, missing), bridged.get(name, missing)
            if missing in (ours, theirs):
                lines.append(f"{path}/{name}: only {'bridged' if ours is missing else 'native'}: {theirs if ours is missing else ours}")
            else:
                lines += different_lines(ours, theirs, f"{path}/{name}")
        return lines
    if isinstance(native, list) and isinstance(bridged, list) and len(native) == len(bridged):
        return [line for number, pair in enumerate(zip(native, bridged, strict=True)) for line in different_lines(*pair, f"{path}[{number}]")]
    if isinstance(native, list) and isinstance(bridged, list):
        items = list(difflib.ndiff([*map(repr, native)], [*map(repr, bridged)]))
        return [f"{path} ('-' native, '+' bridged):", *(f"    {item}" for item in items if item[0] in "+-")]
    return [] if native == bridged else [f"{path}:\n    native:  {native}\n    bridged: {bridged}"]
