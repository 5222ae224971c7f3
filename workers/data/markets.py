"""An exchange's markets as the snapshot that backtests read."""

from __future__ import annotations

import contextlib
from typing import Any

from workers.data.params import ExchangeParams
from workers.data.settings import DataSettings
from workers.errors import DataMissing
from workers.freqtrade.manifest import hash_file
from workers.freqtrade.markets import load_snapshot, save_snapshot

SHOWN = 100


def save_markets(exchange: Any, params: ExchangeParams, settings: DataSettings) -> dict[str, Any]:
    """Save the markets of an exchange that has loaded them, and say what changed.

    Args:
        exchange: freqtrade's.
        params: name the exchange and the trading mode.
        settings: name the folder.
    """
    before: set[str] = set()
    with contextlib.suppress(DataMissing):  # a broken snapshot is what a refresh mends
        snapshot = load_snapshot(settings.markets_folder, params.exchange, params.trading_mode)
        before = {market["symbol"] for market in snapshot.markets} if snapshot else set()
    markets = exchange.markets
    tiers = exchange.load_leverage_tiers() if params.trading_mode == "futures" else {}
    file = save_snapshot(settings.markets_folder, params.exchange, params.trading_mode, markets, tiers)
    added, gone = sorted(markets.keys() - before), sorted(before - markets.keys())
    return {
        "exchange": params.exchange,
        "trading_mode": params.trading_mode,
        "markets": len(markets),
        "pairs_with_leverage_tiers": len(tiers),
        "file": file.name,
        "sha256": hash_file(file),
        "added": len(added) if before else 0,
        "gone": len(gone),
        "added_pairs": added[:SHOWN] if before else [],
        "gone_pairs": gone[:SHOWN],
    }
