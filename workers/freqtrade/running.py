"""What every job that runs freqtrade does around its own work: a clean environment, the job's folder, freqtrade's log, errors as what they mean."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workers.freqtrade.failures import translated_failures
from workers.freqtrade.job_log import freqtrade_log
from workers.freqtrade.usage import Usage
from workers.freqtrade.workspace import Workspace, close_side_doors

if TYPE_CHECKING:
    from workers.freqtrade.settings import FreqtradeSettings
    from workers.job import Job


@dataclass(frozen=True, slots=True)
class FreqtradeRun:
    """One job that runs freqtrade in this process."""

    job: Job
    settings: FreqtradeSettings
    workspace: Workspace
    attach_log: Callable[[], None]
    """Call it as soon as freqtrade's config is built, see `freqtrade_log`."""
    usage: Usage = field(default_factory=Usage)

    def costs(self) -> dict[str, Any]:
        """What it took so far, and how long the job had waited: part of each result."""
        return self.usage.so_far() | {"queue_wait": self.job.queue_wait}


@contextmanager
def freqtrade_run(job: Job, settings: FreqtradeSettings) -> Iterator[FreqtradeRun]:
    """Run freqtrade for a job; its log is an artifact also of a run that fails.

    Raises:
        BadRequest: freqtrade says that the config or the strategy is wrong.
        JobCancelled: the job was asked to stop.
    """
    usage, workspace = Usage(), Workspace(job.directory)
    close_side_doors()
    workspace.prepare(settings)
    try:
        with freqtrade_log(workspace.log_file) as attach_log, translated_failures(job):
            yield FreqtradeRun(job, settings, workspace, attach_log, usage)
    except Exception as exc:
        with contextlib.suppress(Exception):  # a full disk must not hide why the job failed
            exc.add_note(f"freqtrade's log: {job.artifact(workspace.log_file, media_type='text/plain')['uri']}")
        raise
