"""What is wrong with one open job, by its ledger and its entry."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import redis

from bridge.connection import Connection
from bridge.reconciling.ledgers import OpenLedger, open_ledgers
from bridge.reconciling.problems import Kind, Problem
from bridge.reconciling.thresholds import ReconcilerSettings
from streams.bus import clock

logger = logging.getLogger(__name__)


def stuck_jobs(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """Jobs without an owner, results that nobody resolves, progress that stands still."""
    now = clock.now_ms()
    for ledger in open_ledgers(connection, connection.keys.open_jobs):
        if ledger.age_ms(now) >= settings.settle_seconds * 1000:
            try:
                yield from [
                    *_without_owner(ledger, settings, connection.settings.lease_seconds),
                    *_unresolved(connection, ledger, settings, now),
                    *_stalled(ledger, settings, connection.settings.lease_seconds, now),
                ]
            except (ValueError, redis.ResponseError) as exc:  # its service's workers write what they like there: one job holds up no other
                logger.warning("task %s: how it stands can't be told: %s: %s", ledger.task_id, type(exc).__name__, exc)


def _without_owner(ledger: OpenLedger, settings: ReconcilerSettings, lease_seconds: float) -> Iterator[Problem]:
    limit = settings.silent_leases * lease_seconds
    if ledger.has_result or "winner" in ledger.job or ledger.idle_ms is None or ledger.idle_ms < limit * 1000:
        return
    if ledger.service.reap_after_seconds is not None and ledger.idle_ms < ledger.service.reap_after_seconds * 1000:
        return
    worker = ledger.run.get("worker") or ledger.consumer
    why = f"its worker {worker} was last heard of {ledger.idle_ms / 1000:.0f} s ago, and nobody has taken it over (that takes {lease_seconds:g} s)"
    to_do = f"start a worker: python -m workers {ledger.service.name}. Workers that don't claim need reap_after_seconds in STREAMS_SERVICES"
    yield Problem(Kind.JOB_WITHOUT_OWNER, f"task {ledger.task_id}", why, to_do)


def _unresolved(connection: Connection, ledger: OpenLedger, settings: ReconcilerSettings, now: int) -> Iterator[Problem]:
    result = ledger.job.get("winner", "").rpartition(" ")[2] or ledger.job.get("result_id") or ledger.run.get("result_id")
    if not result or now - float(result.partition("-")[0]) < settings.settle_seconds * 1000:
        return
    stream = connection.keys.stream(ledger.service.results)
    what = f"task {ledger.task_id}"
    if connection.client.xrange(stream, result, result):
        why = f"its result {result} has been on {stream} for {(now - float(result.partition('-')[0])) / 1000:.0f} s, and no bridge has finished the task"
        yield Problem(Kind.RESULT_UNRESOLVED, what, why, "start a bridge (celery -A tasks bridge), or look into its log for this task")
    elif "winner" in ledger.job and connection.client.hget(connection.keys.job(ledger.publish), "phase") == "open":
        why = f"a bridge had begun with its result {result}, which is gone from {stream}: what came of it can't be repeated"
        yield Problem(Kind.RESULT_LOST, what, why, "look at its state; if callers wait, revoke it and send it anew")


def _stalled(ledger: OpenLedger, settings: ReconcilerSettings, lease_seconds: float, now: int) -> Iterator[Problem]:
    changed = ledger.run.get("progress_at")
    if ledger.has_result or ledger.idle_ms is None or not changed or now - float(changed) < settings.stalled_seconds * 1000:
        return
    heard = now - float(ledger.run.get("heartbeat") or 0)
    if heard > settings.silent_leases * lease_seconds * 1000:  # it doesn't answer: that is another finding
        return
    at = f"{ledger.run.get('current')}/{ledger.run.get('total') or '?'} {ledger.run.get('message', '')}".strip()
    why = f"it runs on {ledger.run.get('worker')}, which answers, and has stood at {at} for {(now - float(changed)) / 60_000:.0f} min"
    to_do = f"look into its job.log; to stop it: celery -A tasks control revoke --terminate {ledger.task_id}"
    yield Problem(Kind.PROGRESS_STALLED, f"task {ledger.task_id}", why, to_do)
