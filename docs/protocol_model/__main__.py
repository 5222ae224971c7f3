"""See `docs/protocol_model/__init__.py`."""

from __future__ import annotations

import sys
import time

from docs.protocol_model.scenarios import EVERYTHING, RULES, SCENARIOS
from docs.protocol_model.search import Found, timed, walk
from docs.protocol_model.state import Config
from docs.protocol_model.trim import search_trim

WALKS = 500


def main(words: list[str]) -> int:
    """The exit code: 0 when it is as it should be."""
    match words:
        case []:
            return _whole()
        case ["rules"]:
            for name, rule in RULES.items():
                print(f"{name:14} {rule.number:8} {rule.says}")
            return 0
        case ["mutations"]:
            return _mutations()
        case ["without", *rule] if " ".join(rule) in RULES:
            return _without(" ".join(rule))
        case [*name] if " ".join(name) in SCENARIOS:
            return 0 if _shown(" ".join(name), SCENARIOS[" ".join(name)]) else 1
    print(__import__("docs.protocol_model").protocol_model.__doc__)
    return 2


def _whole() -> int:
    holds = [_shown(name, scenario) for name, scenario in SCENARIOS.items()]
    for name, c in EVERYTHING.items():
        began = time.perf_counter()
        found = walk(c, WALKS)
        holds.append(_told(f"{name} ({WALKS} random walks)", found, time.perf_counter() - began))
    lost = search_trim(spares_pending=True)
    print(f"R14 trim: {'an unacknowledged entry is removed (I7)' if lost else 'holds'}")
    return 0 if all(holds) and not lost else 1


def _mutations() -> int:
    needed = []
    for name, rule in RULES.items():
        scenario = SCENARIOS[rule.needed_in]
        found, seconds = timed(scenario._replace(rules=scenario.rules - {name}))
        needed.append(bool(found.violation))
        print(f"without {name:14} {seconds:5.1f} s  {found.violation or 'NOTHING BREAKS'}", flush=True)
    trimmed = search_trim(spares_pending=False)
    print(f"without R14's floor       {'I7' if trimmed else 'NOTHING BREAKS'}")
    return 0 if all(needed) and trimmed else 1


def _without(name: str) -> int:
    rule = RULES[name]
    scenario = SCENARIOS[rule.needed_in]
    print(f"{rule.number} without '{rule.says}', scenario '{rule.needed_in}':")
    found, seconds = timed(scenario._replace(rules=scenario.rules - {name}))
    _told(name, found, seconds)
    return 0 if found.violation else 1


def _shown(name: str, scenario: Config) -> bool:
    return _told(name, *timed(scenario))


def _told(name: str, found: Found, seconds: float) -> bool:
    amount = "all" if found.complete else "some"
    print(f"{name:44} {found.states:7,} states ({amount}) {seconds:5.1f} s  {found.violation or 'holds'}", flush=True)
    for number, says in enumerate(found.trace, 1):
        print(f"    {number:2} {says}")
    return not found.violation


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
