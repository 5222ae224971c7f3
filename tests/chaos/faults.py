"""What goes wrong, and when: a plan that a seed decides."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from tests.acceptance.stack import LEASE_SECONDS

RESTART_SECONDS = (0.2, 2.0)
"""A supervisor starts a killed process again after that."""
STOP_SECONDS = (LEASE_SECONDS + 0.5, LEASE_SECONDS + 2.5)
"""Longer than a lease."""
CUT_SECONDS = (0.2, LEASE_SECONDS + 2)
DELAY_SECONDS = (0.1, 0.6)
LOST_REPLIES = 4


class Part(StrEnum):
    """What is hit."""

    WORKER = "stream worker"
    BRIDGE = "bridge"
    CELERY = "Celery worker"
    SERVER = "Redis"


class Harm(StrEnum):
    """What is done to it."""

    KILL = "kill -9"
    KILL_CHILD = "kill -9 of a child"
    """A job's process, or Celery's pool process."""
    STOP = "SIGSTOP, SIGCONT"
    """Longer than a lease: the zombie that comes back. Half of the times its children stand still too."""
    CUT = "network cut"
    BLACK_HOLE = "network drops all"
    DELAY = "network delayed"
    LOSE_REPLIES = "replies lost"
    OUT_OF_MEMORY = "out of memory"


WEIGHTS: dict[tuple[Part, Harm], int] = {
    (Part.WORKER, Harm.KILL): 7,
    (Part.WORKER, Harm.KILL_CHILD): 5,
    (Part.WORKER, Harm.STOP): 8,
    (Part.WORKER, Harm.CUT): 4,
    (Part.WORKER, Harm.BLACK_HOLE): 4,
    (Part.WORKER, Harm.DELAY): 3,
    (Part.WORKER, Harm.LOSE_REPLIES): 5,
    (Part.BRIDGE, Harm.KILL): 7,
    (Part.BRIDGE, Harm.STOP): 6,
    (Part.BRIDGE, Harm.CUT): 4,
    (Part.BRIDGE, Harm.BLACK_HOLE): 4,
    (Part.BRIDGE, Harm.DELAY): 3,
    (Part.BRIDGE, Harm.LOSE_REPLIES): 5,
    (Part.CELERY, Harm.KILL): 5,
    (Part.CELERY, Harm.KILL_CHILD): 4,
    (Part.CELERY, Harm.STOP): 3,
    (Part.CELERY, Harm.CUT): 3,
    (Part.CELERY, Harm.LOSE_REPLIES): 3,
    (Part.SERVER, Harm.KILL): 5,
    (Part.SERVER, Harm.STOP): 3,
    (Part.SERVER, Harm.OUT_OF_MEMORY): 4,
}
"""How often each comes, of all."""

LASTS: dict[Harm, tuple[float, float]] = {
    Harm.KILL: RESTART_SECONDS,
    Harm.KILL_CHILD: (0.0, 0.0),
    Harm.STOP: STOP_SECONDS,
    Harm.CUT: CUT_SECONDS,
    Harm.BLACK_HOLE: CUT_SECONDS,
    Harm.DELAY: (1.0, 4.0),
    Harm.LOSE_REPLIES: (1.0, 4.0),
    Harm.OUT_OF_MEMORY: (0.5, 3.0),
}
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at: float
    """Seconds after the start; later, if there is no fit target then."""
    part: Part
    harm: Harm
    lasts: float
    """Seconds until it is mended; for a kill, until the process is started again."""
    amount: float = 0.0
    """Seconds of a delay; number of replies lost; for a stop 1 if its children stop too."""

    @property
    def kind(self) -> tuple[Part, Harm]:
        return (self.part, self.harm)


def plan(seed: int, number: int, seconds: float) -> list[Fault]:
    """So many faults over a time, each kind by its weight and in no order; the first begins when the system is at work."""
    chosen = random.Random(f"faults {seed}")
    kinds = list(WEIGHTS)
    rounds = [kind for kind in kinds for _ in range(max(1, round(number * WEIGHTS[kind] / sum(WEIGHTS.values()))))]
    chosen.shuffle(rounds)
    while len(rounds) < number:
        rounds.append(chosen.choices(kinds, list(WEIGHTS.values()))[0])
    step = seconds / number
    return [_fault(chosen, *kind, at=step * (place + chosen.uniform(0.1, 0.9))) for place, kind in enumerate(rounds[:number])]


def _fault(chosen: random.Random, part: Part, harm: Harm, *, at: float) -> Fault:
    lasts = chosen.uniform(*LASTS[harm])
    match harm:
        case Harm.DELAY:
            return Fault(at, part, harm, lasts, chosen.uniform(*DELAY_SECONDS))
        case Harm.LOSE_REPLIES:
            return Fault(at, part, harm, lasts, chosen.randint(1, LOST_REPLIES))
        case Harm.STOP:
            return Fault(at, part, harm, lasts, chosen.randint(0, 1))
        case _:
            return Fault(at, part, harm, lasts)
