"""The states that callers see, against what the ledger says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from celery import states
from celery.app.task import Context
from kombu.utils.json import loads

from bridge import identity
from bridge.connection import Connection
from bridge.reconciling.ledgers import OpenLedger, ignores_result, open_ledgers
from bridge.reconciling.problems import Kind, NotRepaired, Problem
from bridge.reconciling.thresholds import ReconcilerSettings
from bridge.states import DEAD_LETTERED, DISPATCHED
from streams.bus import clock

CLOSED_AT_A_TIME = 1_000


def states_that_disagree(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """Open jobs whose state is gone or says that they have ended; parked ones that don't say so; ended ones that aren't told as ended."""
    now = clock.now_ms()
    for ledger in open_ledgers(connection, connection.keys.open_jobs, with_context=True):
        if ledger.age_ms(now) >= settings.settle_seconds * 1000 and ledger.is_newest and not ledger.ignores_result:
            yield from _of_open(connection, ledger)
    for ledger in open_ledgers(connection, connection.keys.parked_jobs, with_context=True):
        if ledger.is_newest and not ledger.ignores_result:
            yield from _of_parked(connection, ledger)
    yield from _of_closed(connection, settings, now)


def _of_open(connection: Connection, ledger: OpenLedger) -> Iterator[Problem]:
    stored = _stored(connection, ledger.task_id)
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


def _of_parked(connection: Connection, ledger: OpenLedger) -> Iterator[Problem]:
    stored = _stored(connection, ledger.task_id)
    if stored != DEAD_LETTERED:
        fix = _storing(connection, ledger, DEAD_LETTERED, None, seen=stored)
        why = f"its job is parked, and its state is {stored}"
        yield Problem(Kind.STATE_DISAGREES, f"task {ledger.task_id}", why, f"store {DEAD_LETTERED}", fix)


def _of_closed(connection: Connection, settings: ReconcilerSettings, now: int) -> Iterator[Problem]:
    """The jobs that ended lately: was their outcome stored, and has it stayed?"""
    client, keys = connection.client, connection.keys
    latest = client.zrevrangebyscore(keys.closed_jobs, now - settings.settle_seconds * 1000, "-inf", start=0, num=CLOSED_AT_A_TIME)
    with client.pipeline(transaction=False) as pipe:
        for publish in latest:
            pipe.hmget(keys.job(str(publish)), ["task_id", "seq", "outcome", "ctx"])
        ledgers = [row for row in pipe.execute() if row[0] is not None]
    with client.pipeline(transaction=False) as pipe:
        for task_id, *_ in ledgers:
            pipe.hget(keys.task(task_id), "seq")
        newest = pipe.execute()
    for (task_id, seq, outcome, context), last in zip(ledgers, newest, strict=True):
        if seq != last or outcome not in states.READY_STATES or ignores_result(context):
            continue
        stored = _stored(connection, task_id)
        if stored in states.UNREADY_STATES | {DISPATCHED, DEAD_LETTERED} and stored != states.PENDING:  # PENDING: it was forgotten, or has expired
            why = f"it ended as {outcome}, and its state is {stored}: the result backend went back in time, or something else has written it"
            yield Problem(Kind.STATE_DISAGREES, f"task {task_id}", why, "look at what writes there; a caller that waits has to be told by hand")


def _stored(connection: Connection, task_id: str) -> str:
    return str(connection.app.backend.get_task_meta(task_id, cache=False)["status"])


def _storing(connection: Connection, ledger: OpenLedger, state: str, meta: Any, *, seen: str) -> Callable[[], str]:
    return partial(_store, connection, ledger, state, meta, seen)


def _store(connection: Connection, ledger: OpenLedger, state: str, meta: Any, seen: str) -> str:
    """Through R2: if the job has come further meanwhile, nothing is written. Neither is what was stored before and is gone since."""
    run = identity.CurrentRun(ledger.publish, ledger.job["lineage"], int(ledger.job["seq"]), ledger.task_id)
    with identity.running(run):
        connection.app.backend.store_result(ledger.task_id, meta, state, request=Context(loads(ledger.job["ctx"])))
    now = _stored(connection, ledger.task_id)
    if now == seen:
        raise NotRepaired(
            f"its state stays {now}: {state} was stored before, and is gone (result_expires? forget()?); only what comes after it is stored (R2). "
            "The job isn't affected, and its outcome will be stored"
        )
    return f"its state is {now} now"
