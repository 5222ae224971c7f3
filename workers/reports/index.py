"""`index.html` at the root of the artifact store: every run whose folder is there.

It is made anew after each run, from the rows of the run before (`index.cache.json`) and the records that are new: reading two thousand files would take longer
than many a backtest. The cache is only that; without it, all records are read again.
"""

from __future__ import annotations

import fcntl
import logging
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from workers.errors import DataMissing
from workers.reports.index_page import index_page, index_row
from workers.reports.record import INDEX, RECORD, RunRecord

if TYPE_CHECKING:
    from workers.artifacts import ArtifactStore

logger = logging.getLogger(__name__)

CACHE, LOCK = "index.cache.json", ".index.lock"
CACHE_VERSION = 1
LOCK_SECONDS = 10.0
MOST_RECORD_BYTES = 256 << 10


def refresh(store: ArtifactStore, *, changed: Collection[str] = (), from_scratch: bool = False) -> str:
    """Bring the index up to date, and return its address.

    Args:
        store: of the artifacts.
        changed: folders whose record is new; a store that isn't local can't tell cheaply.
        from_scratch: read each record again.
    """
    with _alone(store):
        rows = _rows(store, {} if from_scratch else _cached(store), changed)
        store.write(CACHE, orjson.dumps({"version": CACHE_VERSION, "rows": rows}))
        return store.write(INDEX, index_page({folder: row["run"] for folder, row in rows.items()}))


def _rows(store: ArtifactStore, cached: dict[str, Any], changed: Collection[str]) -> dict[str, Any]:
    rows = {}
    for folder in sorted(store.folders()):
        stamp = _stamp(store, folder)
        known = cached.get(folder)
        if known is not None and folder not in changed and known["stamp"] == stamp:
            rows[folder] = known
        elif (record := read_record(store, folder)) is not None:
            rows[folder] = {"stamp": stamp, "run": index_row(record)}
    return rows


def read_record(store: ArtifactStore, folder: str) -> RunRecord | None:
    """The record of one folder; None when there is none, or none that can be trusted to be one."""
    place = store.local_path
    # A strategy can leave anything there: a pipe, which nobody ever writes to, would hold up every job.
    if place is not None and not _is_a_file(place / folder / RECORD):
        return None
    try:
        return RunRecord.model_validate_json(store.read(f"{folder}/{RECORD}", most_bytes=MOST_RECORD_BYTES))
    except DataMissing:  # a job that failed, or runs
        return None
    except (ValidationError, ValueError, OSError) as exc:
        logger.warning("the index leaves out %s/%s, which is no record of a run: %s", folder, RECORD, type(exc).__name__)
        return None


def _is_a_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _cached(store: ArtifactStore) -> dict[str, Any]:
    """The rows by folder. A cache that isn't ours, or was cut, is none."""
    try:
        cache = orjson.loads(store.read(CACHE))
        rows = cache["rows"] if cache["version"] == CACHE_VERSION else {}
        return {folder: row for folder, row in rows.items() if isinstance(row["run"], dict) and "stamp" in row}
    except (DataMissing, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return {}


def _stamp(store: ArtifactStore, folder: str) -> list[int] | None:
    """Changes when the record does; None where asking is a request each."""
    if store.local_path is None:
        return None
    try:
        stat = (store.local_path / folder / RECORD).stat()
    except OSError:
        return None
    return [stat.st_mtime_ns, stat.st_size]


@contextmanager
def _alone(store: ArtifactStore) -> Iterator[None]:
    """One process at a time where the store is local. Elsewhere two may write at once; the next run brings in what one of them missed.

    Raises:
        TimeoutError: another process, which may be a strategy's, keeps the lock.
    """
    if store.local_path is None:
        yield
        return
    store.local_path.mkdir(parents=True, exist_ok=True)
    with (store.local_path / LOCK).open("w") as lock:
        _wait_for(lock)
        yield


def _wait_for(lock: IO[str]) -> None:
    gives_up_at = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > gives_up_at:
                raise TimeoutError(f"another process has kept {lock.name} for {LOCK_SECONDS} s; the index follows with the next run") from None
            time.sleep(0.02)
        else:
            return
