"""From a snapshot and thresholds to `ok`, `degraded` or `critical`, with reasons."""

from __future__ import annotations

from streams.health.reasons import Verdict
from streams.health.rules import RULES
from streams.health.snapshot import Snapshot
from streams.health.thresholds import Thresholds


def judge(snapshot: Snapshot, thresholds: Thresholds) -> Verdict:
    """Apply every rule."""
    return Verdict.of(reason for rule in RULES for reason in rule(snapshot, thresholds))
