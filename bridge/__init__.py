"""The library for Celery people: long jobs on Redis Streams, as ordinary Celery tasks.

from bridge import StreamTask, connect

app = connect(Celery("myproj", broker=REDIS, backend=REDIS))
"""

from bridge.chord_parts import TolerantChord
from bridge.configuration.checks import check_configuration
from bridge.configuration.findings import Finding, Severity
from bridge.connect import connect
from bridge.errors import BadPayload, DeadLettered, EagerUnavailable, JobError, NotMappable, PoisonCommand, RemoteError, UncertainOutcome
from bridge.job_info import JobInfo, Progress, Stage
from bridge.maintenance.beat import add_maintenance_tasks, maintenance_schedule
from bridge.task import StreamTask

__all__ = [
    "BadPayload",
    "DeadLettered",
    "EagerUnavailable",
    "Finding",
    "JobError",
    "JobInfo",
    "NotMappable",
    "PoisonCommand",
    "Progress",
    "RemoteError",
    "Severity",
    "Stage",
    "StreamTask",
    "TolerantChord",
    "UncertainOutcome",
    "add_maintenance_tasks",
    "check_configuration",
    "connect",
    "maintenance_schedule",
]
