"""The tables of the config policy: what each key of freqtrade's config means for a backtest that somebody else asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

LIVE = "only a running bot uses it"
MESSAGING = "a backtest sends no messages"
DOWNLOAD = "a backtest downloads nothing"
OPTIMISING = "a backtest doesn't optimise"
ANALYSING = "a backtest doesn't analyse its strategy"
FIXED = "the worker sets it for each job"

SECRET = "a secret: a backtest needs none, and a config travels through Redis"  # noqa: S105 - a sentence
PATH = "a path: inputs are the files of the worker's own folders"
CODE = "it loads code or opens files on the worker"
NETWORK = "a backtest uses no network"
NOT_BACKTESTED = "freqtrade's own backtesting doesn't support it; use StaticPairList"
NAME = "must be a plain name, not a path or code"

PLAIN_NAME = re.compile(r"[A-Za-z_]\w*")
TIMEFRAME = re.compile(r"[1-9]\d{0,3}[smhdwMy]")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a string has to look like to be used; anything else is refused with the reason, never echoed."""

    pattern: re.Pattern[str]
    reason: str

    def accepts(self, value: object) -> bool:
        values = value if isinstance(value, list) else [value]
        return all(isinstance(item, str) and self.pattern.fullmatch(item) for item in values)


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """Which whole numbers are used; anything else is refused, as one more kind of `Rule`."""

    lowest: int
    highest: int
    listed: bool = False
    """A list of them."""

    @property
    def reason(self) -> str:
        return f"must be {'a list of whole numbers' if self.listed else 'a whole number'} from {self.lowest} to {self.highest}"

    def accepts(self, value: object) -> bool:
        if self.listed:
            return isinstance(value, list) and bool(value) and all(self._fits(item) for item in value)
        return self._fits(value)

    def _fits(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.lowest <= value <= self.highest


A_TIMEFRAME = Rule(TIMEFRAME, "must be a timeframe such as 5m, 1h or 1d")
A_TIMERANGE = Rule(
    re.compile(r"(\d{8}|\d{10}|\d{13})?-(\d{8}|\d{10}|\d{13})?"), "must be a timerange such as 20260101-20260301, 20260101- or -20260301"
)
A_NAME = Rule(PLAIN_NAME, NAME)
A_COIN = Rule(re.compile(r"[A-Za-z0-9]{1,20}"), "must be a currency such as USDT")
AN_EXCHANGE = Rule(re.compile(r"[A-Za-z0-9_]{1,40}"), "must be the name of an exchange, such as binance")
AN_IDENTIFIER = Rule(re.compile(r"[A-Za-z0-9_-]{1,100}"), NAME)


def words(text: str) -> frozenset[str]:
    """The keys of a table, written as they are read."""
    return frozenset(text.split())


def each(text: str, reason: str) -> dict[str, str]:
    """The keys of a table with the reason that they share."""
    return dict.fromkeys(text.split(), reason)


@dataclass(frozen=True, slots=True)
class Section:
    """The keys of one object of the config."""

    used: frozenset[str] = frozenset()
    rules: Mapping[str, Rule | WholeNumber] = field(default_factory=dict)
    """Used when the value looks as it has to."""
    sections: Mapping[str, Section] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    open: bool = False
    """Any other key is used too, as long as no string in it looks like a path, a URL or a secret: the parameters of a model library."""

    def taking(self, *, used: frozenset[str] = frozenset(), rules: Mapping[str, Rule | WholeNumber], ignored: Mapping[str, str]) -> Section:
        """This table for another kind of job, which uses some of the keys that this one ignores, and ignores others."""
        taken, more = used | set(rules), frozenset(ignored)
        return replace(
            self,
            used=(self.used | used) - more,
            rules={**self.rules, **rules},
            ignored={key: reason for key, reason in self.ignored.items() if key not in taken} | dict(ignored),
        )


PRICING = Section(
    used=words("price_side price_last_balance use_order_book order_book_top order_book_min order_book_max ask_last_balance"),
    sections={"check_depth_of_market": Section(used=words("enabled bids_to_ask_delta"))},
    ignored=each("ignore_buying_expired_candle_after", LIVE),
)

EXCHANGE = Section(
    used=words("pair_whitelist pair_blacklist use_public_trades unknown_fee_rate"),
    rules={"name": AN_EXCHANGE},
    ignored=each("log_responses enable_ws outdated_offset markets_refresh_interval trades_refresh_interval", LIVE)
    | each("skip_open_order_update skip_pair_validation sandbox only_from_ccxt", LIVE),
    refused=each("key secret password uid api_key apiKey account_id accountId token", SECRET)
    | each("wallet_address walletAddress private_key privateKey", SECRET)
    | each("ccxt_config ccxt_sync_config ccxt_async_config", "it may carry secrets, URLs and proxies")
    | each("_ft_has_params", "it changes what freqtrade knows of the exchange; set it in the worker's FREQTRADE_CONFIG")
    | each("demo_trading", NETWORK),
)

CLAIM_CHECK = Section(used=words("name uri size sha256 media_type"))
"""What a result says of one of its artifacts; a worker opens its own store only, see `workers.artifacts`."""

FREQAI = Section(
    used=words("enabled conv_width train_period_days backtest_period_days save_backtest_models continual_learning keras")
    | words("fit_live_predictions_candles data_kitchen_thread_count override_exchange_check override_exchange_checks reduce_df_footprint"),
    rules={"identifier": AN_IDENTIFIER},
    sections={
        "feature_parameters": Section(rules={"include_timeframes": A_TIMEFRAME}, open=True),
        "data_split_parameters": Section(open=True),
        "model_training_parameters": Section(open=True),
        "rl_config": Section(rules={"model_type": A_NAME, "policy_type": A_NAME}, open=True),
        "model": CLAIM_CHECK,
    },
    ignored=each("live_retrain_hours expiration_hours purge_old_models", LIVE)
    | each("write_metrics_to_disk activate_tensorboard wait_for_training_iteration_on_reload", LIVE),
)

WHAT_TO_TEST = (
    words("pairs pairlists dataformat_ohlcv dataformat_trades enable_dynamic_pairlist recursive_strategy_search")
    | words("startup_candle_count process_only_new_candles disable_dataframe_checks reduce_df_footprint ignore_buying_expired_candle_after")
    | words("trading_mode margin_mode")
)
MONEY = (
    words("stake_amount dry_run_wallet available_capital tradable_balance_ratio amend_last_stake_amount last_stake_amount_min_ratio")
    | words("amount_reserve_percent fee max_open_trades position_stacking futures_funding_rate liquidation_buffer")
    | words("position_adjustment_enable max_entry_position_adjustment custom_price_max_distance_ratio")
)
WHEN_TO_LEAVE = (
    words("minimal_roi stoploss use_custom_stoploss enable_protections")
    | words("trailing_stop trailing_stop_positive trailing_stop_positive_offset trailing_only_offset_is_reached")
    | words("use_exit_signal exit_profit_only exit_profit_offset ignore_roi_if_entry_signal")
)
OLD_NAMES = words("use_sell_signal sell_profit_only sell_profit_offset ignore_roi_if_buy_signal")
"""Of older configs; freqtrade still translates them."""
WHAT_TO_REPORT = words("export backtest_breakdown backtest_notes backtest_show_pair_list verbosity")

CONFIG = Section(
    used=WHAT_TO_TEST | MONEY | WHEN_TO_LEAVE | OLD_NAMES | WHAT_TO_REPORT,
    rules={
        "timerange": A_TIMERANGE,
        "timeframe": A_TIMEFRAME,
        "timeframe_detail": A_TIMEFRAME,
        "stake_currency": A_COIN,
        "proxy_coin": A_COIN,
        "freqaimodel": A_NAME,
        "hyperopt_loss": A_NAME,
    },
    sections={
        "exchange": EXCHANGE,
        "freqai": FREQAI,
        "entry_pricing": PRICING,
        "exit_pricing": PRICING,
        "bid_strategy": PRICING,
        "ask_strategy": PRICING,
        "order_types": Section(
            used=words("entry exit force_exit force_entry emergency_exit stoploss stoploss_on_exchange stoploss_price_type")
            | words("stoploss_on_exchange_interval stoploss_on_exchange_limit_ratio")
            | words("buy sell emergencysell forcesell forcebuy emergencyexit forceexit forceentry"),
        ),
        "order_time_in_force": Section(used=words("entry exit buy sell")),
        "unfilledtimeout": Section(used=words("entry exit exit_timeout_count unit buy sell")),
        "orderflow": Section(used=words("cache_size max_candles scale stacked_imbalance_range imbalance_volume imbalance_ratio")),
        "experimental": Section(used=words("block_bad_exchanges")),
    },
    ignored=each("telegram discord webhook api_server fiat_display_currency", MESSAGING)
    | each("dry_run bot_name initial_state force_entry_enable forcebuy_enable cancel_open_orders_on_exit pairlist_refresh_period", LIVE)
    | each("internals external_message_consumer coingecko liquidation_warn_ratio skip_wallet_history_migration", LIVE)
    | each("new_pairs_days download_trades days timeframes erase prepend_data include_inactive", DOWNLOAD)
    | each("epochs early_stop spaces analyze_per_epoch print_all hyperopt_jobs hyperopt_random_state hyperopt_min_trades hyperopt_loss", OPTIMISING)
    | each("hyperopt effort mode disableparamexport hyperopt_ignore_missing_space print_json", OPTIMISING)
    | each("minimum_trade_amount targeted_trade_amount startup_candle lookahead_allow_limit_orders", ANALYSING)
    | each("runmode print_colorized", FIXED)
    | each("strategy", "the command's strategy_name says it")
    | each("backtest_cache", "each job runs afresh")
    | each("$schema", "it's for editors")
    | each("version", "it's for people"),
    refused=each("strategy_path freqaimodel_path hyperopt_path user_data_dir datadir exportfilename exportdirectory", PATH)
    | each("lookahead_analysis_exportfilename analysis_csv_path hyperoptexportfilename logfile pairs_file", PATH)
    | each("log_config add_config_files config_files config original_config", CODE)
    | each("db_url db_url_from", "the URL of a database, which may carry a password; a backtest uses none")
    | each("strategy_list", "one strategy a job: send a command for each")
    | each("freqai_backtest_live_models", "it needs the models of a running bot")
    | each("edge", "freqtrade removed it")
    | each("protections", "freqtrade takes protections from the strategy only; enable_protections turns them on")
    | each("ticker_interval", "freqtrade renamed it to timeframe"),
)

TRAINING = replace(
    CONFIG,
    rules={key: rule for key, rule in CONFIG.rules.items() if key != "freqaimodel"},
    sections={
        **CONFIG.sections,
        "freqai": replace(
            FREQAI,
            used=FREQAI.used - {"enabled", "save_backtest_models"},
            sections={key: section for key, section in FREQAI.sections.items() if key != "model"},
            ignored={**FREQAI.ignored, **each("enabled save_backtest_models", "a training always trains, and keeps its models")},
            refused={"model": "a training makes a model; a backtest uses one"},
        ),
    },
    ignored={**CONFIG.ignored, "freqaimodel": "the command's model_name says it"},
)
"""What the same keys mean for a FreqAI training: the config of a backtest trains its model too."""

HYPEROPT = CONFIG.taking(
    used=words("analyze_per_epoch hyperopt_ignore_missing_space"),
    rules={
        "hyperopt_loss": A_NAME,
        "spaces": A_NAME,
        "epochs": WholeNumber(1, 100_000),
        "early_stop": WholeNumber(0, 100_000),
        "hyperopt_min_trades": WholeNumber(0, 1_000_000),
        "hyperopt_random_state": WholeNumber(1, 2**32 - 1),
        "hyperopt_jobs": WholeNumber(1, 64),
    },
    ignored=each("export backtest_breakdown backtest_notes backtest_show_pair_list", "hyperopt keeps epochs, not trades")
    | each("print_all print_json", "the artifact epochs.json has every epoch")
    | each("disableparamexport", "always on: the best parameters are an artifact, and no file of the strategies folder is written"),
)
"""Of a hyperopt. freqtrade's own -1 for `hyperopt_jobs`, all cores, isn't offered: a worker may run several jobs."""

LOOKAHEAD = CONFIG.taking(
    used=words("lookahead_allow_limit_orders"),
    rules={"minimum_trade_amount": WholeNumber(1, 1_000_000), "targeted_trade_amount": WholeNumber(1, 1_000_000)},
    ignored=each("export backtest_breakdown backtest_notes backtest_show_pair_list", "an analysis keeps no trades")
    | each("max_open_trades dry_run_wallet enable_protections", "freqtrade's lookahead analysis sets it, so that no signal is lost"),
)
"""Of a lookahead analysis."""

RECURSIVE = CONFIG.taking(
    rules={"startup_candle": WholeNumber(1, 1_000_000, listed=True)},
    ignored=each("export backtest_breakdown backtest_notes backtest_show_pair_list", "an analysis keeps no trades"),
)
"""Of a recursive analysis."""

PAIRLISTS_USED = words("StaticPairList CrossMarketPairList PairInformationFilter OffsetFilter ShuffleFilter PerformanceFilter FullTradesFilter")
PAIRLISTS_REFUSED = (
    each("RemotePairList ProducerPairList MarketCapPairList", NETWORK)
    | each("PriceFilter PrecisionFilter", f"it needs today's tickers from the exchange, {NETWORK}")
    | each("VolumePairList PercentChangePairList AgeFilter DelistFilter", NOT_BACKTESTED)
    | each("SpreadFilter VolatilityFilter RangeStabilityFilter", NOT_BACKTESTED)
)
