"""Long and short with leverage, for the examples: not meant to earn money."""

from datetime import datetime

import talib.abstract as ta
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class EmaBothWays(IStrategy):
    """Follows the crossing of two moving averages, long upwards and short downwards, with three times the stake."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    can_short = True
    minimal_roi = {"0": 0.12, "720": 0.03}
    stoploss = -0.25
    startup_candle_count = 100

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Two moving averages."""
        dataframe["fast"] = ta.EMA(dataframe, timeperiod=12)
        dataframe["slow"] = ta.EMA(dataframe, timeperiod=48)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Where they cross."""
        above = dataframe["fast"] > dataframe["slow"]
        crossed = above != above.shift(1, fill_value=False)
        dataframe.loc[above & crossed, ["enter_long", "enter_tag"]] = (1, "cross up")
        dataframe.loc[~above & crossed, ["enter_short", "enter_tag"]] = (1, "cross down")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Where they cross back."""
        above = dataframe["fast"] > dataframe["slow"]
        dataframe.loc[~above, "exit_long"] = 1
        dataframe.loc[above, "exit_short"] = 1
        return dataframe

    def leverage(
        self, pair: str, current_time: datetime, current_rate: float, proposed_leverage: float, max_leverage: float, **kwargs: object
    ) -> float:
        """Three times the stake, where the tier allows it."""
        return min(3.0, max_leverage)
