"""Scraping a process under test, as Prometheus does."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.stack import Process


class Target:
    """What a process exposes."""

    def __init__(self, process: Process) -> None:
        process.wait_for("metrics: http://127.0.0.1:")
        line = next(line for line in process.log.splitlines() if "metrics: http://" in line)
        self.url = "http://" + line.partition("metrics: http://")[2].strip()

    def text(self) -> str:
        with urllib.request.urlopen(self.url, timeout=10) as reply:
            return str(reply.read().decode())

    def value(self, name: str, **labels: str) -> float | None:
        """Of one sample; None when there is no such."""
        found = self.values(name, **labels)
        assert len(found) <= 1, found
        return found[0] if found else None

    def values(self, name: str, **labels: str) -> list[float]:
        families = text_string_to_metric_families(self.text())
        samples = [sample for family in families for sample in family.samples if sample.name == f"celery_streams_{name}"]
        return [sample.value for sample in samples if labels.items() <= sample.labels.items()]
