"""A publish has its own identity (protocol R1).

Celery lets one frozen task id be sent twice, and both runs count, so a task id says too little. A publish id is stamped on the message when it is
first sent; the broker's redelivery keeps it. What a replay sends again gets the same id again: derived from its parent, so that the second copy
is recognised at dispatch.
"""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

PUBLISH_ID: Final = "publish_id"
LINEAGE: Final = "publish_lineage"
"""The publish id of the first of a row of retries."""

PARENT: Final = "publish_parent"
"""The publish that a retry is one of."""

_NAMESPACE: Final = uuid.UUID("6f2b7a52-9d3f-5c1e-8a44-3c6e2a9f71d0")


def derived(*parts: object) -> str:
    """The same parts give the same id, always."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join(map(str, parts))).hex


@dataclass(slots=True)
class CurrentRun:
    """The publish whose result this thread is resolving, or whose state it is storing."""

    publish_id: str
    lineage: str
    seq: int
    task_id: str
    replay: bool = False
    """A bridge died over this result before."""
    sent: int = field(default=0)
    """Messages sent so far while resolving it; a replay sends the same ones in the same order."""
    chord_claimed: bool = field(default=False)
    """Its chord is complete, and whoever has claimed to send the body hasn't done so."""


_current: contextvars.ContextVar[CurrentRun | None] = contextvars.ContextVar("bridge_current_run", default=None)


@dataclass(slots=True)
class Chord:
    """A chord whose part is being counted, or whose body is being sent."""

    group_id: str
    sent: int = 0
    """Messages of its body sent so far: a group sends one a member."""


_chord: contextvars.ContextVar[Chord | None] = contextvars.ContextVar("bridge_current_chord", default=None)


def current_run() -> CurrentRun | None:
    """The run that this thread is at, if any."""
    return _current.get()


def current_chord() -> str | None:
    """The group id of the chord whose part this thread is counting, if any."""
    chord = _chord.get()
    return chord.group_id if chord else None


@contextmanager
def running(run: CurrentRun) -> Iterator[CurrentRun]:
    """While inside, what is sent derives its identity from `run`, and states are stored in its name."""
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)


@contextmanager
def completing_chord(group_id: str) -> Iterator[None]:
    """While inside, what is sent is the body of this chord: the same ids, whichever part sends it."""
    token = _chord.set(Chord(group_id))
    try:
        yield
    finally:
        _chord.reset(token)


_again: contextvars.ContextVar[bool] = contextvars.ContextVar("bridge_sending_again", default=False)


@contextmanager
def sending_again() -> Iterator[None]:
    """While inside, a message keeps the publish id that its headers carry: it takes the place of one that couldn't be dispatched."""
    token = _again.set(True)
    try:
        yield
    finally:
        _again.reset(token)


def stamp(headers: dict[str, Any], unlocked: Chord | None = None) -> None:
    """Give a message that is about to be sent its publish id.

    Args:
        headers: of the message.
        unlocked: the chord whose body it is, when a task of Celery's own sends that (`celery.chord_unlock`).
    """
    retries = int(headers.get("retries") or 0)
    parent, chord, run = headers.get(PUBLISH_ID), _chord.get() or unlocked, _current.get()
    if parent and _again.get():
        return
    if parent and retries:
        # A retry inherits its parent's headers, and stays in its lineage.
        headers[PUBLISH_ID] = retry_of(str(parent), retries)
        headers[LINEAGE] = headers.get(LINEAGE) or parent
        if run is not None:  # else it was never dispatched itself, and whose retry it is waits for this one now
            headers[PARENT] = parent
        return
    headers.pop(PARENT, None)
    if chord is not None:
        chord.sent += 1
        publish_id = derived("chord", chord.group_id, chord.sent)
    elif run is not None:
        run.sent += 1
        publish_id = derived(run.publish_id, "sent", run.sent)
    else:
        publish_id = uuid.uuid4().hex
    headers[PUBLISH_ID] = headers[LINEAGE] = publish_id


def retry_of(publish_id: str, retries: int) -> str:
    """The publish id of a publish's retry, given the number that Celery gives to that."""
    return derived(publish_id, "retry", retries)


def with_task_ids(signatures: Sequence[Any] | None, *parts: object) -> list[Any] | None:
    """Links or errbacks, as a message holds them, with task and group ids for those that have none: a replay sends the same ids, so that it is the same task.

    Args:
        signatures: of a task's message; they aren't changed.
        parts: what the ids are derived from.
    """
    return None if signatures is None else [_with_ids(each, *parts, number) for number, each in enumerate(signatures)]


def _with_ids(signature: Any, *parts: object) -> Any:
    if not isinstance(signature, Mapping) or not signature.get("task"):
        return signature
    options = dict(signature.get("options") or {})
    options.setdefault("task_id", str(uuid.UUID(derived(*parts, "task id"))))
    named, kind, kwargs = dict(signature) | {"options": options}, signature.get("subtask_type"), dict(signature.get("kwargs") or {})
    if kind in {"group", "chain"}:
        named["kwargs"] = kwargs | {"tasks": with_task_ids(kwargs.get("tasks"), *parts)}
    elif kind == "chord":
        header = kwargs.get("header")
        header = _with_ids(header, *parts, "header") if isinstance(header, Mapping) else with_task_ids(header, *parts, "header")
        named["kwargs"] = kwargs | {"header": header, "body": _with_ids(kwargs.get("body"), *parts, "body")}
    if kind == "chain":  # its id is that of its last task
        named["options"] = dict(signature.get("options") or {})
    return named


def of_message(request: Mapping[str, Any]) -> tuple[str, str]:
    """The publish id and lineage of a message.

    One from a producer that isn't connected carries none: it is then known by task id and retries, and sending one frozen id twice counts once.
    """
    publish_id = request.get(PUBLISH_ID)
    if not publish_id:
        task_id = request["id"]
        return derived(task_id, "retries", request.get("retries") or 0), derived(task_id, "retries", 0)
    return str(publish_id), str(request.get(LINEAGE) or publish_id)
