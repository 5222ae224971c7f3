"""Breakout: buy a close above the upper Bollinger band, but only with the hour's trend and the leading coin's behind it."""

import talib.abstract as ta
from freqtrade.strategy import IStrategy, informative
from pandas import DataFrame


class BollingerBreakout(IStrategy):
    """Uses informative candles: one hour of its own pair, and one hour of BTC against the stake currency."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 60

    minimal_roi = {"0": 0.025, "180": 0.01}
    stoploss = -0.025

    @informative("1h")
    def populate_indicators_1h(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        dataframe["ema"] = ta.EMA(dataframe, timeperiod=24)
        return dataframe

    @informative("1h", "BTC/{stake}")
    def populate_indicators_btc_1h(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        dataframe["momentum"] = ta.ROC(dataframe, timeperiod=6)
        return dataframe

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        bands = ta.BBANDS(dataframe, timeperiod=40, nbdevup=2.2, nbdevdn=2.2)
        dataframe["upper"], dataframe["middle"] = bands["upperband"], bands["middleband"]
        dataframe["volume_mean"] = dataframe["volume"].rolling(40).mean()
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        stake = self.config["stake_currency"].lower()
        breakout = (dataframe["close"] > dataframe["upper"]) & (dataframe["close"].shift(1) <= dataframe["upper"].shift(1))
        with_trend = (dataframe["close"] > dataframe["ema_1h"]) & (dataframe[f"btc_{stake}_momentum_1h"] > -2)
        busy = dataframe["volume"] > dataframe["volume_mean"] * 0.8
        dataframe.loc[breakout & with_trend & busy, ["enter_long", "enter_tag"]] = (1, "breakout")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        dataframe.loc[dataframe["close"] < dataframe["middle"], ["exit_long", "exit_tag"]] = (1, "back_inside")
        return dataframe
