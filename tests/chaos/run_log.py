"""What the jobs themselves wrote down: which runs there were, in which process, from when to when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(slots=True)
class JobRun:
    """One run of a job. Times are seconds since the epoch."""

    task_id: str
    attempt: int
    """The run number of the publish: two attempts are two publishes."""
    delivery: int
    pid: int
    started_at: float
    last_sign_at: float
    """It lived until then at least."""
    ended: bool = False
    """Its handler was left; a killed process never says so."""


class RunLog:
    """The file, read as it grows."""

    def __init__(self, file: Path) -> None:
        self._file, self._position, self._rest = file, 0, b""
        self.runs: list[JobRun] = []
        self._by_key: dict[tuple[str, int, int, int], JobRun] = {}

    def read(self) -> None:
        """Take in what was written since the last time."""
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._position)
            new = file.read()
        self._position += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._take(line.decode().split())

    def _take(self, words: list[str]) -> None:
        what, task_id, attempt, delivery, pid, at = words
        key = (task_id, int(attempt), int(delivery), int(pid))
        if what == "start":
            self._by_key[key] = JobRun(*key, started_at=float(at), last_sign_at=float(at))
            self.runs.append(self._by_key[key])
        run = self._by_key[key]
        run.last_sign_at, run.ended = float(at), what == "end"

    def under_way(self, pids: Iterable[int]) -> list[JobRun]:
        """The runs in these processes that haven't ended."""
        wanted = set(pids)
        return [run for run in self.runs if not run.ended and run.pid in wanted]


def overlaps(runs: Iterable[JobRun]) -> list[float]:
    """How long two runs of one job went on side by side, in seconds, for each time that they did."""
    of_job: dict[str, list[JobRun]] = defaultdict(list)
    for run in runs:
        of_job[run.task_id].append(run)
    found = []
    for each in of_job.values():
        for earlier, later in pairwise(sorted(each, key=lambda run: run.started_at)):
            both = min(earlier.last_sign_at, later.last_sign_at) - later.started_at
            if both > 0:
                found.append(both)
    return found


def lives_after_waking(runs: Iterable[JobRun], pids: Iterable[int], stopped_at: float, woke_at: float) -> list[float]:
    """Of a worker that stood still: how long each of its runs that another worker had taken over went on after it woke, in seconds.

    Args:
        runs: all.
        pids: its processes.
        stopped_at: SIGSTOP, seconds since the epoch.
        woke_at: SIGCONT.
    """
    runs, its = list(runs), set(pids)
    before = [run for run in runs if run.pid in its and run.started_at < stopped_at and run.last_sign_at > woke_at]
    return [
        run.last_sign_at - woke_at
        for run in before
        if any(other.task_id == run.task_id and other.pid != run.pid and run.started_at < other.started_at < run.last_sign_at for other in runs)
    ]
