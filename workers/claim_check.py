"""The claim check of a stored file, which results and calls carry. Celery's side imports it: pydantic only."""

from __future__ import annotations

from pydantic import BaseModel


class Artifact(BaseModel, frozen=True):
    """The claim check of one stored file."""

    name: str
    """Path below the job's folder of the store, with forward slashes."""
    uri: str
    size: int
    """Bytes."""
    sha256: str
    media_type: str
