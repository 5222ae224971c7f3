"""What a data command may ask for; each mistake names its key."""

from __future__ import annotations

from typing import Any

import pytest

from workers.data import download, list_candles
from workers.errors import BadRequest
from workers.handlers import HANDLERS

GOOD: dict[str, Any] = {"pairs": ["BTC/USDT"], "timeframes": ["5m"]}


def test_handlers_are_registered() -> None:
    assert HANDLERS["data.download"].function is download
    assert HANDLERS["data.list"].function is list_candles
    assert HANDLERS["data.download"].parse(GOOD).exchange == "binance"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"exchange": "../etc"}, "exchange: Value error, must be the name of an exchange, such as binance"),
        ({"trading_mode": "margin"}, "trading_mode: Input should be 'spot' or 'futures'"),
        ({"pairs": []}, "pairs: Tuple should have at least 1 item"),
        ({"timeframes": ["5 minutes"]}, "timeframes.0: Value error, must be a timeframe such as 5m, 1h or 1d"),
        ({"timerange": "last week"}, "timerange: Value error, must be a timerange such as 20260101-20260301"),
        ({"ccxt_config": {"urls": "http://S3CRET"}}, "ccxt_config: Extra inputs are not permitted"),
    ],
)
def test_bad_values_name_their_key(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest) as refused:
        HANDLERS["data.download"].parse(GOOD | change)
    assert told in str(refused.value)
    assert "S3CRET" not in str(refused.value)
