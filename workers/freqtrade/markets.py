"""The markets of a backtest: a saved snapshot of the exchange's, or ones made from the pairs. Never the network.

A market says how prices and amounts are rounded, the smallest order and the fees, so it changes a backtest's numbers:
with made-up markets the result is marked `synthetic_markets`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from workers.errors import DataMissing

PAIR = re.compile(r"(?P<base>[A-Za-z0-9.\-]+)/(?P<quote>[A-Za-z0-9.]+)(:(?P<settle>[A-Za-z0-9.]+))?")
DECIMALS = 8
TICK_SIZE = 4
"""ccxt's `precisionMode` for 'precision is a step'; the others count digits."""


@dataclass(frozen=True, slots=True)
class Markets:
    """The markets of one exchange in one trading mode."""

    markets: list[dict[str, Any]]
    """ccxt's unified market structures."""
    leverage_tiers: dict[str, list[dict[str, Any]]]
    """By pair; empty for spot."""
    synthetic: bool
    """Made from the pairs, not the exchange's own."""
    file: Path | None = None
    """The snapshot."""


def snapshot_file(folder: Path, exchange: str, trading_mode: str) -> Path:
    return folder / f"{exchange.lower()}-{trading_mode}.json"


def load_snapshot(folder: Path, exchange: str, trading_mode: str) -> Markets | None:
    """Read the saved markets; None when there are none.

    Raises:
        DataMissing: the file is no snapshot.
    """
    file = snapshot_file(folder, exchange, trading_mode)
    if not file.is_file():
        return None
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        markets = list(document["markets"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as exc:
        message = f"{file} is no market snapshot: write it anew with `python -m workers data markets refresh --exchange {exchange}`"
        raise DataMissing(message) from exc
    return Markets(markets=markets, leverage_tiers=document.get("leverage_tiers", {}), synthetic=False, file=file)


def save_snapshot(folder: Path, exchange: str, trading_mode: str, markets: Mapping[str, Any], leverage_tiers: Mapping[str, Any]) -> Path:
    """Write a snapshot aside, then rename it: a backtest that starts meanwhile reads the old one or the new one, whole."""
    file = snapshot_file(folder, exchange, trading_mode)
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "exchange": exchange,
        "trading_mode": trading_mode,
        "refreshed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "ccxt": version("ccxt"),
        "markets": markets,
        "leverage_tiers": leverage_tiers,
    }
    aside = file.with_name(f".{file.stem}.{uuid4().hex[:8]}.part")  # its own: two may be at it
    try:
        aside.write_text(json.dumps(document, default=str), encoding="utf-8")
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    return file


def made_up_markets(pairs: Iterable[str], *, precision_mode: int, taker: float, maker: float) -> Markets:
    """Plausible markets for the pairs: eight decimals, no smallest order, the exchange's default fees.

    Args:
        pairs: `BTC/USDT` is a spot market, `BTC/USDT:USDT` a linear perpetual; anything else is left out.
        precision_mode: how the exchange's ccxt class states precision.
        taker: the exchange's default taker fee, as a ratio.
        maker: the exchange's default maker fee, as a ratio.
    """
    precision = 10**-DECIMALS if precision_mode == TICK_SIZE else DECIMALS
    found = [match for pair in sorted(set(pairs)) if (match := PAIR.fullmatch(pair))]
    markets = [_made_up_market(match, precision, taker, maker) for match in found]
    tiers = {market["symbol"]: [_made_up_tier(market["symbol"], market["settle"])] for market in markets if market["swap"]}
    return Markets(markets=markets, leverage_tiers=tiers, synthetic=True)


def _made_up_market(match: re.Match[str], precision: float, taker: float, maker: float) -> dict[str, Any]:
    base, quote, settle = match["base"], match["quote"], match["settle"]
    swap = settle is not None
    nothing = {"min": None, "max": None}
    return {
        "id": match.string.replace("/", "").replace(":", "_"),
        "symbol": match.string,
        **dict(zip(("base", "quote", "settle", "baseId", "quoteId", "settleId"), (base, quote, settle) * 2, strict=True)),
        "type": "swap" if swap else "spot",
        **dict.fromkeys(("margin", "future", "option", "index"), False),
        "spot": not swap,
        "swap": swap,
        "contract": swap,
        "active": True,
        "linear": True if swap else None,
        "inverse": False if swap else None,
        "contractSize": 1.0 if swap else None,
        **dict.fromkeys(("expiry", "expiryDatetime", "strike", "optionType", "created")),
        "taker": taker,
        "maker": maker,
        "percentage": True,
        "tierBased": False,
        "feeSide": "get",
        "precision": {"price": precision, "amount": precision, "cost": None, "base": None, "quote": None},
        "limits": {"leverage": {"min": 1.0, "max": 20.0} if swap else nothing, "amount": nothing, "price": nothing, "cost": nothing},
        "info": {},
    }


def _made_up_tier(symbol: str, currency: str) -> dict[str, Any]:
    """One tier for any size: twenty times at most, a maintenance margin of one percent."""
    return {
        "tier": 1.0,
        "symbol": symbol,
        "currency": currency,
        "minNotional": 0.0,
        "maxNotional": 1e12,
        "maintenanceMarginRate": 0.01,
        "maxLeverage": 20.0,
        "info": {"cum": "0"},
    }
