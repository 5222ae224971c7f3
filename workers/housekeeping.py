"""Job folders and artifacts past their retention are removed, by a worker that has run their jobs, and never those of a job that runs or may come back.

What may come back is in the ledger: a job that is open, parked, retried by Celery, or redriven. A worker may read its own service's.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

import redis

from streams.bus.clients import connect
from streams.bus.topology import Service
from workers.artifacts import ArtifactStore
from workers.job_records import JobRecord, JobRecords
from workers.reports.record import INDEX
from workers.retention import Folder, to_remove
from workers.reuse import forget_gone
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

GB = 1_000_000_000


class Housekeeping:
    """Of one worker. Blocking: call it in a thread, one at a time."""

    def __init__(self, service: Service, settings: WorkerSettings) -> None:
        self.service, self.settings = service, settings
        self.records = JobRecords(settings.jobs_dir)

    def clean(self, busy: Iterable[str] = ()) -> dict[str, int]:
        """Remove what is past its retention; returns how many folders of jobs and of artifacts.

        Args:
            busy: folders of jobs that run in this worker.

        Raises:
            RedisError: the ledger can't be read; nothing was removed.
        """
        self.records.empty_trash()
        records = {record.folder: record for record in self.records.all()}
        with connect(self.settings.redis_url, name="housekeeping") as client:
            ended = {folder for folder, record in records.items() if folder not in set(busy) and self._has_ended(client, record)}
        jobs = self._clean_jobs(records, ended)
        store = ArtifactStore(self.settings.artifacts_url)
        artifacts = self._clean_artifacts(store, records, ended)
        self._forget(store, records, ended)
        if jobs or artifacts:
            logger.info("removed past their retention: %d job folders, the artifacts of %d jobs", jobs, artifacts)
        return {"jobs": jobs, "artifacts": artifacts}

    def _has_ended(self, client: redis.Redis, record: JobRecord) -> bool:
        return bool(record.runs) and all(service == self.service.name and self._run_has_ended(client, publish) for service, publish in record.runs)

    def _run_has_ended(self, client: redis.Redis, publish_id: str) -> bool:
        job, run = self.settings.keys.job(publish_id), self.settings.keys.run(self.service.name, publish_id)
        phase, outcome, redriven_as = client.hmget(job, ["phase", "outcome", "redriven_as"])
        if redriven_as is not None:
            return self._run_has_ended(client, str(redriven_as))
        if phase is None:  # a foreign producer's, or it ended so long ago that its ledger is gone
            return not client.exists(run) or bool(client.hexists(run, "result_id"))
        return phase == "closed" and outcome != "RETRY"  # its retry runs in the same folder

    def _clean_jobs(self, records: dict[str, JobRecord], ended: set[str]) -> int:
        settings = self.settings
        present = [record for record in records.values() if (settings.jobs_dir / record.folder).exists()]
        sized = settings.jobs_keep_gb is not None
        folders = [
            Folder(each.folder, each.used_at, folder_bytes(settings.jobs_dir / each.folder) if sized else 0, each.folder in ended) for each in present
        ]
        chosen = to_remove(folders, now=time.time(), keep_days=settings.jobs_keep_days, keep_bytes=_bytes(settings.jobs_keep_gb))
        return sum(self.records.remove_folder(records[folder.name]) for folder in chosen)

    def _clean_artifacts(self, store: ArtifactStore, records: dict[str, JobRecord], ended: set[str]) -> int:
        settings = self.settings
        if settings.artifacts_keep_days is None and settings.artifacts_keep_gb is None:
            return 0
        present = [records[name] for name in store.folders() if name in records]
        sized = settings.artifacts_keep_gb is not None
        folders = [Folder(each.folder, each.used_at, store.size(each.folder) if sized else 0, each.folder in ended) for each in present]
        chosen = to_remove(folders, now=time.time(), keep_days=settings.artifacts_keep_days, keep_bytes=_bytes(settings.artifacts_keep_gb))
        for folder in chosen:
            store.remove(folder.name)
        if chosen:
            forget_gone(store)
            _bring_index_up_to_date(store)
        return len(chosen)

    def _forget(self, store: ArtifactStore, records: dict[str, JobRecord], ended: set[str]) -> None:
        """A record stays as long as the folder or artifacts of its job."""
        stored = store.folders()
        for name in ended:
            if name not in stored and not (self.settings.jobs_dir / name).exists():
                self.records.forget(records[name])


def _bring_index_up_to_date(store: ArtifactStore) -> None:
    """Runs that are gone leave the index too, where there is one; a worker that draws no pages may lack what draws them."""
    try:
        if store.exists(INDEX):
            from workers.reports.index import refresh  # it needs Jinja

            refresh(store)
    except Exception:
        logger.exception("the index of runs still names runs that were removed")


def folder_bytes(folder: Path) -> int:
    """What the files below a folder hold, links not followed; what is gone meanwhile isn't counted."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - os.walk's own form
            except OSError:
                continue
    return total


def _bytes(gb: float | None) -> float | None:
    return None if gb is None else gb * GB
