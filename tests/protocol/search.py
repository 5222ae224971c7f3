"""Looking for a scenario that breaks an invariant, and making it short."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import redis

from tests.protocol.simulation import Scenario, Simulation, Steps
from tests.protocol.world import Violation


@dataclass(frozen=True, slots=True)
class Finding:
    """A scenario that breaks an invariant, as short as it could be made."""

    scenario: Scenario
    steps: Steps
    violation: Violation
    trace: list[str]

    def __str__(self) -> str:
        lines = [f"{self.violation}", f"PROTOCOL_SEED={self.scenario.seed} repeats it, with {self.scenario.rules}", "", *self.trace]
        return "\n".join(lines)


def explore(client: redis.Redis, seeds: Iterator[int], *, seconds: float, shrinking_seconds: float = 10.0) -> tuple[int, Finding | None]:
    """Run scenarios until one breaks an invariant or time is up; returns how many there were."""
    done, deadline = 0, time.monotonic() + seconds
    for seed in seeds:
        if time.monotonic() > deadline:
            break
        scenario, done = Scenario.of_seed(seed), done + 1
        finding = attempt(client, scenario)
        if finding is not None:
            return done, shrink(client, finding, seconds=shrinking_seconds)
    return done, None


def attempt(client: redis.Redis, scenario: Scenario, steps: Steps | None = None) -> Finding | None:
    """One run, of these steps when they are given; an error of the server is a finding too."""
    simulation = Simulation(client, scenario.rules)
    try:
        if steps is None:
            simulation.run_random(scenario)
        else:
            simulation.run(steps)
    except Violation as violation:
        return Finding(scenario, simulation.steps, violation, simulation.world.trace)
    except redis.ResponseError as exc:
        return Finding(scenario, simulation.steps, Violation(f"error: {exc}"), simulation.world.trace)
    return None


def shrink(client: redis.Redis, finding: Finding, *, seconds: float) -> Finding:
    """Leave out steps, halves first and single ones last, as long as the same invariant breaks."""
    deadline, size = time.monotonic() + seconds, max(1, len(finding.steps) // 2)
    while time.monotonic() < deadline:
        shorter = None
        for start in range(0, len(finding.steps), size):
            shorter = attempt(client, finding.scenario, finding.steps[:start] + finding.steps[start + size :])
            if shorter is not None and shorter.violation.code == finding.violation.code:
                finding = shorter
                break
            shorter = None
        if shorter is None:
            if size == 1:
                break
            size //= 2
    return finding
