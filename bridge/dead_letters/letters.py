"""The dead letters of a deployment, and how the task of each stands: read from their streams and from the ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import redis
from celery import states

from bridge.connection import Connection
from streams.bus.clock import utc_now
from streams.bus.entry_ids import time_of
from streams.bus.topology import Service
from streams.errors import DecodeError
from streams.jobs.messages import DeadLetter, DeadReason, JobErrorInfo

logger = logging.getLogger(__name__)

PAGE: Final = 200


class LetterState(StrEnum):
    """How the task of a dead letter stands."""

    PARKED = "parked"
    """It waits for an operator (DEAD_LETTERED): redrive it, or discard it."""
    FAILED = "failed"
    """It has failed, and can be redriven."""
    RUNNING = "running"
    """A later run of it is on its way: Celery retries it, or it was sent again."""
    SUCCEEDED = "succeeded"
    """A later run of it has succeeded."""
    REVOKED = "revoked"
    UNBRIDGED = "unbridged"
    """No Celery task has sent it; its command can be sent again."""
    FORGOTTEN = "forgotten"
    """Its ledger is gone; only a new task can run it."""


OF_OUTCOME: Final = {states.SUCCESS: LetterState.SUCCEEDED, states.REVOKED: LetterState.REVOKED, states.FAILURE: LetterState.FAILED}


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    service: Service
    id: str
    """Of its entry."""
    fields: dict[str, str] = field(hash=False)
    """As they are on the stream: a worker has written them."""
    state: LetterState
    fate: str = ""
    """What was done with it: "redriven <publish> <when>"."""
    lineage: str = ""
    """Of its publish: a task's retries are of one."""
    phase: str = ""
    """Of its publish, in management's half of the ledger; "" when there is none of that task and service."""

    @property
    def at(self) -> datetime:
        """When it was written."""
        return time_of(self.id)

    @property
    def task_id(self) -> str:
        return self.fields.get("task_id", "")

    @property
    def reason(self) -> str:
        return self.fields.get("reason", "")

    @property
    def is_redriven(self) -> bool:
        """Whether it was sent again before."""
        return self.fate.startswith("redriven")

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be redriven here any more."""
        return self.is_redriven or self.state in {LetterState.SUCCEEDED, LetterState.REVOKED, LetterState.FORGOTTEN}

    @property
    def is_needed(self) -> bool:
        """Whether its task waits for it, or may be about to: its own result isn't resolved yet."""
        return self.phase in {"open", "parked"}

    @property
    def is_uncertain(self) -> bool:
        """Whether its job may run once only."""
        return self.reason == DeadReason.UNCERTAIN or self.fields.get("at_most_once") == "true"

    @property
    def error(self) -> JobErrorInfo:
        """The last error; a broken one is told as text."""
        return error_of(self.fields)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "service": self.service.name,
            "state": str(self.state),
            "fate": self.fate,
            "fields": self.fields,
        }


def error_of(fields: Mapping[str, str]) -> JobErrorInfo:
    """The last error of a dead letter."""
    try:
        error = DeadLetter.from_redis_dict({"error": fields.get("error", "null"), "source_stream": "", "source_id": "", "reason": ""}).error
        return JobErrorInfo.model_validate({key: value for key, value in error.items() if value is not None})
    except (DecodeError, ValueError, AttributeError):
        return JobErrorInfo(type="unknown", message=fields.get("error", ""))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters are meant; everything given must be so."""

    services: tuple[str, ...] = ()
    reason: str | None = None
    error: str | None = None
    """Part of the error's type or message, whatever its case."""
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    ids: frozenset[str] = frozenset()
    """Ids of dead letters or of tasks."""

    def fits(self, entry: str, fields: Mapping[str, str]) -> bool:
        """Whether a letter of the right service and age is one; how its task stands is no matter."""
        if self.ids and entry not in self.ids and fields.get("task_id") not in self.ids:
            return False
        if self.reason is not None and fields.get("reason", "") != self.reason:
            return False
        if self.error is None:
            return True
        error = error_of(fields)
        return self.error.lower() in f"{error.type}: {error.message}".lower()


def dead_letters(connection: Connection, wanted: Filter | None = None) -> Iterator[Letter]:
    """The dead letters of each service, the oldest first; read page by page.

    Raises:
        UnknownService: the filter names one that there isn't.
    """
    wanted = wanted or Filter()
    services = [connection.service(name) for name in wanted.services] or list(connection.services)
    oldest = "-" if wanted.newer_than is None else _id_at(utc_now() - wanted.newer_than)
    newest = "+" if wanted.older_than is None else _id_at(utc_now() - wanted.older_than)
    for service in services:
        after = oldest
        while True:
            try:
                rows: Any = connection.client.xrange(connection.keys.stream(service.dead_letters), after, newest, count=PAGE)
            except redis.ResponseError as exc:  # its workers may write what they like there: one service holds up no other
                logger.warning("service %s: its dead letters can't be read: %s", service.name, exc)
                break
            yield from _with_states(connection, service, [(entry, fields) for entry, fields in rows if wanted.fits(entry, fields)])
            if len(rows) < PAGE:
                break
            after = f"({rows[-1][0]}"


def _id_at(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def _with_states(connection: Connection, service: Service, rows: Sequence[tuple[str, dict[str, str]]]) -> list[Letter]:
    if not rows:
        return []
    publishes = [fields.get("publish_id", "") for _, fields in rows]
    keys = connection.keys
    with connection.client.pipeline(transaction=False) as pipe:
        for publish in publishes:
            pipe.hmget(keys.job(publish), ["task_id", "service", "phase", "lineage"])
        for entry, _ in rows:
            pipe.hget(keys.fates(service.name), entry)
        answers = pipe.execute()
    letters = []
    for number, (entry, fields) in enumerate(rows):
        task_id, owner, phase, lineage = answers[number]
        if not publishes[number]:
            state = LetterState.UNBRIDGED
        elif phase is None or owner != service.name or task_id != fields.get("task_id"):
            state = LetterState.FORGOTTEN
        elif phase == "parked":
            state = LetterState.PARKED
        else:
            state = _of_lineage(connection, task_id, lineage)
        is_ours = state not in {LetterState.UNBRIDGED, LetterState.FORGOTTEN}
        letters.append(Letter(service, entry, fields, state, answers[len(rows) + number] or "", lineage or "", phase if is_ours else ""))
    return letters


def _of_lineage(connection: Connection, task_id: str, lineage: str) -> LetterState:
    """How the newest run of the task stands."""
    client, keys = connection.client, connection.keys
    _, publishes = lineage_of(connection, task_id, lineage)
    if publishes and client.hget(keys.job(publishes[-1]), "phase") != "closed":
        return LetterState.RUNNING  # or another run of it is parked
    ended = str(client.hget(keys.task(task_id), f"ended:{lineage}") or "").rpartition(" ")[2]
    if not ended:
        return LetterState.FORGOTTEN
    return OF_OUTCOME.get(ended, LetterState.RUNNING)


def newest_of_each(letters: Sequence[Letter]) -> list[Letter]:
    """Of the dead letters of a task's retries only the newest: one redrive is enough. They are given in their order."""
    newest = {(letter.service.name, letter.lineage or letter.id): letter for letter in letters}
    return [letter for letter in letters if newest[letter.service.name, letter.lineage or letter.id] is letter]


def lineage_of(connection: Connection, task_id: str, lineage: str) -> tuple[int, list[str]]:
    """The newest run number of a task, and the publishes of one lineage that are still known, in their order."""
    known: Any = connection.client.hgetall(connection.keys.task(task_id))
    publishes = sorted((int(name.removeprefix("publish:")), publish) for name, publish in known.items() if name.startswith("publish:"))
    with connection.client.pipeline(transaction=False) as pipe:
        for _, publish in publishes:
            pipe.hget(connection.keys.job(publish), "lineage")
        lineages = pipe.execute()
    return int(known.get("seq") or 0), [publish for (_, publish), of in zip(publishes, lineages, strict=True) if of == lineage]
