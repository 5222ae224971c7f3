"""The effect of a fault on the system, and its end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass, field

import psutil

from tests.acceptance.stack import Process
from tests.chaos.brpop import stop_with_nothing_in_hand
from tests.chaos.chaos_stack import ChaosStack
from tests.chaos.faults import Fault, Harm, Part
from tests.chaos.run_log import RunLog

TOO_LITTLE_BYTES = 1_000_000
"""`maxmemory` of a server that is full."""


@dataclass(eq=False)
class Struck:
    """A fault that has happened. Times are seconds since the epoch."""

    fault: Fault
    target: str
    began: float
    ended: float | None = None
    """When it was mended."""
    in_hand: frozenset[str] = frozenset()
    """Task ids of what the part had in hand when it was hit."""
    recovered_seconds: float | None = None
    pids: frozenset[int] = frozenset()
    """Of the process and its children, then."""
    frozen: list[psutil.Process] = field(default_factory=list)


class Striker:
    """Hits parts that are whole, and mends them."""

    def __init__(self, stack: ChaosStack, run_log: RunLog, seed: int) -> None:
        self._stack, self._run_log = stack, run_log
        self._random = random.Random(f"targets {seed}")
        self.hit: set[str] = set()
        """Names of what is hit now."""
        self.starting: set[str] = set()
        """Names of processes that were started and haven't said that they are ready."""

    @property
    def server_answers(self) -> bool:
        """Whether the server runs; it may be out of memory all the same."""
        return self._stack.server.pid is not None and not self._server_stands

    _server_stands = False

    @property
    def server_is_well(self) -> bool:
        return Part.SERVER not in self.hit

    def look_who_is_ready(self) -> None:
        self.starting = {name for name in self.starting if not self._stack.processes[name].is_ready}

    def target_for(self, fault: Fault) -> str | None:
        """A part that is whole and at work, if there is one."""
        if fault.part is Part.SERVER:
            return None if Part.SERVER in self.hit else Part.SERVER
        whole = [each.name for each in self._stack.parts[fault.part] if each.running and each.name not in self.hit | self.starting]
        # One of each kind stays: else nothing goes on, and little is tested.
        return self._random.choice(whole) if len(whole) > 1 else None

    def hold(self, struck: Struck) -> bool:
        """Let it stand still, if it is to be killed or stopped: what it has in hand can be seen then, and stays. False when that isn't possible just now."""
        fault = struck.fault
        if fault.part is Part.SERVER:
            return True
        process = self._stack.processes[struck.target]
        struck.pids = frozenset(each.pid for each in process.family())
        if fault.kind == (Part.CELERY, Harm.KILL):
            return stop_with_nothing_in_hand(self._stack.broker, process)
        if fault.harm in {Harm.KILL, Harm.STOP}:
            process.pause()
        self._run_log.read()
        return True

    def release(self, struck: Struck) -> None:
        """It isn't done after all."""
        if struck.fault.part is not Part.SERVER and struck.fault.harm in {Harm.KILL, Harm.STOP}:
            self._stack.processes[struck.target].resume()

    def strike(self, struck: Struck) -> bool:
        """Do it to what is held; False when it can't be done just now."""
        done = self._strike_server(struck) if struck.fault.part is Part.SERVER else self._strike_process(struck)
        if done:
            self.hit.add(struck.target)
        return done

    def mend(self, struck: Struck) -> None:
        """Undo it."""
        if struck.fault.part is Part.SERVER:
            self._mend_server(struck.fault.harm)
        else:
            self._mend_process(struck)
        self.hit.discard(struck.target)
        struck.ended = time.time()

    def start(self, process: Process) -> None:
        process.start()
        self.starting.add(process.name)

    # ------------------------------------------------------------------------------------------------------------------------- processes

    def _strike_process(self, struck: Struck) -> bool:
        process, link, fault = self._stack.processes[struck.target], self._stack.links[struck.target], struck.fault
        match fault.harm:
            case Harm.KILL:
                process.crash()
            case Harm.KILL_CHILD:
                return self._kill_child(process, fault.part)
            case Harm.STOP:
                struck.frozen = process.family()[1:] if fault.amount else []
                for child in struck.frozen:
                    with contextlib.suppress(psutil.Error):
                        child.suspend()
            case Harm.CUT:
                link.cut()
            case Harm.BLACK_HOLE:
                link.black_hole()
            case Harm.DELAY:
                link.delay(fault.amount)
            case Harm.LOSE_REPLIES:
                link.lose_replies(int(fault.amount), of_requests_with=b"FCALL")
        return True

    def _kill_child(self, process: Process, part: Part) -> bool:
        children = process.family()[1:]
        if part is Part.WORKER:
            at_work = {run.pid for run in self._run_log.under_way(child.pid for child in children)}
            children = [child for child in children if child.pid in at_work]
        if not children:
            return False
        with contextlib.suppress(psutil.Error):
            self._random.choice(children).kill()
        return True

    def _mend_process(self, struck: Struck) -> None:
        process = self._stack.processes[struck.target]
        match struck.fault.harm:
            case Harm.KILL:
                self.start(process)
            case Harm.STOP:
                for child in struck.frozen:
                    with contextlib.suppress(psutil.Error):
                        child.resume()
                process.resume()
            case Harm.KILL_CHILD:
                pass
            case _:
                self._stack.links[struck.target].restore()

    # ------------------------------------------------------------------------------------------------------------------------ the server

    def _strike_server(self, struck: Struck) -> bool:
        server = self._stack.server
        match struck.fault.harm:
            case Harm.KILL:
                server.kill()
            case Harm.STOP:
                assert server.pid is not None
                os.kill(server.pid, signal.SIGSTOP)
                self._server_stands = True
            case _:
                self._stack.redis.config_set("maxmemory", TOO_LITTLE_BYTES)
        return True

    def _mend_server(self, harm: Harm) -> None:
        server = self._stack.server
        match harm:
            case Harm.KILL:
                self._stack.start_server()
            case Harm.STOP:
                assert server.pid is not None
                os.kill(server.pid, signal.SIGCONT)
                self._server_stands = False
            case _:
                self._stack.redis.config_set("maxmemory", 0)
