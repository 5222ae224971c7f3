"""What the documents list is what the tests know."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.maintenance.registry import WORKS
from bridge.reconciling import Kind
from streams.health import rules
from streams.jobs.messages import DeadReason
from tests.acceptance.test_crash_points import POINTS
from tests.fidelity.differences import ALWAYS, NAMED

DOCS = Path(__file__).parents[3] / "docs"


def test_the_document_names_each_difference_that_the_fidelity_suite_forgives() -> None:
    section = (DOCS / "celery.md").read_text().split("## What differs on purpose")[1].split("\n## ")[0]
    told = re.findall(r"^\| `([^`]+)` \| ", section, flags=re.MULTILINE)
    forgiven = {name for name, difference in (ALWAYS | NAMED).items() if not difference.reason.startswith("no difference")}
    assert sorted(told) == sorted(forgiven)


def test_the_document_counts_the_scenarios_by_subject() -> None:
    scenarios = Path(__file__).parents[2] / "fidelity/scenarios"
    counts = sorted(len(re.findall(r"^@scenario", path.read_text(), flags=re.MULTILINE)) for path in scenarios.glob("*.py"))
    text = (DOCS / "celery.md").read_text()
    assert sorted(map(int, re.findall(r"^\| [^|]+ \| (\d+) \| ", text, flags=re.MULTILINE))) == counts
    assert f"has {sum(counts)} scenarios" in text


def test_the_guarantees_name_each_point_at_which_a_process_is_killed() -> None:
    text = (DOCS / "guarantees.md").read_text()
    assert [f"{process} {point}" for process, point, _ in POINTS if f"`{process} {point}" not in text] == []


def test_the_operators_read_of_each_alarm_finding_reason_and_work_of_upkeep() -> None:
    text = (DOCS / "operations.md").read_text()
    rows = set(re.findall(r"^\| `?([a-z_]+)`? \| ", text, flags=re.MULTILINE))
    alarms = {kind for module in Path(rules.__file__).parent.glob("*.py") for kind in re.findall(r'kind="([a-z_]+)"', module.read_text())}
    assert len(alarms) > 15
    assert (alarms | set(map(str, Kind)) | set(map(str, DeadReason)) | {work.name for work in WORKS}) - rows == set()
