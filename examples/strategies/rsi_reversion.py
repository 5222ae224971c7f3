"""Mean reversion: buy what fell too fast, sell when it has recovered; protections keep it out of a falling market."""

import talib.abstract as ta
from freqtrade.strategy import IntParameter, IStrategy
from pandas import DataFrame


class RsiReversion(IStrategy):
    """Enters on an oversold RSI, leaves when it is back to normal. Run it with `enable_protections` to use the brakes.

    The two thresholds are hyperopt parameters: a `RsiReversion.json` beside this file, as hyperopt writes it, overrides them.
    """

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 30

    minimal_roi = {"0": 0.02}
    stoploss = -0.03

    buy_rsi = IntParameter(15, 40, default=28, space="buy")
    sell_rsi = IntParameter(45, 75, default=58, space="sell")

    @property
    def protections(self) -> list[dict[str, object]]:
        return [
            {"method": "CooldownPeriod", "stop_duration_candles": 3},
            {"method": "StoplossGuard", "lookback_period_candles": 72, "trade_limit": 2, "stop_duration_candles": 36, "only_per_pair": False},
        ]

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        oversold = (dataframe["rsi"] < self.buy_rsi.value) & (dataframe["volume"] > 0)
        dataframe.loc[oversold, ["enter_long", "enter_tag"]] = (1, "oversold")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        dataframe.loc[dataframe["rsi"] > self.sell_rsi.value, ["exit_long", "exit_tag"]] = (1, "recovered")
        return dataframe
