"""The states that callers see, against what the ledger says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from celery import states
from celery.app.task import Context
from kombu.utils.json import loads

from bridge import identity
from bridge.celery_internals.servers import stored_states
from bridge.connection import Connection
from bridge.reconciling.ledgers import PAGE, OpenLedger, ignores_result, pages_of_ledgers
from bridge.reconciling.problems import Kind, NotRepaired, Problem
from bridge.reconciling.thresholds import ReconcilerSettings
from bridge.states import DEAD_LETTERED, DISPATCHED
from streams.bus import clock

LATELY = 1_000
"""So many of the jobs that ended last are looked at."""


def states_of_open(connection: Connection, ledgers: list[OpenLedger]) -> Iterator[Problem]:
    """Open jobs whose state is gone, or says that they have ended."""
    for ledger, stored in _with_states(connection, ledgers):
        if stored in {states.PENDING, *states.READY_STATES} and _has_states(connection, ledger.publish):
            yield from _of_open(connection, ledger, stored)


def states_of_others(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """Parked jobs that aren't told as such, and ended ones that aren't told as ended."""
    for page in pages_of_ledgers(connection, connection.keys.parked_jobs):
        for ledger, stored in _with_states(connection, page):
            if stored != DEAD_LETTERED and _has_states(connection, ledger.publish):
                yield from _of_parked(connection, ledger, stored)
    yield from _of_closed(connection, settings, clock.now_ms())


def _with_states(connection: Connection, ledgers: list[OpenLedger]) -> Iterator[tuple[OpenLedger, str]]:
    """Those whose task has a state of theirs, and which it is."""
    shown = [ledger for ledger in ledgers if ledger.is_newest]
    return zip(shown, stored_states(connection.app.backend, [ledger.task_id for ledger in shown]), strict=True)


def _of_open(connection: Connection, ledger: OpenLedger, stored: str) -> Iterator[Problem]:
    if stored == states.PENDING:
        expected = states.STARTED if ledger.run.get("heartbeat") else DISPATCHED
        meta = {"pid": None, "hostname": ledger.run.get("worker")} if expected == states.STARTED else None
        fix = _storing(connection, ledger, expected, meta, seen=stored)
        yield Problem(
            Kind.STATE_DISAGREES,
            f"task {ledger.task_id}",
            "its job is open, and no state of it is stored: the result backend lost it",
            f"store {expected}",
            fix,
        )
    elif stored in states.READY_STATES and "winner" not in ledger.job:
        why = f"its state is {stored}, and its job is open: something else has stored that (celery multi, another app, a task with its own backend?)"
        yield Problem(
            Kind.STATE_DISAGREES, f"task {ledger.task_id}", why, "nothing: the job's own outcome follows, unless the state is SUCCESS, which stays"
        )


def _has_states(connection: Connection, publish: str) -> bool:
    """Whether its task wants states at all. Asked only of what would be a problem: its context may have a MiB."""
    return not ignores_result(str(connection.client.hget(connection.keys.job(publish), "ctx") or ""))


def _of_parked(connection: Connection, ledger: OpenLedger, stored: str) -> Iterator[Problem]:
    fix = _storing(connection, ledger, DEAD_LETTERED, None, seen=stored)
    why = f"its job is parked, and its state is {stored}"
    yield Problem(Kind.STATE_DISAGREES, f"task {ledger.task_id}", why, f"store {DEAD_LETTERED}", fix)


def _of_closed(connection: Connection, settings: ReconcilerSettings, now: int) -> Iterator[Problem]:
    """The jobs that ended lately: was their outcome stored, and has it stayed?"""
    latest = now - settings.settle_seconds * 1000
    ended = [str(publish) for publish in connection.client.zrevrangebyscore(connection.keys.closed_jobs, latest, "-inf", start=0, num=LATELY)]
    for start in range(0, len(ended), PAGE):
        yield from _of_ended(connection, ended[start : start + PAGE])


def _of_ended(connection: Connection, publishes: list[str]) -> Iterator[Problem]:
    keys = connection.keys
    with connection.client.pipeline(transaction=False) as pipe:
        for publish in publishes:
            pipe.hmget(keys.job(publish), ["task_id", "seq", "outcome"])
        rows = [(publish, *row) for publish, row in zip(publishes, pipe.execute(), strict=True) if row[0] is not None]
    with connection.client.pipeline(transaction=False) as pipe:
        for _, task_id, *_ in rows:
            pipe.hget(keys.task(task_id), "seq")
        newest = pipe.execute()
    told = [row for row, last in zip(rows, newest, strict=True) if row[2] == last and row[3] in states.READY_STATES]
    for (publish, task_id, _, outcome), stored in zip(told, stored_states(connection.app.backend, [row[1] for row in told]), strict=True):
        # PENDING: it was forgotten, or has expired.
        if stored in (states.UNREADY_STATES | {DISPATCHED, DEAD_LETTERED}) - {states.PENDING} and _has_states(connection, publish):
            why = f"it ended as {outcome}, and its state is {stored}: the result backend went back in time, or something else has written it"
            yield Problem(Kind.STATE_DISAGREES, f"task {task_id}", why, "look at what writes there; a caller that waits has to be told by hand")


def _storing(connection: Connection, ledger: OpenLedger, state: str, meta: Any, *, seen: str) -> Callable[[], str]:
    return partial(_store, connection, ledger, state, meta, seen)


def _store(connection: Connection, ledger: OpenLedger, state: str, meta: Any, seen: str) -> str:
    """Through R2: if the job has come further meanwhile, nothing is written. Neither is what was stored before and is gone since."""
    context = str(connection.client.hget(connection.keys.job(ledger.publish), "ctx") or "{}")
    run = identity.CurrentRun(ledger.publish, ledger.job["lineage"], int(ledger.job["seq"]), ledger.task_id)
    with identity.running(run):
        connection.app.backend.store_result(ledger.task_id, meta, state, request=Context(loads(context)))
    now = stored_states(connection.app.backend, [ledger.task_id])[0]
    if now == seen:
        raise NotRepaired(
            f"its state stays {now}: {state} was stored before, and is gone (result_expires? forget()?); only what comes after it is stored (R2). "
            "The job isn't affected, and its outcome will be stored"
        )
    return f"its state is {now} now"
