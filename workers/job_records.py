"""Which jobs the folders of JOBS_DIR belong to: beside them, a small file for each, `.records/<folder>`, with a line for each publish that ran there.

A folder without one isn't ours, and is never removed. The file's time is when the job began or ended last. Whoever begins a job, and whoever removes a folder,
holds the lock of the records meanwhile, so that no folder goes while its job begins; several workers may share a JOBS_DIR.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

RECORDS: Final = ".records"
TRASH: Final = ".trash"
"""No folder of a job begins with a dot."""
LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What ran in a folder."""

    folder: str
    used_at: float
    """When its job began or ended last, seconds since the epoch."""
    runs: tuple[tuple[str, str], ...]
    """Service and publish id of each job that ran there."""


class JobRecords:
    """The records of one JOBS_DIR."""

    def __init__(self, jobs_dir: Path) -> None:
        self.jobs_dir, self._dir = jobs_dir.absolute(), jobs_dir.absolute() / RECORDS

    def begin(self, folder: str, service: str, publish_id: str) -> None:
        """A run begins in this folder."""
        line = f"{service}\t{publish_id}\n"
        with self._locked():
            file = self._dir / folder
            if not file.exists() or line not in file.read_text(encoding="utf-8"):
                with file.open("a", encoding="utf-8") as record:
                    record.write(line)
            file.touch()

    def end(self, folder: str) -> None:
        """The run in this folder has ended. One that was cancelled before it began has left no record, and none is made for it."""
        with suppress(FileNotFoundError):
            os.utime(self._dir / folder)

    def all(self) -> list[JobRecord]:
        """Every record, the least used first."""
        files = [file for file in self._dir.glob("*") if not file.name.startswith(".")] if self._dir.is_dir() else []
        records = [record for file in files if (record := self._read(file)) is not None]
        return sorted(records, key=lambda record: record.used_at)

    def remove_folder(self, record: JobRecord) -> bool:
        """Remove the folder of a job, if the record is still as it was read; False when a run has begun there meanwhile."""
        trash = self.jobs_dir / TRASH
        trash.mkdir(exist_ok=True)
        with self._locked():
            if self._read(self._dir / record.folder) != record:
                return False
            folder = self.jobs_dir / record.folder
            if folder.is_symlink():
                folder.unlink()
            elif folder.exists():
                folder.rename(trash / f"{record.folder}.{uuid4().hex[:8]}")  # at once: what takes its time is done without the lock
        self.empty_trash()
        return True

    def forget(self, record: JobRecord) -> None:
        """Nothing of the job is left here."""
        with self._locked():
            if self._read(self._dir / record.folder) == record:
                (self._dir / record.folder).unlink()

    def empty_trash(self) -> None:
        """Also of a worker that was killed over it."""
        for left in (self.jobs_dir / TRASH).glob("*"):
            shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._dir / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _read(file: Path) -> JobRecord | None:
        try:
            lines, used_at = file.read_text(encoding="utf-8").splitlines(), file.stat().st_mtime
        except OSError:  # gone meanwhile
            return None
        return JobRecord(file.name, used_at, tuple((line.split("\t", 1)[0], line.split("\t", 1)[1]) for line in lines if "\t" in line))
