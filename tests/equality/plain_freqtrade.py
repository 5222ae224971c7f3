"""freqtrade's own command line, without our code: only its markets come from a file, since there may be no network.

python plain_freqtrade.py MARKETS.json backtesting --config ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from freqtrade.exchange import Binance, Exchange
from freqtrade.main import main


def markets_from(file: Path) -> Any:
    markets = list(json.loads(file.read_text())["markets"].values())

    def reload_markets(self: Any, force: bool = False, *, load_leverage_tiers: bool = True) -> None:
        self._api.set_markets(markets)
        self._api_async.set_markets(markets)
        self._markets = self._api.markets

    return reload_markets


def leverage_tiers_from(file: Path) -> Any:
    tiers = json.loads(file.read_text()).get("leverage_tiers", {})
    return lambda self: tiers


if __name__ == "__main__":
    Exchange.reload_markets = markets_from(Path(sys.argv[1]))
    Binance.load_leverage_tiers = leverage_tiers_from(Path(sys.argv[1]))
    main(sys.argv[2:])
