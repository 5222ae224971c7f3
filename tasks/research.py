"""Many backtests as one: plain functions that return Celery signatures, to send as they are or as part of a canvas of your own.

    found = sweep("EmaCross", config, grid={"stoploss": [-0.05, -0.1]}, timeranges=["20250101-20250401", "20250401-20250701"]).delay()
    found.parent.completed_count()       # each backtest is a task of its own, with its state and progress
    found.get()["ranking"][0]            # the best; what failed is in ["failed"], with its error

Every member is looked at before anything is sent. The members of a sweep wait in the lane `bulk`, so that a single backtest runs before them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from celery import Signature, chain

from bridge import StreamTask
from bridge.celery_internals.backends import is_redis
from bridge.chord_parts import CHORD_PART, TolerantChord
from bridge.connection import Connection
from bridge.dispatch import LANE
from bridge.errors import BadPayload
from tasks.backtesting import compare_task, run_backtest_task
from tasks.celery import app
from tasks.follow_up import backtest_trained_task, validate_hyperopt_task
from tasks.freqai import train_freqai_model_task
from tasks.grid import MOST, PAIRS, Member, members
from tasks.hyperopt import run_hyperopt_task
from tasks.windows import windows
from workers.backtesting.compare_params import MOST_ROWS
from workers.errors import BadRequest

BULK: Final = "bulk"
ROW_BYTES: Final = 800
"""A row has no more, beside its label and what it differs by."""
SHOWN: Final = 10
"""Members that an error names."""


def compare_strategies(
    strategies: Sequence[str], config: Mapping[str, Any], *, title: str = "", sort_by: str = "profit_total", reuse: bool = False
) -> Signature:
    """Backtest several strategies with one config, and rank them.

    Args:
        strategies: class names of the worker's strategies folder.
        config: freqtrade's.
        title: of the report.
        sort_by: a number of the rows (`RankedBy`), the best first.
        reuse: stored results of the same backtests will do, see `run_backtest_task`.

    Raises:
        BadRequest: names what can't be run, and why; nothing was sent.
    """
    found = members(strategies, config, {})
    return _ranked(found, title=title or "Comparison of strategies", sort_by=sort_by, lane=None, reuse=reuse)


def sweep(
    strategy: str | Sequence[str],
    config: Mapping[str, Any],
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    timeranges: Sequence[str] = (),
    timeframes: Sequence[str] = (),
    pairs: Sequence[str | Sequence[str]] = (),
    title: str = "",
    sort_by: str = "profit_total",
    reuse: bool = False,
    most: int = MOST,
) -> Signature:
    """Backtest every combination, and rank them; what comes twice runs once.

    Args:
        strategy: a class name, or several.
        config: freqtrade's, which all have in common.
        grid: dotted keys of the config and the values that each takes, such as `{"stoploss": [-0.05, -0.1], "minimal_roi": [{"0": 0.1}]}`.
        timeranges: values of `timerange`.
        timeframes: values of `timeframe`.
        pairs: values of `exchange.pair_whitelist`; a pair by itself is a list of one.
        title: of the report.
        sort_by: a number of the rows (`RankedBy`), the best first.
        reuse: stored results of the same backtests will do, see `run_backtest_task`.
        most: how many backtests it may be.

    Raises:
        BadRequest: names what can't be run, and why; nothing was sent.
    """
    varied: dict[str, Sequence[Any]] = dict(grid or {})
    whitelists = [[each] if isinstance(each, str) else list(each) for each in pairs]
    varied |= {key: values for key, values in (("timerange", timeranges), ("timeframe", timeframes), (PAIRS, whitelists)) if values}
    names = [strategy] if isinstance(strategy, str) else strategy
    found = members(names, config, varied, most=most)
    return _ranked(found, title=title or f"Sweep of {', '.join(names)}", sort_by=sort_by, lane=BULK, reuse=reuse)


def walk_forward(
    strategy: str,
    config: Mapping[str, Any],
    *,
    train_days: int,
    validate_days: int,
    step_days: int | None = None,
    title: str = "",
    sort_by: str = "profit_total",
    most: int = MOST,
) -> Signature:
    """Optimise a strategy on one part of the past and backtest it on the part after that, window after window; and rank the windows.

    (A FreqAI strategy needs no such thing: freqtrade trains it window by window within one backtest.)

    Args:
        strategy: a class name.
        config: freqtrade's, with what a hyperopt needs (`hyperopt_loss`, `epochs`, `spaces`), and the `timerange` to divide, with both ends.
        train_days: length of the part to optimise on.
        validate_days: length of the part to validate on.
        step_days: from one window to the next; by default `validate_days`, so that each day is validated once.
        title: of the report.
        sort_by: a number of the rows (`RankedBy`), the best first.
        most: how many windows it may be.

    Raises:
        BadRequest: names what can't be run, and why; nothing was sent.
    """
    found = windows(str(config.get("timerange", "")), train_days=train_days, validate_days=validate_days, step_days=step_days)
    if len(found) > most:
        raise BadRequest(f"a walk-forward test of {len(found):,} windows: at most {most:,}; most={len(found)} sends them all the same")
    body = ranking(title=title or f"Walk-forward test of {strategy}", sort_by=sort_by)
    checked = _checked([Member(strategy, {**config, "timerange": each.validate}, {"timerange": each.validate}) for each in found])
    parts = [
        _optimised({**config, "timerange": window.train}, _part(validate_hyperopt_task.s(strategy, each.config), each, BULK))
        for window, each in zip(found, checked, strict=True)
    ]
    return TolerantChord(parts, body)


def hyperopt_then_validate(strategy: str, config: Mapping[str, Any], validate_timerange: str) -> Signature:
    """Optimise a strategy, then backtest it with the best parameters on a timerange that the hyperopt didn't see.

    Args:
        strategy: a class name.
        config: freqtrade's, with what a hyperopt needs (`hyperopt_loss`, `epochs`, `spaces`) and the `timerange` to optimise on.
        validate_timerange: of the backtest.

    Raises:
        BadRequest: names what can't be run, and why; nothing was sent.
    """
    (member,) = _checked([Member(strategy, {**config, "timerange": validate_timerange})])
    return _optimised(config, validate_hyperopt_task.s(strategy, member.config))


def train_then_backtest(strategy: str, model_name: str, config: Mapping[str, Any]) -> Signature:
    """Train a FreqAI model on each window of a timerange, then backtest with it.

    Args:
        strategy: a class name.
        model_name: FreqAI's model class, such as LightGBMRegressor.
        config: freqtrade's, for both, with its `freqai`.

    Raises:
        BadRequest: names what can't be run, and why; nothing was sent.
    """
    (member,) = _checked([Member(strategy, dict(config))])
    training = _sendable(train_freqai_model_task, strategy, model_name, config)
    return chain(training, backtest_trained_task.s(strategy, member.config))


def _optimised(config: Mapping[str, Any], then: Signature) -> Signature:
    return chain(_sendable(run_hyperopt_task, then.args[0], config), then)


def _sendable(task: StreamTask, *args: Any) -> Signature:
    """The signature of a task, with the config that may be sent.

    Raises:
        BadRequest: it can't be sent.
    """
    try:
        payload = task.payload(*args)
    except BadPayload as exc:
        raise BadRequest(str(exc)) from None
    return task.s(*args[:-1], dict(payload.config))


def _ranked(found: Sequence[Member], *, title: str, sort_by: str, lane: str | None, reuse: bool) -> Signature:
    """The chord of these backtests; one that fails is a row with its error."""
    parts = [_part(run_backtest_task.s(each.strategy, each.config, reuse=reuse), each, lane) for each in _checked(found)]
    return TolerantChord(parts, ranking(title=title, sort_by=sort_by))


def ranking(*, title: str, sort_by: str) -> Signature:
    """The body of a chord of backtests.

    Raises:
        BadRequest: no such column, or results are kept where Celery can't count a chord's parts.
    """
    try:
        compare_task.payload([{"strategy": "any"}], title=title, sort_by=sort_by)
    except BadPayload as exc:
        raise BadRequest(str(exc)) from None
    if not is_redis(type(app.backend)):
        raise BadRequest("result_backend: a comparison needs Celery's results in Redis: elsewhere Celery fails it with its first member that fails")
    body: Signature = compare_task.s(title=title, sort_by=sort_by)
    return body


def _part(signature: Signature, member: Member, lane: str | None) -> Signature:
    told = {"label": member.label, "strategy": member.strategy, "config_diff": member.diff}
    headers: dict[str, Any] = {CHORD_PART: told}
    # Lanes that the environment says instead of the built-in ones needn't have it.
    if lane in Connection.of(app).service(run_backtest_task.service).lanes:
        headers[LANE] = lane
    return signature.set(headers=headers)  # as headers, so that a caller who knows the tasks by their names can send it, too


def _check_size(found: Sequence[Member]) -> None:
    """Whether the rows fit into one message: else it would be told when all have run."""
    limit = Connection.of(app).settings.max_message_bytes
    size = sum(ROW_BYTES + len(json.dumps([each.label, each.diff], default=str)) for each in found)
    if len(found) > MOST_ROWS or size > limit:
        raise BadRequest(
            f"the ranking of {len(found):,} backtests may have {size:,} bytes: at most {MOST_ROWS:,} backtests, and {limit:,} bytes "
            "(STREAMS_MAX_MESSAGE_BYTES), are possible; make several sweeps, or vary shorter values"
        )


def _checked(found: Sequence[Member]) -> list[Member]:
    """The members as they may be sent. All are looked at before the first is sent, wherever in a canvas they stand."""
    if not found:
        raise BadRequest("strategies: needs at least one")
    _check_size(found)
    fitting, wrong = [], []
    for each in found:
        try:
            payload = run_backtest_task.payload(each.strategy, each.config)
        except (BadRequest, BadPayload) as exc:
            wrong.append(f"{each.label}: {exc}")
        else:
            fitting.append(replace(each, config=dict(payload.config)))
    if wrong:
        more = [f"and {len(wrong) - SHOWN:,} more"] if len(wrong) > SHOWN else []
        raise BadRequest("nothing was sent:\n" + "\n".join([*wrong[:SHOWN], *more]))
    return fitting
