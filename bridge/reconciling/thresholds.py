"""From when on the reconciler calls something stuck."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from streams.settings import Settings


class ReconcilerSettings(Settings):
    """Each is generous: what is only slow isn't stuck."""

    settle_seconds: float = Field(default=60.0, validation_alias="RECONCILE_SETTLE_SECONDS", ge=0)
    """What is younger may be on its way."""
    silent_leases: float = Field(default=4.0, validation_alias="RECONCILE_SILENT_LEASES", ge=1)
    """A worker that hasn't renewed its hold on a job for so many leases is silent; others take the job after one."""
    stalled_seconds: float = Field(default=3600.0, validation_alias="RECONCILE_STALLED_SECONDS", gt=0)
    """A job that reports progress, and hasn't got any further for so long, is stalled."""
    retry_grace_seconds: float = Field(default=900.0, validation_alias="RECONCILE_RETRY_GRACE_SECONDS", ge=0)
    """How late a retry may be: longer than the broker's visibility timeout, and than a Celery worker may be away."""
    unknown_results_hours: float = Field(default=24.0, validation_alias="RECONCILE_UNKNOWN_RESULTS_HOURS", gt=0)
    """How long ago a result without a job is still told."""

    @property
    def settle(self) -> timedelta:
        return timedelta(seconds=self.settle_seconds)
