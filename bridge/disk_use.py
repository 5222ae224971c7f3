"""Who uses the disk of this host: job folders and artifacts, where this host sees them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ByteSize, Field

from bridge.connection import Connection
from streams.settings import Settings


class DiskSettings(Settings):
    """What a worker of this host goes by."""

    jobs_dir: str = Field(default="var/jobs", validation_alias="JOBS_DIR")
    artifacts_url: str = Field(default="var/artifacts", validation_alias="ARTIFACTS_URL")
    min_free_disk: ByteSize = Field(default=ByteSize(2**30), validation_alias="MIN_FREE_DISK")


FILE_URL: Final = "file://"


@dataclass(frozen=True, slots=True)
class FolderUse:
    """What belongs to one job."""

    name: str
    bytes: int
    days_unused: float
    is_open: bool
    """Its job hasn't ended, as far as it is known here."""


@dataclass(frozen=True, slots=True)
class PlaceUse:
    """A folder of job folders."""

    variable: str
    path: str
    seen: bool
    """Whether this host sees it."""
    bytes: int = 0
    free_bytes: int = 0
    min_free_bytes: int = 0
    """With less free, a worker takes no new jobs."""
    folders: tuple[FolderUse, ...] = ()
    """The largest first."""


def disk_use(connection: Connection, settings: DiskSettings | None = None) -> list[PlaceUse]:
    """Look at JOBS_DIR and ARTIFACTS_URL."""
    settings = settings or DiskSettings.load()
    return [
        _look(connection, "JOBS_DIR", settings.jobs_dir, int(settings.min_free_disk)),
        _look(connection, "ARTIFACTS_URL", settings.artifacts_url, int(settings.min_free_disk)),
    ]


def _look(connection: Connection, variable: str, url: str, min_free: int) -> PlaceUse:
    path = Path(url.removeprefix(FILE_URL))
    if ("://" in url and not url.startswith(FILE_URL)) or not path.is_dir():
        return PlaceUse(variable, url, seen=False)
    folders = sorted(_folders(connection, path), key=lambda each: -each.bytes)
    free = shutil.disk_usage(path).free
    return PlaceUse(variable, str(path), True, sum(each.bytes for each in folders), free, min_free, tuple(folders))


def _folders(connection: Connection, path: Path) -> Iterator[FolderUse]:
    for folder in path.iterdir():
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        size, newest = _measure(folder)
        yield FolderUse(folder.name, size, max(0.0, (time.time() - newest) / 86_400), _is_open(connection, folder.name))


def _measure(folder: Path) -> tuple[int, float]:
    """Bytes of the files, and when one was written last."""
    size, newest = 0, folder.stat().st_mtime
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                info = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - os.walk's own form
            except OSError:  # gone meanwhile
                continue
            size, newest = size + info.st_size, max(newest, info.st_mtime)
    return size, newest


def _is_open(connection: Connection, task_id: str) -> bool:
    return int(str(connection.client.hget(connection.keys.task(task_id), "open") or 0)) > 0
