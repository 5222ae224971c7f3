"""A call's config before it is sent: what must not travel stays with the caller. The Celery side imports this module: standard library only.

A config travels through the broker, the streams and, with `result_extended`, the result backend, and stays there for weeks. So secrets are refused
before anything is sent, and what means nothing in a backtest goes as null: the worker still names it in the result, by its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from workers.errors import BadRequest
from workers.freqtrade.config.keys import CONFIG, Section
from workers.freqtrade.config.policy import SUSPECT_KEY, UNKNOWN_KEY, judge

SUSPICIOUS = "not a key that this side knows, and it looks like a secret or a path"


def fit_to_send(config: Mapping[str, Any], section: Section = CONFIG) -> dict[str, Any]:
    """A copy of a call's config that may be sent.

    Keys that this side doesn't know are left to the worker, which asks its freqtrade.

    Raises:
        BadRequest: names each key that must not be sent, and why; never its value.
    """
    judged = judge(config, section)
    refused = {key: reason for key, reason in judged.refused.items() if reason != UNKNOWN_KEY}
    refused |= {key: SUSPICIOUS for key, reason in judged.refused.items() if reason == UNKNOWN_KEY and SUSPECT_KEY.search(key)}
    if refused:
        raise BadRequest("config refused, nothing was sent:\n  " + "\n  ".join(f"{key}: {reason}" for key, reason in refused.items()))
    fitting = deepcopy(dict(config))
    for key in judged.ignored:
        _blank(fitting, key.split("."))
    return fitting


def _blank(values: Any, path: list[str]) -> None:
    for name in path[:-1]:
        values = values.get(name) if isinstance(values, dict) else None
    if isinstance(values, dict) and path[-1] in values:
        values[path[-1]] = None
