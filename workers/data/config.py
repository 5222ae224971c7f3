"""freqtrade's config for a job of the data worker."""

from __future__ import annotations

from typing import Any

from workers.data.params import ExchangeParams
from workers.data.settings import DataSettings
from workers.freqtrade.config.layers import read_base

SECRETS = ("key", "secret", "password", "uid", "api_key", "apiKey", "account_id", "accountId", "token")
"""An exchange gives candles and markets to everybody, so no account of the user's is used."""


def data_config(params: ExchangeParams, settings: DataSettings) -> dict[str, Any]:
    """freqtrade's config for a job of the data worker.

    How the exchange is reached (`ccxt_config` with its URLs and proxies, `only_from_ccxt`) is said by the worker's own file alone, and by that
    only for the exchange it names: no call may send this worker to another address.
    """
    from freqtrade.enums import RunMode

    base = read_base(settings.config)
    own = base.get("exchange")
    own = own if isinstance(own, dict) and str(own.get("name", "")).lower() == params.exchange.lower() else {}
    exchange = {key: value for key, value in own.items() if key not in SECRETS}
    futures = params.trading_mode == "futures"
    return {
        "dry_run": True,
        "runmode": RunMode.UTIL_EXCHANGE,
        "trading_mode": params.trading_mode,
        "margin_mode": "isolated" if futures else "",
        "stake_currency": base.get("stake_currency", "USDT"),
        "datadir": settings.candles_folder(params.exchange),
        "dataformat_ohlcv": base.get("dataformat_ohlcv", "feather"),
        "new_pairs_days": base.get("new_pairs_days", 30),
        "exchange": exchange | {"name": params.exchange.lower(), "pair_whitelist": []},
    }
