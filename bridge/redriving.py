"""What an operator does with a dead letter: redrive it, discard it, purge it. Each may be done twice, and by two at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from celery.app.task import Context
from kombu.utils.json import dumps, loads

from bridge import identity
from bridge.connection import Connection
from bridge.dead_letters import Letter, LetterState, lineage_of
from bridge.payload_changes import HEADER, BadChange, changed
from bridge.states import DISPATCHED
from streams.bus.codec import decode_json, encode_json
from streams.bus.functions import FunctionCall
from streams.errors import DecodeError
from streams.jobs import dead_letters
from streams.jobs.messages import DeadReason

MOST_LOOKS: Final = 20
"""At a lineage that changes all the time."""

_REFUSED: Final = {
    "refused:open": "a run of this task is on its way already",
    "refused:parked": "a later run of this task is parked: redrive that one",
    "refused:RETRY": "Celery is about to retry this task",
    "refused:SUCCESS": "a later run of this task has succeeded",
    "refused:REVOKED": "the task was revoked; send it anew if it is wanted after all",
    "gone": "its ledger is gone (BRIDGE_DEAD_LETTER_DAYS); send the task anew",
    "changed": "the task is being sent again all the time; try again",
}


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a dead letter."""

    letter: Letter
    done: bool
    words: str
    """For people; without an end mark."""


def refusal(letter: Letter, *, uncertain: bool) -> str | None:
    """Why a dead letter isn't to be redriven, as far as can be said before it is tried; None when it can be."""
    if letter.reason == DeadReason.UNCERTAIN and not uncertain:
        return "it may run once only, and its first run may have done its work: look, and then say --uncertain"
    match letter.state:
        case LetterState.FORGOTTEN:
            return _REFUSED["gone"]
        case LetterState.RUNNING:
            return _REFUSED["refused:open"]
        case LetterState.SUCCEEDED:
            return _REFUSED["refused:SUCCESS"]
        case LetterState.REVOKED:
            return _REFUSED["refused:REVOKED"]
        case _:
            return None


def redrive(connection: Connection, letter: Letter, *, changes: Mapping[str, Any] | None = None, uncertain: bool = False) -> Done:
    """R12: run its job again under the same task id; its `AsyncResult` goes through DISPATCHED to the new outcome.

    Args:
        connection: of the app.
        letter: which.
        changes: new values in the payload, by their paths (`bridge.payload_changes`); kept by Celery's retries.
        uncertain: also an at-most-once job whose first run may have done its work.

    Raises:
        BadChange: a change doesn't fit the payload.
    """
    if letter.reason == DeadReason.UNCERTAIN and not uncertain:
        return Done(letter, done=False, words=refusal(letter, uncertain=False) or "")
    if letter.state is LetterState.UNBRIDGED:
        return _resend(connection, letter, changes)
    new = identity.derived(connection.keys.stream(letter.service.dead_letters), letter.id, "redrive")
    for _ in range(MOST_LOOKS):
        look = _Look.at(connection, letter)
        if look is None:
            return Done(letter, done=False, words=_REFUSED["gone"])
        context = _context(look.context, new, look.lineage, keeps_chord=look.phase == "parked", changes=changes)
        redriven = connection.call_patiently(_step(connection, letter, look, new, context, changes))
        if redriven.verdict != "changed":
            break
    if redriven.verdict not in {"sent", "duplicate"}:
        return Done(letter, done=False, words=_REFUSED.get(redriven.verdict, redriven.verdict))
    # Also of a repeat: whoever did it first may have died before this.
    _store_dispatched(connection, context, identity.CurrentRun(new, redriven.lineage, redriven.seq, letter.task_id))
    if redriven.verdict == "duplicate":
        return Done(letter, done=False, words="it was redriven before")
    return Done(letter, done=True, words=f"sent again as run {redriven.seq} of task {letter.task_id}")


@dataclass(frozen=True, slots=True)
class _Look:
    """What is known of a dead letter's publish, at one moment."""

    publish: str
    phase: str
    lineage: str
    stream: str
    context: dict[str, Any]

    @classmethod
    def at(cls, connection: Connection, letter: Letter) -> _Look | None:
        """None when its ledger is gone, or isn't that of this dead letter."""
        publish = letter.fields.get("publish_id", "")
        row: Any = connection.client.hmget(connection.keys.job(publish), ["task_id", "service", "lineage", "phase", "stream", "ctx"])
        task_id, service, lineage, phase, stream, packed = row
        if task_id is None or service != letter.service.name or task_id != letter.task_id:
            return None
        return cls(publish, phase, lineage, stream, loads(packed))


def _step(
    connection: Connection, letter: Letter, look: _Look, new: str, context: Mapping[str, Any], changes: Mapping[str, Any] | None
) -> FunctionCall[dead_letters.Redriven]:
    keys = connection.keys
    seen_seq, publishes = lineage_of(connection, letter.task_id, look.lineage)
    return dead_letters.redrive(
        keys,
        letter.service,
        look.publish,
        new_publish_id=new,
        task_id=letter.task_id,
        seen_seq=seen_seq,
        seen_phase=look.phase,
        lineage_publishes=publishes,
        stream=_stream(connection, letter, look.stream),
        context=dumps(context),
        data=_changed(connection.call(dead_letters.command_of(keys, look.publish)), changes),
        dead_letter_id=letter.id,
        tombstone=connection.settings.dead_letter_tombstone,
    )


def discard(connection: Connection, letter: Letter) -> Done:
    """R16: a parked task ends with FAILURE; its errbacks are called, and its chord and chain fail. A bridge does that."""
    publish = letter.fields.get("publish_id", "")
    if letter.state is not LetterState.PARKED:
        return Done(
            letter, done=False, words=f"its task isn't parked but {letter.state}: there is nothing to discard (purge removes the dead letter)"
        )
    verdict = connection.call_patiently(dead_letters.release(connection.keys, letter.service, publish))
    if verdict != "released":
        return Done(letter, done=False, words="somebody else was faster")
    connection.client.hset(connection.keys.fates(letter.service.name), letter.id, "discarded")
    return Done(letter, done=True, words=f"task {letter.task_id} fails with it")


def purge(connection: Connection, letter: Letter) -> Done:
    """Remove a dead letter. What a parked task waits for isn't removed."""
    if letter.state is LetterState.PARKED:
        return Done(letter, done=False, words="its task waits for it: redrive or discard it first")
    removed = connection.client.xdel(connection.keys.stream(letter.service.dead_letters), letter.id)
    connection.client.hdel(connection.keys.fates(letter.service.name), letter.id)
    return Done(letter, done=bool(removed), words="removed" if removed else "it was gone already")


def _changed(command: Mapping[str, str], changes: Mapping[str, Any] | None) -> bytes:
    """The changed payload of a command as JSON; empty without changes."""
    if not changes:
        return b""
    try:
        data = decode_json(command.get("data", "null"))
    except DecodeError as exc:
        raise BadChange(f"the payload can't be read, and so not changed: {exc}") from None
    return encode_json(changed(data, changes))


def _context(context: dict[str, Any], publish_id: str, lineage: str, *, keeps_chord: bool, changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Celery's request of the new publish. A chord whose part was counted as failed can't be completed any more."""
    headers = dict(context.get("headers") or {})
    mine: dict[str, Any] = {identity.PUBLISH_ID: publish_id, identity.LINEAGE: lineage, identity.PARENT: None}
    if changes:
        mine[HEADER] = dict(headers.get(HEADER) or {}) | dict(changes)
    new = context | mine | {"headers": headers | mine}
    return new if keeps_chord else new | {"chord": None}


def _stream(connection: Connection, letter: Letter, remembered: str) -> str:
    """Its lane, if the service still has it."""
    lanes = [connection.keys.stream(name) for name in letter.service.command_streams]
    return remembered if remembered in lanes else lanes[-1]


def _store_dispatched(connection: Connection, context: Mapping[str, Any], run: identity.CurrentRun) -> None:
    request = Context(dict(context))
    if not request.ignore_result:
        with identity.running(run):
            connection.app.backend.store_result(run.task_id, None, DISPATCHED, request=request)


def _resend(connection: Connection, letter: Letter, changes: Mapping[str, Any] | None) -> Done:
    """A command that no task of ours has sent goes back on its stream, once."""
    stream = _stream(connection, letter, letter.fields.get("source_stream", ""))
    data = _changed(letter.fields, changes)
    sent = connection.call_patiently(dead_letters.resend(connection.keys, letter.service, letter.id, stream=stream, data=data))
    return Done(letter, done=bool(sent), words=f"its command is sent again as entry {sent}" if sent else "it was redriven before, or is gone")
