"""Is there room for another job? With less than MIN_FREE_DISK free a worker takes none: others may have room, and a job that finds a full disk fails late."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Final

from workers.artifacts import ArtifactStore
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS: Final = 1.0
MIB: Final = 2**20


class DiskRoom:
    """The free space where a worker's jobs write."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._least = int(settings.min_free_disk)
        artifacts = ArtifactStore(settings.artifacts_url).local_path
        self._places = {"JOBS_DIR": settings.jobs_dir} | ({"ARTIFACTS_URL": artifacts} if artifacts is not None else {})
        self.lacking = ""
        """Why no job is taken, as `look` found it; "" when there is room."""

    def look(self) -> bool:
        """Whether there is room now. A change is told in the log."""
        before, self.lacking = self.lacking, self._lacking()
        if self.lacking and not before:
            logger.error("no new jobs are taken: %s", self.lacking)
        elif before and not self.lacking:
            logger.info("there is room on the disk again, jobs are taken")
        return not self.lacking

    def _lacking(self) -> str:
        if not self._least:
            return ""
        for variable, place in self._places.items():
            free = shutil.disk_usage(_existing(place)).free
            if free < self._least:
                return f"{variable} has {free / MIB:,.0f} MiB free, MIN_FREE_DISK is {self._least / MIB:,.0f} MiB"
        return ""


def _existing(place: Path) -> Path:
    """The nearest folder that is there: the artifacts' is made by the first of them."""
    return next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
