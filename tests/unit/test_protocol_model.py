"""The executable model beside docs/protocol.md: its rules hold, and each of them is needed. `make check` runs all of its scenarios."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.protocol_model.scenarios import EVERYTHING, RULES, SCENARIOS
from docs.protocol_model.search import search, walk
from docs.protocol_model.trim import search_trim

ROOT = Path(__file__).parents[2]
QUICK = sorted(
    set(SCENARIOS)
    - {"redrive", "redrive a retry", "redrive or revoke", "redrive of one, revoke of the other", "park", "park a retry", "park or revoke"}
)


@pytest.mark.parametrize("name", QUICK)
def test_no_order_of_the_steps_breaks_an_invariant(name: str) -> None:
    found = search(SCENARIOS[name])
    assert found.complete
    assert not found.violation, "\n".join((found.violation, *found.trace))


@pytest.mark.parametrize("name", EVERYTHING)
def test_random_ways_through_everything_break_no_invariant(name: str) -> None:
    found = walk(EVERYTHING[name], 50, seed=11)
    assert not found.violation, "\n".join((found.violation, *found.trace))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_taken_away_breaks_an_invariant(name: str) -> None:
    scenario = SCENARIOS[RULES[name].needed_in]
    found = search(scenario._replace(rules=scenario.rules - {name}))
    assert re.match(r"(I[1-9]|I1[01]|R1) ", found.violation)
    assert found.trace


def test_trim_spares_what_any_group_still_has_to_deal_with() -> None:
    assert not search_trim(spares_pending=True)
    assert search_trim(spares_pending=False)


def test_each_rule_and_each_invariant_is_in_the_document() -> None:
    text = (ROOT / "docs/protocol.md").read_text()
    for number in {number for rule in RULES.values() for number in rule.number.split(", ")} | {f"I{number}" for number in range(1, 12)}:
        assert re.search(rf"\b{number}\b", text), number


def test_the_command_shows_how_an_invariant_breaks_without_a_rule() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "docs.protocol_model", "without", "part", "waits"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "I10 the chord part of a is counted" in shown
    assert "R15 park of a" in shown


def test_a_walk_goes_the_same_way_again_whatever_the_order_of_sets() -> None:
    steps = set()
    for hash_seed in ("1", "2"):
        code = "from docs.protocol_model.scenarios import EVERYTHING; from docs.protocol_model.search import walk; print(walk(EVERYTHING['everything'], 30))"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True)
        steps.add(done.stdout)
    assert len(steps) == 1
