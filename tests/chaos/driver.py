"""Runs the plan: sends, cancels, breaks, mends, restarts as a supervisor does, and looks on. One thread, as a process's parent must be the main one."""

from __future__ import annotations

import faulthandler
import heapq
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import IO

import redis

from streams.bus.clients import is_passing
from streams.jobs.cancelling import cancel_task
from tests.chaos.chaos_stack import ChaosStack
from tests.chaos.faults import Fault
from tests.chaos.jobs import CancelBy, Job, Operator, Unit
from tests.chaos.operating import discard_letter, redrive_letter
from tests.chaos.outcomes import Outcomes
from tests.chaos.recovering import Recovery
from tests.chaos.run_log import RunLog
from tests.chaos.sending import send
from tests.chaos.striking import Striker, Struck

LOOK_SECONDS = 0.1
AGAIN_SECONDS = 0.3
"""What can't be done now is tried again after that."""
FIRST_FAULT_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
"""A fault waits so long for a target with something in hand."""
AIM_SECONDS = 0.04
STANDS_STILL_SECONDS = 5.0


@dataclass
class Happened:
    """What was done, for the judge."""

    struck: list[Struck] = field(default_factory=list)
    cancel_answers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    redrives: Counter[str] = field(default_factory=Counter)
    """By task id."""
    discarded: set[str] = field(default_factory=set)
    ended_by_themselves: list[str] = field(default_factory=list)
    """Processes that nobody had killed."""


class Driver:
    """One run."""

    def __init__(self, stack: ChaosStack, units: list[Unit], faults: list[Fault], seed: int, say: Callable[[str], None]) -> None:
        self.stack, self.units, self.faults, self._say = stack, units, faults, say
        self.run_log = RunLog(stack.run_log)
        self.outcomes = Outcomes(stack)
        self.striker = Striker(stack, self.run_log, seed)
        self.recovery = Recovery(stack, self.run_log, self.outcomes)
        self.happened = Happened()
        self._jobs = {job.id: job for unit in units for job in unit.all_jobs}
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._operated: set[str] = set()
        """Whose dead letter an operator is at."""
        self._next_look = 0.0
        self._stalls: IO[str] | None = None

    def run(self, settle_seconds: float) -> None:
        """All of the plan; then, until everything is at rest."""
        self.stack.start()
        with (self.stack.directory / "stalls").open("w") as self._stalls:
            self._follow_the_plan()
            self._settle(time.monotonic() + settle_seconds)

    def _follow_the_plan(self) -> None:
        start = time.monotonic()
        for unit in self.units:
            self._at(start + unit.at, lambda unit=unit: self._send(unit))  # type: ignore[misc]
        for fault in self.faults:
            self._at(start + FIRST_FAULT_SECONDS + fault.at, lambda fault=fault: self._strike(fault))  # type: ignore[misc]
        while self._due:
            self._step()
        self._say(f"the plan is done after {time.monotonic() - start:.0f} s; {len(self.outcomes.open)} jobs are open")

    def _settle(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            self._step()
            if not self.outcomes.open and not self._due and not self.striker.starting and not self.stack.patiently(self.stack.left):
                return

    def _step(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, work = heapq.heappop(self._due)
            self._watched(work)
        if time.monotonic() >= self._next_look:
            self._watched(self._look)
            self._next_look = time.monotonic() + LOOK_SECONDS
        time.sleep(0.01)

    def _watched(self, work: Callable[[], object]) -> None:
        """A driver that stands still mends nothing meanwhile, and faults last longer than they were to."""
        assert self._stalls is not None
        began = time.monotonic()
        faulthandler.dump_traceback_later(STANDS_STILL_SECONDS, file=self._stalls)
        work()
        faulthandler.cancel_dump_traceback_later()
        if (took := time.monotonic() - began) > STANDS_STILL_SECONDS:
            self._say(f"the driver itself stood still for {took:.1f} s: see {self._stalls.name}")

    def _at(self, moment: float, work: Callable[[], object]) -> None:
        heapq.heappush(self._due, (moment, next(self._order), work))

    def _later(self, work: Callable[[], object], seconds: float = AGAIN_SECONDS) -> None:
        self._at(time.monotonic() + seconds, work)

    # -------------------------------------------------------------------------------------------------------------------------- looking on

    def _look(self) -> None:
        self._restart_what_ended()
        self.striker.look_who_is_ready()
        self.run_log.read()
        if self.striker.server_answers:
            try:
                for task_id in self.outcomes.look() | self.outcomes.parked:
                    self._call_operator(self._jobs[task_id])
                self.recovery.look()
            except (redis.RedisError, OSError) as exc:
                if not is_passing(exc):
                    raise

    def _restart_what_ended(self) -> None:
        for name, process in self.stack.processes.items():
            if not process.running and name not in self.striker.hit:
                self.happened.ended_by_themselves.append(f"{name}: exit code {process.returncode}; the end of its log:\n{process.log_tail(30)}")
                self._say(f"{name} ended by itself with exit code {process.returncode}; it is started again")
                self.striker.start(process)

    # ------------------------------------------------------------------------------------------------------------------- what a caller does

    def _send(self, unit: Unit) -> None:
        if unit.body is not None and not self.striker.server_is_well:
            self._later(lambda: self._send(unit))  # Celery writes the size of a chord's header into the result backend
            return
        self.outcomes.expect(job.id for job in unit.all_jobs)
        send(self.stack, unit)
        if unit.cancel_after is not None:
            self._later(lambda: self._cancel(unit), unit.cancel_after)

    def _cancel(self, unit: Unit) -> None:
        task_id = unit.jobs[0].id
        if unit.cancel_by is CancelBy.REVOKE:
            self.stack.caller.control.revoke(task_id, terminate=True)
            return
        try:
            if not self.striker.server_answers:
                raise redis.ConnectionError("not now")
            answers = cancel_task(self.stack.redis, self.stack.keys, task_id)
        except (redis.RedisError, OSError):
            self._later(lambda: self._cancel(unit))  # a caller whose cancel wasn't answered sends it again
            return
        self.happened.cancel_answers[task_id] = tuple(answers.values()) or ("flagged",)

    # ------------------------------------------------------------------------------------------------------------------ what an operator does

    def _call_operator(self, job: Job) -> None:
        """Its task has ended, or is parked: the operator comes if that is because of a dead letter, and only one at a time."""
        failed = job.id not in self.outcomes.open and self.outcomes.ended_as[job.id] == "FAILURE"
        if job.operator is None or job.id in self._operated or not (failed or job.id in self.outcomes.parked):
            return
        if failed and job.operator is not Operator.REDRIVE:
            return
        self._operated.add(job.id)
        self._operate(job, job.operator)

    def _operate(self, job: Job, operator: Operator) -> None:
        try:
            done = self.striker.server_answers and self._deal(job, operator)
        except (redis.RedisError, OSError):
            done = False
        if not done:
            self._later(lambda: self._operate(job, operator))
            return
        self._operated.discard(job.id)

    def _deal(self, job: Job, operator: Operator) -> bool:
        match operator:
            case Operator.REVOKE:
                answers = cancel_task(self.stack.redis, self.stack.keys, job.id)
                self.happened.cancel_answers[job.id] = tuple(answers.values())
                return True
            case Operator.DISCARD:
                self.happened.discarded.add(job.id)
                return discard_letter(self.stack, job.id)
            case Operator.REDRIVE:
                if not redrive_letter(self.stack, job.id):
                    return False
                self.happened.redrives[job.id] += 1
                self.outcomes.expect([job.id])
                return True

    # ----------------------------------------------------------------------------------------------------------------------------- faults

    def _strike(self, fault: Fault, patience: float | None = None) -> None:
        """Hit a part that has something in hand; after some patience, one that has nothing."""
        patience = time.monotonic() + PATIENCE_SECONDS if patience is None else patience
        target = self.striker.target_for(fault)
        if target is None:
            self._later(lambda: self._strike(fault))
        elif not self._strike_at(fault, target, aimed=time.monotonic() < patience):
            self._later(lambda: self._strike(fault, patience), AIM_SECONDS)

    def _strike_at(self, fault: Fault, target: str, *, aimed: bool) -> bool:
        struck = Struck(fault, target, time.time())
        if not self.striker.hold(struck):
            return False
        self._note(struck)
        struck.began = time.time()
        if (aimed and self.striker.server_answers and not struck.in_hand) or not self.striker.strike(struck):
            self.recovery.forget(struck)
            self.striker.release(struck)
            return False
        self.happened.struck.append(struck)
        self._log_fault("begins", struck)
        self._later(lambda: self._mend(struck), fault.lasts)
        if len(self.happened.struck) % 20 == 0:
            ended = len(self.outcomes.ended_at)
            self._say(f"{len(self.happened.struck)} faults; {ended} jobs have ended, {len(self.outcomes.open)} are open")
        return True

    def _mend(self, struck: Struck) -> None:
        self.striker.mend(struck)
        self._log_fault("ends", struck)

    def _log_fault(self, what: str, struck: Struck) -> None:
        held, now = ", ".join(sorted(struck.in_hand)[:20]), datetime.now().astimezone()
        with (self.stack.directory / "log" / "faults.log").open("a") as log:
            log.write(f"{now:%H:%M:%S.%f} {struck.target}: {struck.fault.harm} {what}; in hand: {held}\n")

    def _note(self, struck: Struck) -> None:
        if self.striker.server_answers:
            try:
                self.recovery.note(struck)
            except (redis.RedisError, OSError) as exc:
                if not is_passing(exc):
                    raise
