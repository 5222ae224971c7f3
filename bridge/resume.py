"""Phase 2 (protocol S3): a result becomes the task's outcome, through Celery's own tracer.

The order is R8 begin, the mark, then what the tracer does (link and chain, state, chord part; or the retry's message and RETRY; or FAILURE and
errbacks), then R9 resolved. A bridge that dies in between leaves the result pending: the whole is done again, in the same order, and the second copy
of everything it sends is recognised.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from celery import states
from celery.app.task import Context
from kombu.utils.json import loads

from bridge import identity, instrumentation, outcome, remote_errors
from bridge.celery_internals import resuming, revoked
from bridge.celery_internals.resuming import Finished
from bridge.celery_internals.servers import store_state
from bridge.connection import Connection
from bridge.errors import JobError
from bridge.notifications import notifying
from bridge.states import BEGUN_RANK, DEAD_LETTERED, PROGRESS
from streams.jobs import dead_letters, resolving
from streams.jobs.messages import Result, ResultStatus, Status, StatusKind
from streams.jobs.resolving import Begun

logger = logging.getLogger(__name__)


class ChordClaimed(Exception):
    """The body of this result's chord isn't sent, and the claim to send it is held, perhaps by a bridge that died: resolve the result again later."""


@dataclass(frozen=True, slots=True)
class WonResult:
    """A result that counts, and what dispatch remembered of its job."""

    result: Result
    service: str
    publish_id: str
    begun: Begun
    stream: str
    entry: str

    @property
    def run(self) -> identity.CurrentRun:
        """A fresh run: each replay counts what it sends from the start."""
        return identity.CurrentRun(self.publish_id, self.begun.lineage, self.begun.seq, self.result.task_id, replay=self.begun.replay)


def _is_to_park(won: WonResult, request: Any) -> bool:
    """A dead letter of a task that asks for it, unless Celery retries it, or an operator has decided already."""
    dead = won.result.status is ResultStatus.DEAD_LETTERED and not won.begun.cancelled and not won.begun.released
    if not dead or getattr(request.task, "on_dead_letter", "fail") != "park":
        return False
    return not resuming.would_retry(request, outcome.dead_lettered(won.result))


class Resumer:
    """Finishes tasks inside Celery."""

    def __init__(self, connection: Connection, *, group: str, hostname: str, dispatcher: Any = None) -> None:
        """Resolve for one app.

        Args:
            connection: of the app.
            group: consumer group on the result streams.
            hostname: node name of the bridge, for results that name no worker.
            dispatcher: Celery's event dispatcher of this node, or None for no events.
        """
        self.connection, self.app = connection, connection.app
        self.group, self.hostname, self.dispatcher = group, hostname, dispatcher

    def begin(self, service: str, stream: str, entry: str, result: Result) -> WonResult | None:
        """R8: None when this result isn't the one that counts; it is acknowledged then."""
        publish_id = result.publish_id or self.connection.client.hget(self.connection.keys.task(result.task_id), f"publish:{result.attempt}")
        step = resolving.begin(
            self.connection.keys,
            str(publish_id or "unknown"),
            results=stream,
            group=self.group,
            entry=entry,
            task_id=result.task_id,
            service_name=service,
        )
        begun = self.connection.call(step)
        if begun.verdict != "won":
            instrumentation.superseded(service, begun.verdict)
            logger.warning("result %s of task %s (run %s, %s): %s, kept aside", entry, result.task_id, result.attempt, result.status, begun.verdict)
            return None
        if begun.replay:
            logger.info("result %s of task %s had begun before; it is resolved again", entry, result.task_id)
        return WonResult(result, service, str(publish_id), begun, stream, entry)

    def resolve(self, won: WonResult) -> None:
        """Finish the task, then close its ledger.

        Raises:
            ChordClaimed: the task is finished, its chord can't be now; the ledger stays open.
        """
        result, context = won.result, loads(won.begun.context)
        request = resuming.rebuild_request(self.app, context, hostname=result.worker or self.hostname, pid=result.pid, dispatcher=self.dispatcher)
        with identity.running(won.run) as run:
            self.connection.raise_mark(run, BEGUN_RANK)
            if _is_to_park(won, request):
                self._park(won, request)
                return
            finished = self._finish(won, request)
        if run.chord_claimed:
            raise ChordClaimed(f"the body of its chord {request.group} isn't sent yet")
        self.close(won, finished)

    def _park(self, won: WonResult, request: Any) -> None:
        """R15: not its end. It waits for an operator, and so do its chord and its chain."""
        error = outcome.dead_lettered(won.result)
        if not request.ignore_result:
            told = {"reason": error.reason, "message": error.message, "dead_letter_id": error.dead_letter_id, "deliveries": error.deliveries}
            store_state(request, DEAD_LETTERED, told | {"worker": won.result.worker})
        step = dead_letters.park(
            self.connection.keys, won.publish_id, task_id=won.result.task_id, results=won.stream, group=self.group, entry=won.entry
        )
        verdict = self.connection.call(step, patience_seconds=self.connection.settings.dispatch_patience_seconds)
        if verdict == "cancelled":
            logger.info("task %s was revoked meanwhile; it isn't parked", won.result.task_id)
            return
        instrumentation.parked(won, won.service)
        logger.warning(
            "task %s is parked (%s), it waits for an operator: celery streams dead redrive %s, or discard",
            won.result.task_id,
            error,
            error.dead_letter_id,
        )

    def _finish(self, won: WonResult, request: Any) -> Finished:
        result, signum = won.result, won.begun.cancelled
        cancelled = bool(signum) or result.status is ResultStatus.CANCELLED
        started = result.worker is not None and result.started_at is not None
        if started and result.worker != won.begun.announced:
            request.send_event("task-started")  # its status is late, or was lost
        if cancelled and started:
            resuming.terminate(request, signum)
        elif cancelled or result.status is ResultStatus.EXPIRED:
            revoked.announce_revoked(request, "revoked" if cancelled else "expired")
        else:
            body = outcome.of_result(result, remote_errors.classes_named_by(request.task))
            return resuming.finish(request, body, result.runtime_seconds)
        return Finished(states.REVOKED)

    def give_up(self, won: WonResult, error: BaseException) -> None:
        """A result that can't be resolved, time and again: the task fails with the reason, so that nobody waits for ever.

        When its outcome is stored already, and only what comes after that fails, that outcome stands.
        """
        context = Context(loads(won.begun.context))
        with identity.running(won.run) as run:
            if not self.connection.has_outcome(run):
                self.connection.raise_mark(run, BEGUN_RANK)
                if not isinstance(error, Exception):
                    error = JobError(f"{type(error).__name__}: {error}")
                notifying.tell_failed(context.task, won.result.task_id, error)
                self.app.backend.mark_as_failure(won.result.task_id, error, request=context, store_result=not context.ignore_result)
        stored = self.app.backend.get_task_meta(won.result.task_id, cache=False)["status"]
        self.close(won, Finished(str(stored) if stored in states.READY_STATES else states.FAILURE))

    def close(self, won: WonResult, finished: Finished) -> None:
        """R9."""
        settings, dead = self.connection.settings, won.result.status is ResultStatus.DEAD_LETTERED
        step = resolving.resolved(
            self.connection.keys,
            won.service,
            won.publish_id,
            won.result.task_id,
            results=won.stream,
            group=self.group,
            entry=won.entry,
            outcome=finished.state,
            retry=identity.retry_of(won.publish_id, won.begun.retries + 1) if finished.state == states.RETRY else "",
            retry_due_ms=finished.retry_due_ms,
            tombstone=settings.dead_letter_tombstone if dead else settings.tombstone,
        )
        verdict = self.connection.call(step, patience_seconds=settings.dispatch_patience_seconds)
        instrumentation.resolved(self.connection, won, won.service, verdict)

    # ------------------------------------------------------------------------------------------------------------------------ status (S4)

    def show(self, service: str, status: Status) -> None:
        """A status message becomes the task's state, while its job is open and no result of it has begun."""
        keys = self.connection.keys
        publish_id = status.publish_id or self.connection.client.hget(keys.task(status.task_id), f"publish:{status.attempt}")
        job = keys.job(str(publish_id))
        phase, winner, lineage, seq, context, announced, *whose = self.connection.client.hmget(
            job, ["phase", "winner", "lineage", "seq", "ctx", "announced", "task_id", "service"]
        )
        if phase != "open" or winner or status.kind is StatusKind.LOG or whose != [status.task_id, service]:
            return
        request = resuming.rebuild_request(
            self.app, loads(str(context)), hostname=status.worker or self.hostname, pid=status.pid, dispatcher=self.dispatcher
        )
        if status.kind is StatusKind.STARTED and status.worker != announced:
            self.connection.client.hset(job, "announced", str(status.worker))
            request.send_event("task-started")
        if request.ignore_result:
            return
        state, meta = (
            (states.STARTED, {"pid": status.pid, "hostname": status.worker}) if status.kind is StatusKind.STARTED else (PROGRESS, status.progress())
        )
        with identity.running(identity.CurrentRun(str(publish_id), str(lineage), int(str(seq)), status.task_id)):
            store_state(request, state, meta)
