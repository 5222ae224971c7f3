"""A user_data of our own, for who has none yet: the strategies of this folder, and seeded candles that are made once."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STRATEGIES = ROOT / "examples" / "strategies"
HOME = ROOT / "var" / "demo" / "user_data"
EXCHANGE = "binance"
PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
TIMEFRAMES = ("5m", "15m", "1h")
DAYS = 60


def candles_exist() -> bool:
    """Whether they were made before."""
    return any(datadir().glob("*.feather"))


def datadir() -> Path:
    """Where the candles are."""
    return HOME / "data" / EXCHANGE


def example_environment() -> dict[str, str]:
    """Make the candles if they aren't there, and return what a backtesting worker needs to find everything."""
    if not candles_exist():
        # freqtrade's own writer: heavy, and needed once.
        from examples.candles import make_candles

        make_candles(datadir(), PAIRS, days=DAYS, timeframes=TIMEFRAMES)
    return {"FREQTRADE_USER_DATA": str(HOME), "FREQTRADE_STRATEGIES": str(STRATEGIES), "FREQTRADE_DATADIR": str(datadir())}
