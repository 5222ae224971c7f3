"""The members of a sweep: a config for each combination of what varies, no two alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, Final

from workers.errors import BadRequest
from workers.freqtrade.config.keys import CONFIG, Section
from workers.freqtrade.config.policy import Verdict, judge

MOST: Final = 1_000
"""Members of a sweep, unless asked for more."""
PAIRS: Final = "exchange.pair_whitelist"
LONGEST_VALUE: Final = 40
"""Characters of a value in a label."""


@dataclass(frozen=True, slots=True)
class Member:
    """One backtest of a sweep."""

    strategy: str
    config: dict[str, Any]
    diff: dict[str, Any] = field(default_factory=dict)
    """Dotted keys and the values by which its config differs from the others'."""

    @property
    def label(self) -> str:
        """What tells it apart."""
        return " ".join([self.strategy, *(f"{key.rpartition('.')[2]}={_in_short(value)}" for key, value in self.diff.items())])


def members(
    strategies: Iterable[str], config: Mapping[str, Any], varied: Mapping[str, Sequence[Any]], *, most: int = MOST, section: Section = CONFIG
) -> list[Member]:
    """Every combination, in the order of the arguments; what comes twice is left out.

    Args:
        strategies: class names.
        config: freqtrade's, which all have in common.
        varied: dotted keys of the config, such as `stoploss` or `exchange.pair_whitelist`, and the values of each.
        most: how many there may be.
        section: the table of keys that these jobs take.

    Raises:
        BadRequest: a key that a backtest doesn't use, no values, or more than `most` combinations.
    """
    names = list(dict.fromkeys(strategies))
    for key, values in varied.items():
        _check(key, values, section)
    count = len(names) * prod(len(values) for values in varied.values())
    if count > most:
        factors = " x ".join([f"{len(names)} strategies", *(f"{len(values)} {key}" for key, values in varied.items())])
        raise BadRequest(f"a sweep of {count:,} backtests ({factors}): at most {most:,}; most={count} sends them all the same")
    found: dict[str, Member] = {}
    for name in names:
        for diff in _combinations(varied):
            member = Member(name, _laid_over(config, diff), diff)
            found.setdefault(json.dumps([name, member.config], sort_keys=True, default=str), member)
    return list(found.values())


def _check(key: str, values: Any, section: Section) -> None:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence) or not values:
        raise BadRequest(f"{key}: needs a list of the values that it takes")
    for value in values:
        # A key that changes no backtest would give a sweep of equal ones.
        wrong = next((each for each in judge(_laid_over({}, {key: value}), section).judgements if each.verdict is not Verdict.USED), None)
        if wrong is not None:
            raise BadRequest(f"{wrong.key}: {wrong.reason}: a sweep can't vary it")


def _combinations(varied: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*varied.values()):
        yield dict(zip(varied, values, strict=True))


def _laid_over(config: Mapping[str, Any], diff: Mapping[str, Any]) -> dict[str, Any]:
    whole = deepcopy(dict(config))
    for key, value in diff.items():
        *path, last = key.split(".")
        at = whole
        for name in path:
            at = at.setdefault(name, {})
            if not isinstance(at, dict):
                raise BadRequest(f"{key}: the config's {name} is no object")
        at[last] = deepcopy(value)
    return whole


def _in_short(value: Any) -> str:
    text = "+".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
