"""The members of a sweep: every combination once, and nothing that changes no backtest."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.grid import members
from workers.errors import BadRequest

CONFIG: dict[str, Any] = {"dry_run_wallet": 1000, "exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT"]}, "minimal_roi": {"0": 0.1}}


def test_every_combination_is_a_member_with_what_it_differs_by() -> None:
    found = members(["A", "B"], CONFIG, {"stoploss": [-0.1, -0.2], "exchange.pair_whitelist": [["BTC/USDT"], ["ETH/USDT", "SOL/USDT"]]})
    assert len(found) == 8
    assert found[1].diff == {"stoploss": -0.1, "exchange.pair_whitelist": ["ETH/USDT", "SOL/USDT"]}
    assert found[1].config["exchange"] == {"name": "binance", "pair_whitelist": ["ETH/USDT", "SOL/USDT"]}
    assert found[1].label == "A stoploss=-0.1 pair_whitelist=ETH/USDT+SOL/USDT"
    assert "stoploss" not in CONFIG
    assert CONFIG["exchange"]["pair_whitelist"] == ["BTC/USDT"]


def test_a_value_takes_the_place_of_the_whole_key() -> None:
    (one, _) = members(["A"], CONFIG, {"minimal_roi": [{"60": 0.01}, {"0": 0.1}]})
    assert one.config["minimal_roi"] == {"60": 0.01}


def test_what_comes_twice_is_one_member() -> None:
    found = members(["A", "A"], CONFIG, {"stoploss": [-0.1, -0.2, -0.1], "timerange": ["20260101-20260201", "20260101-20260201"]})
    assert [each.config["stoploss"] for each in found] == [-0.1, -0.2]


def test_a_sweep_of_too_many_is_refused_with_how_many() -> None:
    varied: dict[str, list[Any]] = {"stoploss": [-number / 1000 for number in range(1, 41)], "max_open_trades": list(range(1, 31))}
    with pytest.raises(BadRequest, match=r"1,200 backtests \(1 strategies x 40 stoploss x 30 max_open_trades\): at most 1,000; most=1200"):
        members(["A"], CONFIG, varied)
    assert len(members(["A"], CONFIG, varied, most=1200)) == 1200


@pytest.mark.parametrize(
    ("varied", "says"),
    [
        ({"stoploss": -0.1}, "stoploss: needs a list"),
        ({"stoploss": []}, "stoploss: needs a list"),
        ({"timerange": "20260101-20260201"}, "timerange: needs a list"),
        ({"stoplos": [-0.1]}, "stoplos: not a backtesting option"),
        ({"telegram.enabled": [True, False]}, r"telegram.*: a backtest sends no messages: a sweep can't vary it"),
        ({"exchange.key": ["hunter2"]}, "exchange.key: a secret"),
        ({"timeframe": ["5m", "../x"]}, "timeframe: must be a timeframe"),
        ({"dry_run_wallet.USDT": [100]}, "dry_run_wallet.USDT: the config's dry_run_wallet is no object"),
    ],
)
def test_a_key_that_changes_no_backtest_is_told(varied: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest, match=says) as told:
        members(["A"], CONFIG, varied)
    assert "hunter2" not in str(told.value)


def test_a_long_value_is_cut_in_the_label() -> None:
    (member, *_) = members(["A"], CONFIG, {"exchange.pair_whitelist": [[f"C{number}/USDT" for number in range(50)], ["A/B"]]})
    assert len(member.label) < 70
    assert member.label.endswith("…")
