"""Every order of the steps, breadth first; or many long random ones."""

from __future__ import annotations

import time
from collections import deque
from random import Random
from typing import NamedTuple

from docs.protocol_model import bridges, celery_workers, operators, stream_workers, upkeep
from docs.protocol_model.invariants import at_rest
from docs.protocol_model.state import Config, State, Step

PARTS = (celery_workers, stream_workers, upkeep, bridges, operators)


class Found(NamedTuple):
    """What a search came to."""

    states: int
    violation: str = ""
    trace: tuple[str, ...] = ()
    complete: bool = True


def next_steps(s: State, c: Config) -> list[Step]:
    """All that may happen next."""
    return [step for part in PARTS for step in part.steps(s, c)]


def search(c: Config, most: int = 400_000) -> Found:
    """From the start through every state, until one breaks an invariant: by the shortest way there is."""
    start = c.start()
    came: dict[State, tuple[State, str] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        s, fair = waiting.popleft(), False
        for says, after, is_fair in next_steps(s, c):
            fair = fair or is_fair
            if after not in came:
                came[after] = (s, says)
                if after.broken:
                    return Found(len(came), after.broken, _trace(came, after))
                waiting.append(after)
        violation = "" if fair else at_rest(s, c)
        if violation:
            return Found(len(came), violation, _trace(came, s))
        if len(came) > most:
            return Found(len(came), complete=False)
    return Found(len(came))


def walk(c: Config, walks: int, seed: int = 7) -> Found:
    """Random ways to rest, of a scenario that has too many states; the steps are in a fixed order, so a seed always says the same."""
    pick, steps = Random(seed), 0
    for _ in range(walks):
        s, trace = c.start(), list[str]()
        while True:
            following = sorted(next_steps(s, c), key=lambda step: step.says)
            violation = s.broken or ("" if any(step.fair for step in following) else at_rest(s, c))
            if violation:
                return Found(steps, violation, tuple(trace))
            if not following:
                break
            steps += 1
            says, s, _ = pick.choice(_of_one_kind(following, pick))
            trace.append(says)
    return Found(steps, complete=False)


def _of_one_kind(following: list[Step], pick: Random) -> list[Step]:
    """Faults and requests are rarer than what happens by itself: most of the way would be nothing else."""
    fair, others = [step for step in following if step.fair], [step for step in following if not step.fair]
    return others if others and (not fair or pick.random() < 0.12) else fair


def _trace(came: dict[State, tuple[State, str] | None], s: State) -> tuple[str, ...]:
    trace: list[str] = []
    while (before := came[s]) is not None:
        s, says = before
        trace.append(says)
    return tuple(reversed(trace))


def timed(c: Config) -> tuple[Found, float]:
    began = time.perf_counter()
    found = search(c)
    return found, time.perf_counter() - began
