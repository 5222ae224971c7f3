"""freqtrade's own exchange class, with its markets from `Markets` and every way to the network shut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from workers.freqtrade.markets import Markets, made_up_markets

UNKNOWN_FEE = 0.001


class NetworkRefused(RuntimeError):
    """Something asked the exchange over the network; a backtest runs on files alone."""


def exchange_class(name: str) -> Any:
    """The class that freqtrade's ExchangeResolver would pick for an exchange."""
    import freqtrade.exchange as exchanges
    from freqtrade.exchange import MAP_EXCHANGE_CHILDCLASS, Exchange

    return getattr(exchanges, MAP_EXCHANGE_CHILDCLASS.get(name, name).title(), Exchange)


def offline_exchange(config: dict[str, Any], snapshot: Markets | None, pairs: Iterable[str]) -> tuple[Any, Markets]:
    """An exchange for a backtest, and the markets that it got.

    Args:
        config: freqtrade's, after `setup_optimize_configuration`.
        snapshot: saved markets; None makes them from the pairs.
        pairs: what made-up markets are needed for.
    """
    chosen: list[Markets] = []

    def choose(api: Any) -> Markets:
        if not chosen:
            taker, maker = _default_fees(api.fees, futures=config["trading_mode"].value == "futures")
            chosen.append(snapshot or made_up_markets(pairs, precision_mode=api.precisionMode, taker=taker, maker=maker))
        return chosen[0]

    offline = _offline_class(exchange_class(config["exchange"]["name"].lower()), choose)
    exchange = offline(config, validate=True, load_leverage_tiers=True)
    return exchange, choose(exchange._api)  # noqa: SLF001 - freqtrade's exchange keeps its ccxt object there


def _offline_class(base: Any, choose: Callable[[Any], Markets]) -> Any:
    class Offline(base):
        """Overrides the one place where backtesting asks the exchange."""

        _markets: dict[str, Any]

        def reload_markets(self, force: bool = False, *, load_leverage_tiers: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - freqtrade's signature
            from freqtrade.util.datetime_helpers import dt_ts

            if self._markets:
                return
            # Whatever else may ask (tickers, fees, order books) fails at once, and says why, instead of waiting for a timeout.
            self._api.fetch = _refuse
            self._api_async.fetch = _refuse_async
            self._api.set_markets(choose(self._api).markets)
            self._api_async.set_markets(choose(self._api).markets)
            self._markets = self._api.markets
            self._last_markets_refresh = dt_ts()

        def load_leverage_tiers(self) -> dict[str, list[dict[str, Any]]]:
            """A snapshot holds its own; without one, freqtrade's bundled file for Binance, else made-up ones."""
            from freqtrade.enums import TradingMode

            if self.trading_mode != TradingMode.FUTURES:
                return {}
            markets = choose(self._api)
            if markets.synthetic and base.load_leverage_tiers.__qualname__.startswith("Binance."):
                bundled: dict[str, list[dict[str, Any]]] = super().load_leverage_tiers()
                return markets.leverage_tiers | bundled
            return markets.leverage_tiers

    Offline.__name__ = Offline.__qualname__ = base.__name__
    return Offline


def _default_fees(fees: dict[str, Any], *, futures: bool) -> tuple[float, float]:
    """The exchange's default taker and maker fee, which ccxt keeps in one place or another; a tenth of a percent when it knows none.

    A made-up fee of nothing would make a backtest look better than it can be.
    """
    tables = (fees.get("linear", {}).get("trading"), fees.get("swap"), fees.get("contract")) if futures else (fees.get("trading"), fees.get("spot"))
    for table in (*tables, fees.get("trading")):
        if table and table.get("taker") is not None:
            return table["taker"], table.get("maker") or 0.0
    return UNKNOWN_FEE, UNKNOWN_FEE


def _refuse(url: str, *_args: Any, **_kwargs: Any) -> None:
    raise NetworkRefused(f"a backtest uses no network, something asked for {url.split('?', maxsplit=1)[0]}")


async def _refuse_async(url: str, *args: Any, **kwargs: Any) -> None:
    _refuse(url, *args, **kwargs)
