"""What an operator does with a dead letter: redrive it, discard it, purge it. Each may be done twice, and by two at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from celery.app.task import Context
from kombu.utils.json import dumps, loads

from bridge import identity
from bridge.connection import Connection
from bridge.dead_letters.letters import Letter, LetterState, lineage_of
from bridge.dead_letters.payload_changes import HEADER, BadChange, changed
from bridge.maintenance.lanes import own_stream
from bridge.states import DISPATCHED
from streams.bus.codec import decode_json, encode_json
from streams.bus.sweeping import purge_dead_letters
from streams.errors import DecodeError
from streams.jobs import dead_letters

MOST_LOOKS: Final = 20
"""At a lineage that changes all the time."""

_REFUSED: Final = {
    "refused:open": "a run of this task is on its way already",
    "refused:parked": "a later run of this task is parked: redrive that one",
    "refused:RETRY": "Celery is about to retry this task",
    "refused:SUCCESS": "a later run of this task has succeeded",
    "refused:REVOKED": "the task was revoked; send it anew if it is wanted after all",
    "refused:redriven": "it was redriven before; what came of that has a dead letter of its own, or none",
    "refused:unknown": "how its task ended isn't known any more; send it anew",
    "gone": "its ledger is gone (BRIDGE_DEAD_LETTER_DAYS); send the task anew",
    "changed": "the task is being sent again all the time; try again",
}


@dataclass(frozen=True, slots=True)
class Insists:
    """What an operator has looked at, and wants all the same."""

    uncertain: bool = False
    """Also a job that may run once only, and may have done its work."""
    unbridged: bool = False
    """Also a command that no task of ours has sent: what it was is known from its worker only."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a dead letter."""

    letter: Letter
    done: bool
    words: str
    """For people; without an end mark."""


_UNCERTAIN: Final = "it may run once only, and its first run may have done its work: look, and then say --uncertain"
_UNBRIDGED: Final = "no task of ours has sent it, and what would be sent again is what its worker says it was: look, and then say --unbridged"


def refusal(letter: Letter, insists: Insists) -> str | None:
    """Why a dead letter isn't to be redriven, as far as can be said before it is tried; None when it can be."""
    if letter.is_redriven:
        return _REFUSED["refused:redriven"]
    if letter.is_uncertain and not insists.uncertain:
        return _UNCERTAIN
    match letter.state:
        case LetterState.UNBRIDGED:
            return None if insists.unbridged else _UNBRIDGED
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


@dataclass(frozen=True, slots=True)
class _Ledger:
    """What management remembers of a dead letter's publish; the dead letter itself was written by a worker."""

    task_id: str
    lineage: str
    phase: str
    stream: str
    context: dict[str, Any]
    command: Mapping[str, str]

    @classmethod
    def of(cls, connection: Connection, letter: Letter) -> _Ledger | None:
        """None when there is none, or it is another task's or service's."""
        publish = letter.fields.get("publish_id", "")
        task_id, service, lineage, phase, stream, packed = connection.client.hmget(
            connection.keys.job(publish), ["task_id", "service", "lineage", "phase", "stream", "ctx"]
        )
        if task_id is None or service != letter.service.name or task_id != letter.task_id:
            return None
        command = connection.call(dead_letters.command_of(connection.keys, publish))
        return cls(str(task_id), str(lineage), str(phase), str(stream), loads(str(packed)), command)


def redrive(connection: Connection, letter: Letter, *, changes: Mapping[str, Any] | None = None, insists: Insists = Insists()) -> Done:
    """R12: run its job again under the same task id; its `AsyncResult` goes through DISPATCHED to the new outcome.

    Args:
        connection: of the app.
        letter: which.
        changes: new values in the payload, by their paths (`bridge.dead_letters.payload_changes`); kept by Celery's retries.
        insists: on what else is refused.

    Raises:
        BadChange: a change doesn't fit the payload.
    """
    if letter.is_uncertain and not insists.uncertain:
        return Done(letter, done=False, words=_UNCERTAIN)
    if letter.state is LetterState.UNBRIDGED:
        return _resend(connection, letter, changes) if insists.unbridged else Done(letter, done=False, words=_UNBRIDGED)
    new = identity.derived(connection.keys.stream(letter.service.dead_letters), letter.id, "redrive")
    for _ in range(MOST_LOOKS):
        ledger = _Ledger.of(connection, letter)
        if ledger is None:
            return Done(letter, done=False, words=_REFUSED["gone"])
        if ledger.command.get("at_most_once") and not insists.uncertain:  # the letter needn't say so
            return Done(letter, done=False, words=_UNCERTAIN)
        context = _context(ledger.context, new, ledger.lineage, keeps_chord=ledger.phase == "parked", changes=changes)
        redriven = _send(connection, letter, ledger, new, context, _changed(ledger.command, changes, connection.settings.max_message_bytes))
        if redriven.verdict != "changed":
            break
    if redriven.verdict not in {"sent", "duplicate"}:
        return Done(letter, done=False, words=_REFUSED.get(redriven.verdict, redriven.verdict))
    if redriven.waits:  # also of a repeat: whoever did it first may have died before this
        _store_dispatched(connection, context, identity.CurrentRun(new, redriven.lineage, redriven.seq, letter.task_id))
    if redriven.verdict == "duplicate":
        return Done(letter, done=False, words=_REFUSED["refused:redriven"])
    return Done(letter, done=True, words=f"sent again as run {redriven.seq} of task {letter.task_id}")


def _send(connection: Connection, letter: Letter, ledger: _Ledger, new: str, context: dict[str, Any], data: bytes) -> dead_letters.Redriven:
    seen, publishes = lineage_of(connection, ledger.task_id, ledger.lineage)
    step = dead_letters.redrive(
        connection.keys,
        letter.service,
        letter.fields.get("publish_id", ""),
        new_publish_id=new,
        task_id=ledger.task_id,
        seen_seq=seen,
        seen_phase=ledger.phase,
        lineage_publishes=publishes,
        stream=_stream(connection, letter, ledger.stream),
        context=dumps(context),
        data=data,
        dead_letter_id=letter.id,
        tombstone=connection.settings.dead_letter_tombstone,
    )
    return connection.call_patiently(step)


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
    """Remove a dead letter. What a parked task waits for isn't removed, nor what one may be about to wait for; looking and removing is one step."""
    keys = connection.keys
    stream, fates = keys.stream(letter.service.dead_letters), keys.fates(letter.service.name)
    job = keys.job(letter.fields.get("publish_id", "") if letter.phase else "")  # else it names no job of its service
    if not connection.call(purge_dead_letters(stream, fates, [(letter.id, job)])):
        is_there = bool(connection.client.xrange(stream, letter.id, letter.id))
        return Done(letter, done=False, words=(kept(letter) or _NEEDED) if is_there else "it was gone already")
    return Done(letter, done=True, words="removed")


_NEEDED: Final = "the result that tells its task of it isn't resolved yet, and the task may be parked: purge it afterwards"


def kept(letter: Letter) -> str | None:
    """Why a dead letter isn't to be removed; None when it may go."""
    if letter.phase == "parked":
        return "its task waits for it: redrive or discard it first"
    return _NEEDED if letter.is_needed else None


def _changed(command: Mapping[str, str], changes: Mapping[str, Any] | None, limit: int) -> bytes:
    """The changed payload of a command as JSON; empty without changes."""
    if not changes:
        return b""
    try:
        data = decode_json(command.get("data", "null"))
    except DecodeError as exc:
        raise BadChange(f"the payload can't be read, and so not changed: {exc}") from None
    encoded = encode_json(changed(data, changes))
    if len(encoded) > limit:
        raise BadChange(f"the changed payload has {len(encoded):,} bytes, STREAMS_MAX_MESSAGE_BYTES allows {limit:,}")
    return encoded


def _context(context: dict[str, Any], publish_id: str, lineage: str, *, keeps_chord: bool, changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Celery's request of the new publish. A chord whose part was counted as failed can't be completed any more: neither its part nor, where that is the
    rest of a chain, the last task of the chain is counted again. An `expires` that has passed was for the first time.
    """
    headers = dict(context.get("headers") or {})
    mine: dict[str, Any] = {identity.PUBLISH_ID: publish_id, identity.LINEAGE: lineage, identity.PARENT: None, "expires": None}
    if changes:
        mine[HEADER] = dict(headers.get(HEADER) or {}) | dict(changes)
    new = context | mine | {"headers": headers | mine}
    if keeps_chord:
        return new
    chain = [
        each | {"options": {name: value for name, value in (each.get("options") or {}).items() if name != "chord"}}
        for each in context.get("chain") or ()
    ]
    return new | {"chord": None, "chain": chain or context.get("chain")}


def _stream(connection: Connection, letter: Letter, remembered: str) -> str:
    """Its lane, if the service still has it."""
    return own_stream(connection, letter.service, remembered) or connection.keys.stream(letter.service.command_stream())


def _store_dispatched(connection: Connection, context: Mapping[str, Any], run: identity.CurrentRun) -> None:
    request = Context(dict(context))
    if not request.ignore_result:
        with identity.running(run):
            connection.app.backend.store_result(run.task_id, None, DISPATCHED, request=request)


def _resend(connection: Connection, letter: Letter, changes: Mapping[str, Any] | None) -> Done:
    """A command that no task of ours has sent goes back on its stream, once."""
    stream = _stream(connection, letter, letter.fields.get("source_stream", ""))
    data = _changed(letter.fields, changes, connection.settings.max_message_bytes)
    sent = connection.call_patiently(dead_letters.resend(connection.keys, letter.service, letter.id, stream=stream, data=data))
    return Done(letter, done=bool(sent), words=f"its command is sent again as entry {sent}" if sent else "it was redriven before, or is gone")
