"""How an exchange is reached is said by the worker's own file, for the exchange that it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workers.data.config import data_config
from workers.data.params import ExchangeParams
from workers.data.settings import DataSettings

BASE = {
    "exchange": {
        "name": "Binance",
        "key": "S3CRET",
        "secret": "S3CRET",
        "only_from_ccxt": True,
        "pair_whitelist": ["BTC/USDT"],
        "ccxt_config": {"urls": {"api": {"public": "http://127.0.0.1:1/api/v3"}}},
    },
    "dataformat_ohlcv": "parquet",
}


@pytest.fixture
def settings(tmp_path: Path) -> DataSettings:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(BASE))
    return DataSettings(user_data=tmp_path, config=file)


def test_the_named_exchange_is_reached_as_the_file_says_and_without_an_account(settings: DataSettings, tmp_path: Path) -> None:
    config = data_config(ExchangeParams(exchange="binance", trading_mode="futures"), settings)
    assert config["exchange"]["ccxt_config"] == BASE["exchange"]["ccxt_config"]  # type: ignore[index]
    assert config["exchange"]["only_from_ccxt"] is True
    assert config["exchange"]["name"] == "binance"
    assert "S3CRET" not in str(config)
    assert config["datadir"] == tmp_path / "data" / "binance"
    assert (config["margin_mode"], config["dataformat_ohlcv"]) == ("isolated", "parquet")


def test_another_exchange_gets_nothing_of_it(settings: DataSettings) -> None:
    config = data_config(ExchangeParams(exchange="kraken"), settings)
    assert config["exchange"] == {"name": "kraken", "pair_whitelist": []}


def test_settings_complain_about_a_missing_config_only(tmp_path: Path) -> None:
    assert DataSettings(user_data=tmp_path / "nowhere", datadir=tmp_path / "nowhere").problems() == []
    (problem,) = DataSettings(config=tmp_path / "none.json").problems()
    assert "FREQTRADE_CONFIG: no such file" in problem
