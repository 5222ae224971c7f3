"""A finished run gets its page, its record, and its place in the index."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from workers.reports.record import RECORD, REPORT, Kind, RunRecord, now

if TYPE_CHECKING:
    from workers.job import Job

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Page(NamedTuple):
    """What a kind of run makes of its result."""

    record: dict[str, Any]
    """Fields of its `RunRecord`; those that every run has are filled in."""
    html: Callable[[], bytes]
    """Draws it: apart from the record, so that a run whose page can't be drawn is in the index all the same."""


Draw = Callable[["Job", Mapping[str, Any], Mapping[str, Any]], Page]


def publish(job: Job, *, kind: Kind | str, result: dict[str, Any], details: Callable[[], Mapping[str, Any]] = dict) -> list[dict[str, Any]]:
    """Write `report.html` and `run.json` as artifacts of the job, and bring the index up to date.

    The result gets `report`, the page's URI, or `report_error`, why there is none: the numbers are right all the same.

    Args:
        job: that ran.
        kind: of the run.
        result: complete but for these artifacts; it gets the one key more.
        details: gives what the page shows and the result is too small for; called here, so that its failure is the report's and not the job's.

    Returns:
        The claim checks of the files that were written.
    """
    artifacts: list[dict[str, Any]] = []
    result["report"] = None
    page = _attempt(job, result, lambda: _draw(Kind(kind))(job, result, details()))
    if page is None:
        return artifacts
    if html := _attempt(job, result, page.html):
        _attempt(job, result, lambda: artifacts.append(_store(job, REPORT, html)))
    if artifacts:
        result["report"] = artifacts[0]["uri"]
    _attempt(job, result, lambda: artifacts.append(_store(job, RECORD, _record(job, kind, result, page.record))))
    _attempt(job, result, lambda: _bring_index_up_to_date(job))
    return artifacts


def _attempt(job: Job, result: dict[str, Any], step: Callable[[], T]) -> T | None:
    """Do one step; what goes wrong is told in the result, the first of it."""
    try:
        return step()
    except Exception as exc:
        logger.exception("job %s: its report", job.id)
        result.setdefault("report_error", f"{type(exc).__name__}: {exc}"[:500])
        return None


def _record(job: Job, kind: Kind | str, result: Mapping[str, Any], fields: Mapping[str, Any]) -> bytes:
    every = {"task_id": job.id, "kind": kind, "finished_at": now(), "host": socket.gethostname()[:100], "seconds": result.get("run_seconds")}
    return RunRecord.model_validate(every | {"has_page": result["report"] is not None} | dict(fields)).model_dump_json().encode()


def _draw(kind: Kind) -> Draw:
    # Jinja is imported with the first page, and its absence is a report_error.
    from workers.reports.pages import DRAW

    return DRAW[kind]


def _store(job: Job, name: str, content: bytes) -> dict[str, Any]:
    file = Path(job.directory, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return job.artifact(file)


def _bring_index_up_to_date(job: Job) -> None:
    from workers.folder import folder_name
    from workers.reports.index import refresh

    refresh(job.artifacts, changed={folder_name(job.id)})
