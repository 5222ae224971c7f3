"""Each key of a call's config is used, ignored with a notice, or refused with a reason; a refused value is never echoed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workers.freqtrade.config.keys import CONFIG
from workers.freqtrade.config.policy import judge

SECRET = "S3CRET-value"


def test_backtesting_options_reach_freqtrade_untouched() -> None:
    config: dict[str, Any] = {
        "timerange": "20260101-20260201",
        "timeframe": "5m",
        "timeframe_detail": "1m",
        "stake_currency": "USDT",
        "stake_amount": "unlimited",
        "dry_run_wallet": {"USDT": 500, "BTC": 1},
        "minimal_roi": {"0": 0.1},
        "stoploss": -0.1,
        "trailing_stop": True,
        "max_open_trades": -1,
        "order_types": {"entry": "limit", "exit": "limit", "stoploss": "market", "stoploss_on_exchange": False},
        "exchange": {"name": "kraken", "pair_whitelist": ["BTC/USDT", ".*/EUR"], "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList", "allow_inactive": True}, {"method": "ShuffleFilter", "seed": 42}],
        "trading_mode": "futures",
        "margin_mode": "isolated",
        "position_stacking": True,
        "enable_protections": True,
        "freqai": {
            "enabled": True,
            "identifier": "model-1",
            "feature_parameters": {"include_timeframes": ["5m", "1h"], "include_corr_pairlist": ["BTC/USDT:USDT"], "svm_params": {"nu": 0.1}},
            "model_training_parameters": {"n_estimators": 100, "objective": "reg:squarederror", "device": "cpu"},
        },
        "freqaimodel": "LightGBMRegressor",
    }
    judged = judge(config)
    assert judged.clean == config
    assert judged.refused == {}
    assert judged.ignored == {}
    assert "freqai.model_training_parameters.n_estimators" in judged.used


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("exchange.key", {"exchange": {"key": SECRET}}),
        ("exchange.secret", {"exchange": {"secret": SECRET}}),
        ("exchange.password", {"exchange": {"password": SECRET}}),
        ("exchange.privateKey", {"exchange": {"privateKey": SECRET}}),
        ("exchange.ccxt_config", {"exchange": {"ccxt_config": {"apiKey": SECRET}}}),
        ("exchange.name", {"exchange": {"name": f"../{SECRET}"}}),
        ("exchange._ft_has_params", {"exchange": {"_ft_has_params": {"x": SECRET}}}),
        ("strategy_path", {"strategy_path": SECRET}),
        ("user_data_dir", {"user_data_dir": SECRET}),
        ("datadir", {"datadir": SECRET}),
        ("exportfilename", {"exportfilename": SECRET}),
        ("freqaimodel_path", {"freqaimodel_path": SECRET}),
        ("db_url", {"db_url": f"postgresql://u:{SECRET}@h/d"}),
        ("log_config", {"log_config": {"version": 1, "handlers": {"x": {"()": SECRET}}}}),
        ("add_config_files", {"add_config_files": [SECRET]}),
        ("strategy_list", {"strategy_list": [SECRET]}),
        ("timeframe", {"timeframe": f"../../{SECRET}"}),
        ("freqaimodel", {"freqaimodel": f"Model:{SECRET}"}),
        ("freqaimodel", {"freqaimodel": f"../{SECRET}"}),
        ("hyperopt_loss", {"hyperopt_loss": f"/tmp/{SECRET}"}),
        ("freqai.identifier", {"freqai": {"identifier": f"../{SECRET}"}}),
        ("freqai.feature_parameters.include_timeframes", {"freqai": {"feature_parameters": {"include_timeframes": ["5m", f"../{SECRET}"]}}}),
        ("freqai.feature_parameters.include_corr_pairlist.0", {"freqai": {"feature_parameters": {"include_corr_pairlist": [f"../../{SECRET}"]}}}),
        ("freqai.model_training_parameters.snapshot_file", {"freqai": {"model_training_parameters": {"snapshot_file": SECRET}}}),
        ("freqai.model_training_parameters.x", {"freqai": {"model_training_parameters": {"x": f"/etc/{SECRET}"}}}),
        ("freqai.model_training_parameters.x.y.1", {"freqai": {"model_training_parameters": {"x": {"y": [1, f"file:///{SECRET}"]}}}}),
        ("pairlists.0.method", {"pairlists": [{"method": "RemotePairList", "pairlist_url": SECRET}]}),
        ("pairlists.1.method", {"pairlists": [{"method": "StaticPairList"}, {"method": SECRET}]}),
        ("pairlists.0.method", {"pairlists": [SECRET]}),
        ("made_up", {"made_up": SECRET}),
        ("order_types.made_up", {"order_types": {"made_up": SECRET}}),
        ("(a key that is no word)", {f"http://{SECRET}": 1}),
    ],
)
def test_refused_by_key_never_by_value(key: str, config: dict[str, Any]) -> None:
    judged = judge(config)
    assert list(judged.refused) == [key]
    assert judged.refused[key]
    assert SECRET not in str((judged.judgements, judged.clean))


def test_what_only_a_running_bot_uses_is_ignored_with_a_notice() -> None:
    judged = judge(
        {"dry_run": False, "telegram": {"token": SECRET}, "api_server": {"password": SECRET}, "bot_name": "b", "strategy": "X", "internals": {}}
    )
    assert judged.clean == {}
    assert set(judged.ignored) == {"dry_run", "telegram", "api_server", "bot_name", "strategy", "internals"}
    assert all(judged.ignored.values())
    assert SECRET not in str(judged)


def test_empty_secrets_of_a_stock_config_are_no_reason_to_refuse_it() -> None:
    judged = judge({"exchange": {"name": "binance", "key": "", "secret": "", "ccxt_config": {}, "ccxt_async_config": {}, "password": None}})
    assert judged.refused == {}
    assert judged.clean == {"exchange": {"name": "binance"}}


def test_key_that_only_the_installed_freqtrade_knows_is_ignored_unless_it_could_carry_a_secret_or_a_path() -> None:
    known = frozenset({"new_option", "new_option_path", "new_token"})
    judged = judge({"new_option": 1, "new_option_path": SECRET, "new_token": SECRET, "other": 1}, known=known, version="2099.1")
    assert set(judged.ignored) == {"new_option"}
    assert set(judged.refused) == {"new_option_path", "new_token", "other"}
    assert judged.refused["other"] == "not a backtesting option of freqtrade 2099.1"


def test_sections_that_are_no_objects_are_left_to_freqtrades_schema() -> None:
    assert judge({"exchange": "binance", "order_types": 1}).clean == {"exchange": "binance", "order_types": 1}


def test_no_key_has_two_meanings() -> None:
    tables = [set(CONFIG.used), set(CONFIG.sections), set(CONFIG.refused), set(CONFIG.ignored) | (set(CONFIG.rules) - {"hyperopt_loss"})]
    assert sum(map(len, tables)) == len(set().union(*tables))


def test_the_clean_config_is_a_copy() -> None:
    config = {"exchange": {"name": "binance", "key": SECRET}}
    before = json.dumps(config)
    judge(config).clean["exchange"]["name"] = "kraken"
    assert json.dumps(config) == before
