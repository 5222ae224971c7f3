"""FreqAI: a model learns how the price will move from features that the strategy makes, and is trained anew as time goes on."""

import talib.abstract as ta
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class FreqaiExample(IStrategy):
    """Enters when the predicted mean of the next candles is well above what the model usually predicts, leaves when it is below the price.

    For a regressor, such as LightGBMRegressor. In a folder of its own, as it needs a config with a `freqai` section: a worker finds it with
    `recursive_strategy_search`.
    """

    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 40
    process_only_new_candles = True

    minimal_roi = {"0": 0.03, "240": 0.005}
    stoploss = -0.04

    def feature_engineering_expand_all(self, dataframe: DataFrame, period: int, metadata: dict[str, str], **kwargs: object) -> DataFrame:
        """For each of `indicator_periods_candles`, `include_timeframes` and `include_corr_pairlist`."""
        dataframe["%-rsi-period"] = ta.RSI(dataframe, timeperiod=period)
        dataframe["%-adx-period"] = ta.ADX(dataframe, timeperiod=period)
        dataframe["%-ema-period"] = ta.EMA(dataframe, timeperiod=period) / dataframe["close"]
        return dataframe

    def feature_engineering_expand_basic(self, dataframe: DataFrame, metadata: dict[str, str], **kwargs: object) -> DataFrame:
        """The same, but for the periods."""
        dataframe["%-change"] = dataframe["close"].pct_change()
        dataframe["%-volume"] = dataframe["volume"]
        return dataframe

    def feature_engineering_standard(self, dataframe: DataFrame, metadata: dict[str, str], **kwargs: object) -> DataFrame:
        """Once."""
        dataframe["%-hour"] = dataframe["date"].dt.hour
        return dataframe

    def set_freqai_targets(self, dataframe: DataFrame, metadata: dict[str, str], **kwargs: object) -> DataFrame:
        """What the model learns to predict: where the mean of the next candles lies, as a ratio to the price."""
        candles = self.freqai_info["feature_parameters"]["label_period_candles"]
        dataframe["&-move"] = dataframe["close"].shift(-candles).rolling(candles).mean() / dataframe["close"] - 1
        return dataframe

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        return self.freqai.start(dataframe, metadata, self)

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        unusual = dataframe["&-move_mean"] + dataframe["&-move_std"]
        dataframe.loc[(dataframe["do_predict"] == 1) & (dataframe["&-move"] > unusual), ["enter_long", "enter_tag"]] = (1, "predicted_up")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        dataframe.loc[(dataframe["do_predict"] == 1) & (dataframe["&-move"] < 0), ["exit_long", "exit_tag"]] = (1, "predicted_down")
        return dataframe
