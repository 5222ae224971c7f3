"""A task id is whatever the caller chose, `../../etc` included; a folder's name is not."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def folder_name(job_id: str) -> str:
    """The name of a job's folder: the task id itself when that is a plain name, as Celery's own are; else one made from its hash."""
    if _PLAIN.fullmatch(job_id):
        return job_id
    return "job-" + hashlib.sha256(job_id.encode(errors="surrogateescape")).hexdigest()[:40]
