"""The worker's own config, as a job gets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workers.freqtrade.config.layers import load_base

pytest.importorskip("freqtrade", reason="freqtrade isn't installed")


def test_secrets_stay_out_of_it_also_of_keys_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    mine = {"api_key": "S3CRET", "apiKey": "S3CRET", "weights": [1, 2], "sources": [{"token": "S3CRET", "name": "news"}]}
    exchange = {"name": "binance", "key": "S3CRET", "secret": "S3CRET", "pair_whitelist": ["BTC/USDT"]}
    file.write_text(json.dumps({"stake_currency": "USDT", "sentiment": mine, "exchange": exchange, "telegram": {"token": "S3CRET"}}))

    base = load_base(file)

    assert "S3CRET" not in json.dumps(base)
    assert base["sentiment"] == {"weights": [1, 2], "sources": [{"name": "news"}]}
    assert base["exchange"] == {"name": "binance", "pair_whitelist": ["BTC/USDT"]}
