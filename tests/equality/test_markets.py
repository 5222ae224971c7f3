"""Where a backtest's markets come from: a refresh writes the snapshot that later backtests use; without one they are made up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

import pytest

from tests.equality.conftest import PAIRS, ROOT, Backtests, call_config


def exchange_info() -> dict[str, object]:
    """What Binance's public exchangeInfo answers, for our pairs."""
    symbols = []
    for pair in PAIRS:
        base, quote = pair.split("/")
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000", "stepSize": "0.001"},
            {"filterType": "NOTIONAL", "minNotional": "5.0", "applyMinToMarket": True, "maxNotional": "9000000", "applyMaxToMarket": False},
        ]
        names = {"symbol": base + quote, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "isSpotTradingAllowed": True}
        precision = {"baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8, "orderTypes": ["LIMIT", "MARKET"]}
        symbols.append(names | precision | {"filters": filters, "permissions": ["SPOT"], "permissionSets": [["SPOT"]]})
    return {"timezone": "UTC", "serverTime": 0, "rateLimits": [], "exchangeFilters": [], "symbols": symbols}


class PublicApi(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = exchange_info() if urlparse(self.path).path == "/api/v3/exchangeInfo" else {"symbols": []}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """The test's output is not the place."""


@pytest.fixture
def public_api() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), PublicApi) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


REFRESH = """
import sys
from workers.freqtrade.exchange import refresh_markets
from workers.freqtrade.settings import FreqtradeSettings
api = {"public": sys.argv[1] + "/api/v3", "fapiPublic": sys.argv[1] + "/fapi/v1", "dapiPublic": sys.argv[1] + "/dapi/v1"}
print(*refresh_markets(FreqtradeSettings.load(), "binance", "spot", urls={"api": api}))
"""


def test_refreshed_markets_are_used_by_the_next_backtest(backtests: Backtests, public_api: str) -> None:
    config = call_config(timerange="20260105-20260108")
    made_up = backtests.run("EmaCross", config).result
    backtests.markets = backtests.folder / "markets"
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT), "FREQTRADE_MARKETS": str(backtests.markets)}
    command = [sys.executable, "-c", REFRESH, public_api]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(backtests.markets / "binance-spot.json"), "3"]

    outcome = backtests.run("EmaCross", config)

    assert outcome.error == {}
    assert (made_up["synthetic_markets"], outcome.result["synthetic_markets"]) == (True, False)
    assert outcome.result["manifest"]["markets"]["file"] == "binance-spot.json"
    assert outcome.result["manifest"]["markets"]["sha256"] != made_up["manifest"]["markets"]["sha256"]
    # 100 USDT of a coin, rounded down to the exchange's step.
    amounts = [trade["amount"] for trade in outcome.stats["trades"]]
    assert amounts == [round(amount, 3) for amount in amounts]


@pytest.mark.parametrize("exchange", ["kraken", "okx", "mexc"], ids=["its own class", "tiers for each market", "no class of its own"])
def test_any_exchange_without_a_network(backtests: Backtests, exchange: str) -> None:
    config = call_config(exchange={"name": exchange, "pair_whitelist": [".*/USDT"]}, timerange="20260105-20260106")
    outcome = backtests.run("EmaCross", config)
    assert outcome.error == {}
    assert {row["pair"] for row in outcome.result["pairs"]} == set(PAIRS), "a pattern finds the pairs that have candles"


FUTURES = """
import sys
from pathlib import Path
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
source, target = (get_datahandler(Path(folder), "feather") for folder in sys.argv[1:])
for timeframe in ("5m", "1h"):
    candles = source._ohlcv_load("BTC/USDT", timeframe, None, CandleType.SPOT)
    target.ohlcv_store("BTC/USDT:USDT", timeframe, candles, CandleType.FUTURES)
target.ohlcv_store("BTC/USDT:USDT", "1h", candles, CandleType.MARK)
target.ohlcv_store("BTC/USDT:USDT", "1h", candles.iloc[::8].assign(funding_rate=0.0001), CandleType.FUNDING_RATE)
"""


def test_futures_with_funding_fees(backtests: Backtests, tmp_path: Path) -> None:
    (tmp_path / "candles").mkdir()
    command = [sys.executable, "-c", FUTURES, str(backtests.datadir), str(tmp_path / "candles")]
    subprocess.run(command, check=True, capture_output=True)
    backtests.datadir = tmp_path / "candles"
    config = call_config(
        exchange={"name": "bybit", "pair_whitelist": ["BTC/USDT:USDT"]}, trading_mode="futures", margin_mode="isolated", timerange="20260102-20260110"
    )

    outcome = backtests.run("EmaCross", config)

    assert outcome.error == {}
    assert outcome.result["trading_mode"] == "futures"
    assert outcome.result["total_trades"] > 10
    assert any(trade["funding_fees"] for trade in outcome.stats["trades"])
