"""Results that may be given again. A finished job leaves a record in its folder of the artifact store, and `reuse/<key>` names that folder.

Nothing here is believed: the record's inputs are hashed again, its files are copied out by their claim checks, which checks size and sha256, and its
folder may be gone. Whatever isn't as it was means that the job runs.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from workers.artifacts import ArtifactStore
from workers.claim_check import Artifact
from workers.errors import BadRequest, DataMissing
from workers.folder import folder_name

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from workers.job import Job

logger = logging.getLogger(__name__)

POINTERS: Final = "reuse"
RECORD: Final = "reuse.json"
MOST_BYTES: Final = 16 << 20


def remember(job: Job, key: str, result: dict[str, Any], inputs: dict[str, Any], *, finished_at: str) -> None:
    """Leave the record of a finished job.

    Args:
        job: that has finished.
        key: of what was asked for: a plain name, such as a hash.
        result: with its artifacts.
        inputs: all that it depends on.
        finished_at: ISO 8601.
    """
    folder = folder_name(job.id)
    record = {"key": key, "task_id": job.id, "finished_at": finished_at, "inputs": inputs, "result": result}
    job.artifacts.write(f"{folder}/{RECORD}", json.dumps(record).encode())
    job.artifacts.write(f"{POINTERS}/{key}", folder.encode())


def find(job: Job, key: str, changed: Callable[[Any], str | None], *, except_for: Container[str] = ()) -> dict[str, Any] | None:
    """The result of a job that was asked the same, with `reused` in it, and its files as this job's artifacts; None when there is none that still holds.

    Args:
        job: that asks.
        key: of what it asks for.
        changed: names the first of a record's inputs that isn't as it was.
        except_for: names of artifacts that were of that one run only.
    """
    try:
        folder = job.artifacts.read(f"{POINTERS}/{key}", most_bytes=256).decode()
        if folder != folder_name(folder):
            return None
        record = json.loads(job.artifacts.read(f"{folder}/{RECORD}", most_bytes=MOST_BYTES))
        if record["key"] != key:
            return None
        if (what := changed(record["inputs"])) is not None:
            logger.info("not reused: %s isn't as it was for job %s", what, record["task_id"])
            return None
        result = _with_own_files(job, dict(record["result"]), except_for)
        return result | {"reused": {"task_id": str(record["task_id"]), "finished_at": str(record["finished_at"])}}
    except DataMissing:
        return None
    except (BadRequest, ValidationError, ValueError, KeyError, TypeError, OSError) as exc:
        logger.info("not reused: the record of %s can't be used (%s: %s)", key, type(exc).__name__, exc)
        return None


def _with_own_files(job: Job, result: dict[str, Any], except_for: Container[str]) -> dict[str, Any]:
    """Copies of its files, which then last as long as this job's result does; each mention of an old URI becomes that of the new one."""
    copies = job.directory / "reused"
    copies.mkdir(parents=True, exist_ok=True)
    moved: dict[str, str] = {}
    artifacts = []
    for number, item in enumerate(result["artifacts"]):
        old = Artifact.model_validate(item)
        if old.name in except_for:
            continue
        copy = job.artifacts.get(old, copies / str(number))
        new = job.artifact(copy, name=old.name, media_type=old.media_type)
        copy.unlink()
        moved[old.uri] = new["uri"]
        artifacts.append(new)
    moved_result = _replaced({name: value for name, value in result.items() if name != "artifacts"}, moved)
    return {**moved_result, "artifacts": artifacts}


def _replaced(value: Any, moved: dict[str, str]) -> Any:
    if isinstance(value, str):
        return moved.get(value, value)
    if isinstance(value, list):
        return [_replaced(item, moved) for item in value]
    if isinstance(value, dict):
        return {name: _replaced(item, moved) for name, item in value.items()}
    return value


def forget_gone(store: ArtifactStore) -> int:
    """Remove the pointers to folders that are gone; returns how many."""
    folders = store.folders()
    gone = [name for name in store.names(POINTERS) if _folder_of(store, name) not in folders]
    for name in gone:
        store.remove(f"{POINTERS}/{name}")
    return len(gone)


def _folder_of(store: ArtifactStore, name: str) -> str:
    try:
        return store.read(f"{POINTERS}/{name}", most_bytes=256).decode(errors="replace")
    except (DataMissing, ValueError):
        return ""
