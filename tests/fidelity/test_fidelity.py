"""A bridged task looks like an ordinary one: each scenario ran once with either, and what anybody could see of the two is the same."""

from __future__ import annotations

import copy

import pytest

from tests.fidelity.conftest import Traces
from tests.fidelity.differences import different_lines, forgiven
from tests.fidelity.kit import SCENARIOS, SIDES


@pytest.mark.parametrize("name", list(SCENARIOS))
@pytest.mark.timeout(180)  # the first one runs them all
def test_bridged_looks_like_native(name: str, traces: Traces) -> None:
    native, bridged = (copy.deepcopy(traces[name, side]) for side in SIDES)
    if "scenario failed" in str(native["observed"]) or native["unfinished"]:
        pytest.fail(f"the scenario itself is wrong: {native['observed']}, unfinished: {native['unfinished']}", pytrace=False)
    differences = SCENARIOS[name].differences
    lines = different_lines(forgiven(native, differences), forgiven(bridged, differences))
    if lines:
        pytest.fail("a bridged task differs:\n" + "\n".join(lines), pytrace=False)
