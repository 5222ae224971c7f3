"""Trend following: buy when the fast average crosses above the slow one."""

import talib.abstract as ta
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class EmaCross(IStrategy):
    """Enters on a crossing while the trend has strength (ADX), leaves on the opposite crossing or on a trailing stop.

    The trailing stop and the small return targets are decided inside a candle: run it with `timeframe_detail` to see the difference.
    """

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 60

    minimal_roi = {"0": 0.03, "120": 0.015, "360": 0.005}
    stoploss = -0.04
    trailing_stop = True
    trailing_stop_positive = 0.006
    trailing_stop_positive_offset = 0.012
    trailing_only_offset_is_reached = True

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        dataframe["ema_fast"] = ta.EMA(dataframe, timeperiod=12)
        dataframe["ema_slow"] = ta.EMA(dataframe, timeperiod=48)
        dataframe["adx"] = ta.ADX(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        above = dataframe["ema_fast"] > dataframe["ema_slow"]
        crossed_up = above & ~above.shift(1, fill_value=False)
        dataframe.loc[crossed_up & (dataframe["adx"] > 15) & (dataframe["volume"] > 0), ["enter_long", "enter_tag"]] = (1, "crossed_up")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        below = dataframe["ema_fast"] < dataframe["ema_slow"]
        crossed_down = below & ~below.shift(1, fill_value=False)
        dataframe.loc[crossed_down & (dataframe["volume"] > 0), ["exit_long", "exit_tag"]] = (1, "crossed_down")
        return dataframe
