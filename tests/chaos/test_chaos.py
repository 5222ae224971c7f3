"""`make chaos` in short: every number that must be 0 is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import servers
from tests.chaos.performance import perform
from tests.chaos.report import complaints
from tests.chaos.scorecard import page

SEED = 20_261


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_or_applied_twice_while_everything_breaks(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    binary = servers.find(request.config.getoption("--server"))
    report = perform(tmp_path, seed=SEED, jobs=160, number_of_faults=21, seconds=22, command="pytest", say=print, binary=binary)
    assert complaints(report) == []
    assert len(report.judged) >= 160
    assert len(report.struck) == 21
    assert "| lost | 0 |" in page(report)
