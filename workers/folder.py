"""A task id is whatever the caller chose, `../../etc` included; a folder's name is not."""

from __future__ import annotations

import hashlib
import re

_STORES_OWN = frozenset({"reuse", "index.html", "index.html.part", "index.cache.json", "index.cache.json.part"})
"""Names at the root of the artifact store that are no job's."""
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def folder_name(job_id: str) -> str:
    """The name of a job's folder: the task id itself when that is a plain name, as Celery's own are; else one made from its hash."""
    if _PLAIN.fullmatch(job_id) and job_id not in _STORES_OWN:
        return job_id
    return "job-" + hashlib.sha256(job_id.encode(errors="surrogateescape")).hexdigest()[:40]
