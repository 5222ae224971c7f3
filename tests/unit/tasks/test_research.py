"""What the canvas sends, and that nothing is sent when one member can't be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError

from bridge import RemoteError
from streams.bus.topology import SERVICES, Service
from tasks.backtesting import compare_task, run_backtest_task
from tasks.follow_up import backtest_trained_task, validate_hyperopt_task
from tasks.ranking import NUMBERS
from tasks.research import compare_strategies, hyperopt_then_validate, sweep, train_then_backtest, walk_forward
from workers.errors import BadRequest

CONFIG: dict[str, Any] = {"stake_currency": "USDT", "exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT"]}}
RESULT: dict[str, Any] = {
    "strategy": "A",
    **dict.fromkeys(NUMBERS, 1),
    "timeframe": "5m",
    "timerange": "20260101-",
    "pairs": [{}] * 100,
    "manifest": {"code": {}},
}


def test_the_members_of_a_sweep_wait_in_the_bulk_lane_and_the_ranking_does_not() -> None:
    canvas = sweep("A", CONFIG, timeranges=["20260101-20260201", "20260201-20260301"])
    assert [part.options["headers"]["lane"] for part in canvas.tasks] == ["bulk", "bulk"]
    assert [part.args[1]["timerange"] for part in canvas.tasks] == ["20260101-20260201", "20260201-20260301"]
    assert "headers" not in canvas.body.options
    assert "lane" not in compare_strategies(["A", "B"], CONFIG).tasks[0].options["headers"]


def test_without_a_bulk_lane_they_wait_in_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SERVICES, "backtesting", Service.named("backtesting", lanes=("first", "second")))
    assert "lane" not in sweep("A", CONFIG, timeframes=["5m", "1h"]).tasks[0].options["headers"]


def test_a_pair_by_itself_is_a_list_of_one() -> None:
    canvas = sweep("A", CONFIG, pairs=["BTC/USDT", ["ETH/USDT", "SOL/USDT"]])
    assert [part.args[1]["exchange"]["pair_whitelist"] for part in canvas.tasks] == [["BTC/USDT"], ["ETH/USDT", "SOL/USDT"]]


def test_what_is_ignored_does_not_travel_in_a_canvas() -> None:
    canvas = compare_strategies(["A"], CONFIG | {"telegram": {"enabled": True, "chat_id": "4711"}})
    assert "4711" not in json.dumps(canvas)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: compare_strategies([], CONFIG), "strategies: needs at least one"),
        (lambda: compare_strategies(["A", "../B", "C-D"], CONFIG), r"(?s)nothing was sent:\n\.\./B: .*strategy_name.*\nC-D: "),
        (lambda: compare_strategies(["A"], {**CONFIG, "exchange": {"name": "x", "key": "hunter2"}}), "A: config refused.*\n.*exchange.key"),
        (lambda: compare_strategies(["A"], CONFIG, sort_by="luck"), "sort_by: Input should be 'profit_total'"),
        (lambda: sweep("A", CONFIG, grid={"stoploss": [-0.1]}, title="x" * 300), "title: "),
        (lambda: sweep("A", CONFIG, grid={"stoploss": [-0.1] * 3}, timeranges=["1-2"]), "timerange: must be a timerange"),
    ],
)
def test_one_that_cannot_be_sent_is_told_and_nothing_is_sent(call: Any, says: str) -> None:
    with pytest.raises(BadRequest, match=says) as told:
        call()
    assert "hunter2" not in str(told.value)


def test_a_part_hands_on_a_row_of_its_result() -> None:
    row = run_backtest_task.chord_part({"label": "A stoploss=-0.1", "strategy": "A", "config_diff": {"stoploss": -0.1}}, "t1", "SUCCESS", RESULT)
    assert (row["task_id"], row["label"], row["error"], row["winrate"]) == ("t1", "A stoploss=-0.1", None, 1)
    assert len(json.dumps(row)) < 600
    assert compare_task.payload([row], title="x").rows[0].config_diff == {"stoploss": -0.1}


@pytest.mark.parametrize(
    ("state", "error", "told"),
    [
        ("FAILURE", BadRequest("stoploss: no"), {"type": "BadRequest", "message": "stoploss: no"}),
        ("FAILURE", RemoteError("StrategyError", "no such column"), {"type": "StrategyError", "message": "no such column"}),
        ("REVOKED", TaskRevokedError("terminated"), {"type": "TaskRevokedError", "message": "terminated"}),
        ("FAILURE", MemoryError(), {"type": "MemoryError", "message": "FAILURE"}),
        ("FAILURE", ValueError("x" * 10_000), {"type": "ValueError", "message": "x" * 500}),
    ],
)
def test_a_part_that_failed_hands_on_its_error(state: str, error: Exception, told: dict[str, str]) -> None:
    row = run_backtest_task.chord_part({"label": "A", "strategy": "A", "config_diff": {}}, "t1", state, error)
    assert (row["error"], row["strategy"]) == (told, "A")
    assert compare_task.payload([row]).rows[0].error.type == told["type"]


def test_whole_results_are_reduced_before_they_are_sent() -> None:
    payload = compare_task.payload([RESULT, RESULT | {"report": "file:///r.html"}])
    assert [row.label for row in payload.rows] == ["A 5m 20260101-"] * 2
    assert payload.rows[1].report == "file:///r.html"
    assert len(payload.model_dump_json()) < 1_200


def test_a_sweep_whose_ranking_would_be_too_large_is_refused_before_it_runs() -> None:
    pairs = [[f"C{number}/USDT" for number in range(start, start + 100)] for start in range(900)]
    with pytest.raises(BadRequest, match=r"the ranking of 900 backtests may have .* bytes: at most 2,000 backtests, and 1,048,576 bytes"):
        sweep("A", CONFIG, pairs=pairs)
    with pytest.raises(BadRequest, match=r"the ranking of 2,001 backtests"):
        sweep("A", CONFIG, grid={"stoploss": [-number / 10_000 for number in range(1, 2_002)]}, most=3_000)
    assert len(sweep("A", CONFIG, grid={"stoploss": [-number / 10_000 for number in range(1, 1_001)]}).tasks) == 1_000


def test_a_sweep_of_a_thousand_fits_into_one_message() -> None:
    row = run_backtest_task.chord_part(
        {"label": "L" * 80, "strategy": "SomeLongStrategyName", "config_diff": {"stoploss": -0.1, "exchange.pair_whitelist": ["BTC/USDT"] * 5}},
        "0" * 36,
        "SUCCESS",
        RESULT | dict.fromkeys(NUMBERS, -0.12345678901234567) | {"total_trades": 1_000},
    )
    assert len(compare_task.payload([row] * 1_000).model_dump_json()) < 1 << 20


HYPEROPT: dict[str, Any] = {"hyperopt_loss": "OnlyProfitHyperOptLoss", "epochs": 5, "spaces": ["buy"]}
ARTIFACT = {"name": "best_params.json", "uri": "file:///a/t/best_params.json", "size": 10, "sha256": "0" * 64, "media_type": "application/json"}


def test_a_walk_forward_test_optimises_before_each_part_that_it_validates() -> None:
    canvas = walk_forward("A", CONFIG | HYPEROPT | {"timerange": "20260101-20260201"}, train_days=10, validate_days=7)
    pairs = [[task.args[-1]["timerange"] for task in part.tasks] for part in canvas.tasks]
    assert pairs == [
        ["20260101-20260111", "20260111-20260118"],
        ["20260108-20260118", "20260118-20260125"],
        ["20260115-20260125", "20260125-20260201"],
    ]
    first, second = canvas.tasks[0].tasks
    assert (first.task, first.args[1]["epochs"]) == ("tasks.hyperopt.run_hyperopt_task", 5)
    assert second.options["headers"]["chord_part"]["config_diff"] == {"timerange": "20260111-20260118"}
    with pytest.raises(BadRequest, match="3 windows: at most 2; most=3"):
        walk_forward("A", CONFIG | HYPEROPT | {"timerange": "20260101-20260201"}, train_days=10, validate_days=7, most=2)


def test_the_best_parameters_are_applied_out_of_sample() -> None:
    canvas = hyperopt_then_validate("A", CONFIG | HYPEROPT | {"timerange": "20260101-20260111"}, "20260111-20260118")
    assert [task.args[-1]["timerange"] for task in canvas.tasks] == ["20260101-20260111", "20260111-20260118"]
    payload = validate_hyperopt_task.payload({"artifacts": [ARTIFACT]}, *canvas.tasks[1].args)
    assert payload.params.uri == ARTIFACT["uri"]
    with pytest.raises(BadRequest, match=r"it left no best_params.json"):
        validate_hyperopt_task.payload({"artifacts": []}, *canvas.tasks[1].args)


def test_a_training_is_followed_by_a_backtest_with_its_model() -> None:
    canvas = train_then_backtest("A", "LightGBMRegressor", CONFIG | {"freqai": {"enabled": True}, "telegram": {"chat_id": "4711"}})
    assert canvas.tasks[0].args[:2] == ("A", "LightGBMRegressor")
    assert "4711" not in json.dumps(canvas)
    payload = backtest_trained_task.payload({"model_artifact": ARTIFACT}, *canvas.tasks[1].args)
    assert payload.config["freqai"] == {"enabled": True, "model": ARTIFACT}


@pytest.mark.parametrize(
    "call",
    [
        lambda: hyperopt_then_validate("../A", CONFIG, "20260111-20260118"),
        lambda: hyperopt_then_validate("A", {**CONFIG, "exchange": {"key": "hunter2"}}, "20260111-20260118"),
        lambda: train_then_backtest("A", "../Model", CONFIG),
        lambda: walk_forward("A", CONFIG, train_days=1, validate_days=1),
    ],
)
def test_a_chain_that_cannot_be_sent_is_told_before_its_first_task(call: Any) -> None:
    with pytest.raises(BadRequest) as told:
        call()
    assert "hunter2" not in str(told.value)
