"""Markets are a saved snapshot or made from the pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workers.errors import DataMissing
from workers.freqtrade.markets import load_snapshot, made_up_markets, save_snapshot, snapshot_file


def test_made_up_spot_and_perpetual_markets() -> None:
    made = made_up_markets(["BTC/USDT", "ETH/USDT:USDT", "BTC/USDT", ".*/EUR"], precision_mode=4, taker=0.001, maker=0.0008)
    spot, swap = made.markets
    assert made.synthetic
    assert (spot["symbol"], spot["base"], spot["quote"], spot["type"], spot["spot"], spot["swap"]) == ("BTC/USDT", "BTC", "USDT", "spot", True, False)
    assert (spot["taker"], spot["maker"], spot["precision"]["amount"]) == (0.001, 0.0008, 1e-8)
    assert (swap["symbol"], swap["settle"], swap["linear"], swap["contractSize"], swap["type"]) == ("ETH/USDT:USDT", "USDT", True, 1.0, "swap")
    assert list(made.leverage_tiers) == ["ETH/USDT:USDT"]


def test_precision_is_stated_the_exchanges_way() -> None:
    (market,) = made_up_markets(["BTC/USDT"], precision_mode=2, taker=0.001, maker=0.001).markets
    assert market["precision"]["price"] == 8


def test_snapshot_is_read_back(tmp_path: Path) -> None:
    file = save_snapshot(tmp_path / "markets", "binance", "spot", {"BTC/USDT": {"symbol": "BTC/USDT", "taker": 0.00075}}, {})
    assert file == snapshot_file(tmp_path / "markets", "Binance", "spot")
    loaded = load_snapshot(tmp_path / "markets", "binance", "spot")
    assert loaded is not None
    assert (loaded.markets, loaded.synthetic, loaded.file) == ([{"symbol": "BTC/USDT", "taker": 0.00075}], False, file)
    assert [path.name for path in file.parent.iterdir()] == ["binance-spot.json"]
    assert json.loads(file.read_text())["ccxt"]


def test_no_snapshot(tmp_path: Path) -> None:
    assert load_snapshot(tmp_path, "binance", "futures") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"markets": 5}'])
def test_broken_snapshot_says_how_to_write_it_anew(tmp_path: Path, text: str) -> None:
    snapshot_file(tmp_path, "kraken", "spot").write_text(text)
    with pytest.raises(DataMissing, match="markets refresh --exchange kraken"):
        load_snapshot(tmp_path, "kraken", "spot")
