"""How the streams are: what is measured (`snapshot`), how (`collect`), what it means (`verdict`), and how it is shown (`tables`, `prometheus`; JSON is pydantic's)."""

from streams.health.checks import ConsumerLag, Health, check_consumer_lag, check_stream_health, collect_stream_metrics
from streams.health.deployment import Deployment
from streams.health.reasons import Level, Reason, Verdict
from streams.health.snapshot import Snapshot
from streams.health.thresholds import Thresholds

__all__ = [
    "ConsumerLag",
    "Deployment",
    "Health",
    "Level",
    "Reason",
    "Snapshot",
    "Thresholds",
    "Verdict",
    "check_consumer_lag",
    "check_stream_health",
    "collect_stream_metrics",
]
