"""What is traded: the coins, and how Binance describes a spot market and a perpetual future in `exchangeInfo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PERPETUAL_DELIVERY_MS = 4_133_404_800_000
"""Binance's delivery date of a contract that has none."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One coin against USDT."""

    coin: str
    level: float
    """Around which its price moves."""
    tick: str
    lot: str
    futures_lot: str
    trading: bool = True
    """False for a coin whose trading has ended: it stays listed, as on the real exchange."""

    @property
    def symbol(self) -> str:
        """Binance's own name of the pair."""
        return f"{self.coin}USDT"

    @property
    def decimals(self) -> int:
        """Of its prices."""
        return len(self.tick.partition(".")[2])

    def spot(self) -> dict[str, Any]:
        """As `/api/v3/exchangeInfo` says it."""
        return {
            **self._names(),
            "status": "TRADING" if self.trading else "BREAK",
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
            **dict.fromkeys(("icebergAllowed", "ocoAllowed", "quoteOrderQtyMarketAllowed", "allowTrailingStop", "isSpotTradingAllowed"), True),
            "isMarginTradingAllowed": False,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": self.tick, "maxPrice": "1000000.00", "tickSize": self.tick},
                {"filterType": "LOT_SIZE", "minQty": self.lot, "maxQty": "90000.0", "stepSize": self.lot},
                {"filterType": "NOTIONAL", "minNotional": "5.0", "applyMinToMarket": True, "maxNotional": "9000000.0", "applyMaxToMarket": False},
            ],
            "permissions": ["SPOT"],
            "permissionSets": [["SPOT"]],
        }

    def perpetual(self) -> dict[str, Any]:
        """As `/fapi/v1/exchangeInfo` says it."""
        return {
            **self._names(),
            "pair": self.symbol,
            "contractType": "PERPETUAL",
            "deliveryDate": PERPETUAL_DELIVERY_MS,
            "onboardDate": 1_569_398_400_000,
            "status": "TRADING" if self.trading else "SETTLING",
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "marginAsset": "USDT",
            "pricePrecision": self.decimals,
            "quantityPrecision": len(self.futures_lot.partition(".")[2]),
            "underlyingType": "COIN",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": self.tick, "maxPrice": "1000000", "tickSize": self.tick},
                {"filterType": "LOT_SIZE", "minQty": self.futures_lot, "maxQty": "100000", "stepSize": self.futures_lot},
                {"filterType": "MARKET_LOT_SIZE", "minQty": self.futures_lot, "maxQty": "10000", "stepSize": self.futures_lot},
                {"filterType": "MIN_NOTIONAL", "notional": "5"},
            ],
            "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        }

    def _names(self) -> dict[str, Any]:
        precision = {"baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8}
        return {"symbol": self.symbol, "baseAsset": self.coin, "quoteAsset": "USDT"} | precision


LISTINGS = {
    listing.symbol: listing
    for listing in (
        Listing("BTC", 60_000.0, "0.01", "0.00001", "0.001"),
        Listing("ETH", 3_000.0, "0.01", "0.0001", "0.001"),
        Listing("SOL", 150.0, "0.01", "0.001", "0.01"),
        Listing("ADA", 0.45, "0.0001", "0.1", "1"),
        Listing("LUNA", 80.0, "0.01", "0.01", "1", trading=False),
    )
}
