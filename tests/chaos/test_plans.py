"""A seed decides what is sent and what goes wrong; every kind of both is in it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.acceptance.stack import LEASE_SECONDS
from tests.chaos import faults
from tests.chaos.faults import LASTS, WEIGHTS, Harm
from tests.chaos.run_log import JobRun, lives_after_waking, overlaps
from tests.chaos.workload import Planner


def test_a_seed_is_a_plan() -> None:
    assert Planner(1).plan(300, 60) == Planner(1).plan(300, 60) != Planner(2).plan(300, 60)
    assert faults.plan(1, 50, 60) == faults.plan(1, 50, 60) != faults.plan(2, 50, 60)


def test_jobs_have_ids_of_their_own_and_there_are_enough_of_them() -> None:
    units = Planner(3).plan(2_000, 600)
    ids = [job.id for unit in units for job in unit.all_jobs]
    assert len(set(ids)) == len(ids) >= 2_000
    assert {"chain", "chord", "cancelled", "dead letter redriven", "parked, discarded", "retried by Celery", "retried by its worker", "poison"} <= {
        unit.kind for unit in units
    }
    assert all(0 <= unit.at <= 600 for unit in units)


def test_every_kind_of_fault_comes_and_a_stop_is_longer_than_a_lease() -> None:
    planned = faults.plan(4, 200, 600)
    assert len(planned) == 200
    assert Counter(fault.kind for fault in planned).keys() == WEIGHTS.keys()
    assert all(fault.lasts > LEASE_SECONDS for fault in planned if fault.harm is Harm.STOP)
    assert LASTS.keys() == set(Harm)


def run(pid: int, started_at: float, last_sign_at: float, task_id: str = "job") -> JobRun:
    return JobRun(task_id, 1, 1, pid, started_at, last_sign_at)


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([run(1, 0, 3), run(2, 3, 4)], []),
        ([run(1, 0, 3), run(2, 2, 4)], [1]),
        ([run(1, 0, 9), run(2, 2, 4)], [2]),
        ([run(1, 0, 3), run(2, 2, 4, task_id="another")], []),
    ],
)
def test_runs_of_a_job_overlap_when_the_earlier_one_still_lives(runs: list[JobRun], found: list[float]) -> None:
    assert overlaps(runs) == found


def test_a_zombie_is_a_run_that_goes_on_after_its_worker_woke_while_another_has_the_job() -> None:
    zombie, other, alone = run(1, 0, 9), run(2, 5, 20), run(1, 0, 9, task_id="alone")
    assert lives_after_waking([zombie, other, alone], [1], 3, 8) == [1]
