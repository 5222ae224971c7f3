"""`check_configuration(app)`: what in an app's settings, or on its servers, would break long jobs; each finding says what to set.

It runs when a bridge or a Celery worker of a connected app starts, and each finding is a line of its log. What is to be refused ends the bridge; a Celery
worker goes on, as it may have ordinary tasks too, and a bridged one is refused when it is to be dispatched (`findings_of_task`: the same rules).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from celery import Celery, Task
from celery.exceptions import ImproperlyConfigured

from bridge.celery_internals.backends import is_redis, is_tested, why_not
from bridge.celery_internals.dispatching import TwoPhaseTask
from bridge.configuration.findings import Finding, Severity, refuse, warn
from bridge.configuration.servers import findings_of_servers, is_watched
from bridge.connection import Connection
from streams.bus.limits import EVERYTHING
from streams.bus.topology import RedisStreamsConfig
from streams.jobs.cancelling import FLAG_TTL

logger = logging.getLogger(__name__)

EX_CONFIG: Final = 78
"""Exit code of a bridge that refuses its configuration (`sysexits.h`)."""
CHORD_UNLOCK: Final = "celery.chord_unlock"
"""Celery's task that sends the body of a chord where the result backend doesn't count parts."""
REDIS_VISIBILITY_TIMEOUT: Final = 3600.0
"""kombu's default (s)."""
LONGEST_JOB: Final = timedelta(days=7)
"""Supposed for a job whose time limit nobody knows."""


def check_configuration(app: Celery, *, sends_events: bool | None = None) -> list[Finding]:
    """Everything that is wrong with a connected app, what is to be refused first. A server that can't be reached isn't asked.

    Args:
        app: made by `bridge.connect`.
        sends_events: of the node that asks, which may have been told on its command line; None takes it from the settings.
    """
    findings = [*findings_of_app(app), *findings_of_servers(app)]
    if not (app.conf.worker_send_task_events if sends_events is None else sends_events) and is_watched(app):
        findings.append(_no_events("worker_send_task_events", "its workers' tasks"))
    return sorted(findings, key=lambda finding: finding.severity is not Severity.REFUSE)


def findings_of_app(app: Celery) -> Iterator[Finding]:
    """What its settings and tasks say, without a look at any server."""
    bridged = [task for task in app.tasks.values() if isinstance(task, TwoPhaseTask)]
    for task in bridged:
        yield from findings_of_task(task)
    yield from _backend(app)
    yield from _serializers(app)
    yield from _lifetimes(app, bridged)
    yield from _redelivery(app)
    yield from _limits(app)
    if not app.conf.worker_enable_remote_control:
        yield warn("worker_enable_remote_control", "False", "a revoke doesn't reach the bridge, and so no job", "worker_enable_remote_control = True")


def findings_of_task(task: Task) -> Iterator[Finding]:
    """Settings under which a job could be lost, whoever made them: the task, `task_annotations` or the app.

    Not `task_acks_on_failure_or_timeout`: what is rejected by it has failed, and says so.
    """
    for option in ("acks_late", "reject_on_worker_lost"):
        if not getattr(task, option):
            found = repr(getattr(task, option))
            yield refuse(
                f"{option} of {task.name}",
                found,
                "a Celery worker that dies while it dispatches loses the job",
                f"nothing: StreamTask has {option}=True; look for it in the task and in task_annotations",
            )


def refuse_what_loses_jobs(task: Task) -> None:
    """Called before each dispatch.

    Raises:
        ImproperlyConfigured: says what to set.
    """
    for finding in findings_of_task(task):
        raise ImproperlyConfigured(f"{task.name} is a bridged task: {finding}")
    if reason := why_not(type(task.backend)):
        raise ImproperlyConfigured(reason)


def log_findings(findings: list[Finding]) -> bool:
    """One line each; returns whether one of them is to be refused."""
    for finding in findings:
        logger.log(logging.ERROR if finding.severity is Severity.REFUSE else logging.WARNING, "configuration: %s", finding)
    return any(finding.severity is Severity.REFUSE for finding in findings)


# ------------------------------------------------------------------------------------------------------------------------------------- the rules


def _backend(app: Celery) -> Iterator[Finding]:
    kind = type(app.backend)
    if reason := why_not(kind):
        yield refuse("result_backend", _name(kind), reason, "result_backend to a redis:// URL, or see docs/brokers-and-backends.md")
    elif not is_tested(kind):
        yield warn("result_backend", _name(kind), "it isn't tested with bridged tasks", "result_backend to Redis or a database, if in doubt")
    unlock = app.tasks[CHORD_UNLOCK]
    if not reason and not is_redis(kind) and not (unlock.acks_late and unlock.reject_on_worker_lost):
        why = "with this result backend it sends the bodies of chords, and a Celery worker that is killed meanwhile loses its chord"
        to_set = f'task_annotations = {{"{CHORD_UNLOCK}": {{"acks_late": True, "reject_on_worker_lost": True}}}}'
        yield warn(f"acks_late of {CHORD_UNLOCK}", repr(unlock.acks_late), why, to_set)


def _serializers(app: Celery) -> Iterator[Finding]:
    conf = app.conf
    for setting in ("task_serializer", "result_serializer"):
        if _is_pickle(getattr(conf, setting)):
            why = "jobs and their results go through the streams as JSON, and pickle runs code of whoever may write there"
            yield refuse(setting, repr(getattr(conf, setting)), why, f'{setting} = "json"')
    for setting in ("accept_content", "result_accept_content"):
        accepted = getattr(conf, setting) or ()
        if any(map(_is_pickle, accepted)):
            why = "whoever may write to the broker or the result backend could run code in the bridge and in every worker"
            yield refuse(setting, repr(list(accepted)), why, f'{setting} = ["json"]')


def _lifetimes(app: Celery, bridged: list[Task]) -> Iterator[Finding]:
    """A result, and what Celery knows of a chord, must be kept for as long as the longest job of it runs."""
    settings, longest = Connection.of(app).settings, longest_job(app, bridged)
    for setting in ("result_expires", "result_chord_expires"):
        kept = _seconds(getattr(app.conf, setting))
        if kept and kept < longest.total_seconds():
            why = f"a chord whose longest job takes more than that never ends, and jobs may take {longest}"
            yield warn(setting, str(timedelta(seconds=kept)), why, _at_least(setting, longest))
    parks = [task.name for task in bridged if getattr(task, "on_dead_letter", "fail") == "park"]
    for setting in ("result_expires", "result_chord_expires"):
        kept = _seconds(getattr(app.conf, setting))
        if parks and kept and kept < settings.dead_letter_days * 86_400:
            why = f"what waits for a parked task may be forgotten before an operator has decided, and dead letters are kept for BRIDGE_DEAD_LETTER_DAYS={settings.dead_letter_days:g}; it parks: {', '.join(sorted(parks))}"
            yield warn(
                setting,
                str(timedelta(seconds=kept)),
                why,
                f"{setting} = {settings.dead_letter_days * 86_400:.0f} or more, or a smaller BRIDGE_DEAD_LETTER_DAYS",
            )
    if settings.mark_days < longest / timedelta(days=1):
        why = f"an older run's state could be stored over a newer one's, and jobs may take {longest}"
        yield warn("BRIDGE_MARK_DAYS", f"{settings.mark_days:g}", why, f"BRIDGE_MARK_DAYS={longest / timedelta(days=1):.0f} or more")


def longest_job(app: Celery, bridged: list[Task]) -> timedelta:
    """How long a job may take: by BRIDGE_LONGEST_JOB_HOURS, else by the time limits, if each task has one, else 7 days."""
    hours = Connection.of(app).settings.longest_job_hours
    if hours is not None:
        return timedelta(hours=hours)
    limits = [task.time_limit or app.conf.task_time_limit for task in bridged]
    return timedelta(seconds=max(limits)) if limits and all(limits) else LONGEST_JOB


def _redelivery(app: Celery) -> Iterator[Finding]:
    """A message that a Celery worker holds for longer than the visibility timeout of Redis or SQS (ETA, countdown, retry) is delivered again."""
    settings = Connection.of(app).settings
    if not _is_redelivering(app):
        return
    timeout = _visibility_timeout(app)
    setting, found = "broker_transport_options visibility_timeout", f"{timeout:g} s"
    if timeout > settings.tombstone.total_seconds():
        why = "a message that comes back after that runs its job a second time: what has ended is remembered for BRIDGE_TOMBSTONE_DAYS only"
        yield warn(setting, found, why, f"BRIDGE_TOMBSTONE_DAYS={timeout / 86_400 + 1:.0f} or more, or a shorter visibility_timeout")
    if timeout > FLAG_TTL.total_seconds():
        why = f"a revoke of a job that isn't dispatched yet is remembered for {FLAG_TTL}; its message may come back later, and the job would run"
        yield warn(setting, found, why, f"visibility_timeout to {FLAG_TTL.total_seconds():.0f} or less")
    # A bridged task recognises the second message; an ordinary one runs twice.
    slow = {name: delay for name, delay in _delays(app) if not isinstance(app.tasks.get(name), TwoPhaseTask) and delay > timeout}
    if slow:
        why = f"what waits for longer, for a retry or by a countdown, is delivered, and runs, more than once: {', '.join(sorted(slow))}"
        yield warn(setting, found, why, f"visibility_timeout above {max(slow.values()):g}")


def _limits(app: Celery) -> Iterator[Finding]:
    """A name that no stream and no service has limits nothing."""
    connection = Connection.of(app)
    known = {EVERYTHING, RedisStreamsConfig.SYSTEM_EVENTS, RedisStreamsConfig.SUPERSEDED_RESULTS}
    known |= {name for each in connection.services for name in (each.name, *each.streams)}
    if unknown := connection.settings.limited_names() - known:
        why = "no service and no stream has that name, so nothing is limited by it"
        yield warn("STREAMS_LIMITS", ", ".join(sorted(unknown)), why, f"one of these: {', '.join(sorted(known))}")
    if connection.settings.backlog_retry_max_seconds > (seconds := _visibility_timeout(app)) and _is_redelivering(app):
        why = "the message of a task that is put off comes twice, time after time, while its stream is full"
        yield warn(
            "BRIDGE_BACKLOG_RETRY_MAX_SECONDS",
            f"{connection.settings.backlog_retry_max_seconds:g}",
            why,
            f"less than {seconds:g}, the visibility timeout",
        )


def _is_redelivering(app: Celery) -> bool:
    urls = app.conf.broker_url
    first = urls if isinstance(urls, str) or not urls else urls[0]  # several are for failover
    return str(first).replace("+", ":").split(":", 1)[0] in {"redis", "rediss", "sentinel", "sqs"}


def _visibility_timeout(app: Celery) -> float:
    return _seconds((app.conf.broker_transport_options or {}).get("visibility_timeout")) or REDIS_VISIBILITY_TIMEOUT


def _delays(app: Celery) -> Iterator[tuple[str, float]]:
    """How long tasks wait in a Celery worker, as far as it is declared: automatic retries, and countdowns of beat's entries."""
    for task in app.tasks.values():
        if getattr(task, "autoretry_for", None):
            backoff = getattr(task, "retry_backoff", False)
            yield task.name, float(getattr(task, "retry_backoff_max", 600) if backoff else task.default_retry_delay or 0)
    for entry in filter(lambda entry: isinstance(entry, Mapping), (app.conf.beat_schedule or {}).values()):
        yield entry["task"], float((entry.get("options") or {}).get("countdown") or 0)


def _no_events(setting: str, whose: str) -> Finding:
    return warn(setting, "False", f"somebody watches events (Flower?), and sees nothing of {whose}", f"{setting} = True, or start the worker with -E")


def _at_least(setting: str, duration: timedelta) -> str:
    return f"{setting} = {duration.total_seconds():.0f} or more, or BRIDGE_LONGEST_JOB_HOURS to what is true"


def _seconds(value: Any) -> float:
    """Of a Celery setting: seconds, a timedelta, or None and 0 for never."""
    return float(value.total_seconds() if isinstance(value, timedelta) else value or 0)


def _is_pickle(name: Any) -> bool:
    return str(name).lower() in {"pickle", "application/x-python-serialize"}


def _name(kind: type) -> str:
    return kind.__name__.removeprefix("Fenced")
