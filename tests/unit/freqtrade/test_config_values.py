"""A value that freqtrade doesn't take: the message names the key and what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from workers.freqtrade.config.values import wrong_values


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"max_open_trades": "S3CRET"}, "max_open_trades: must be integer or number"),
        ({"trading_mode": "S3CRET"}, "trading_mode: must be one of spot, margin, futures"),
        ({"stake_amount": "S3CRET"}, "stake_amount: must be a number, or unlimited"),
        ({"fee": 0.2}, "fee: must be at most 0.1"),
        ({"fee": -1}, "fee: must be at least 0"),
        ({"stoploss": 0}, "stoploss: must be below 0"),
        ({"entry_pricing": {}}, "entry_pricing: needs price_side"),
        ({"exchange": {"name": "x", "pair_whitelist": ["A/B", "A/B"]}}, "exchange.pair_whitelist: must not repeat an item"),
        ({"exchange": {"name": "x", "pair_whitelist": ["A/B", 1]}}, "exchange.pair_whitelist.1: must be string"),
        ({"pairs": []}, "pairs: needs at least 1 item"),
        ({"timerange": 20260101}, "timerange: must be string"),
    ],
)
def test_message_names_the_key_and_never_the_value(config: dict[str, Any], line: str) -> None:
    assert wrong_values(config) == [line]


def test_nothing_to_say_about_a_good_config() -> None:
    assert wrong_values({"fee": 0.001, "stake_amount": "unlimited", "max_open_trades": -1, "exchange": {"name": "binance"}}) == []
