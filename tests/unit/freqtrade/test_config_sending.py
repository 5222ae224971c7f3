"""What of a call's config leaves the caller's process."""

from __future__ import annotations

import json

import pytest

from tasks.backtesting import run_backtest_task
from workers.errors import BadRequest
from workers.freqtrade.config.policy import judge
from workers.freqtrade.config.sending import fit_to_send

LIVE = {
    "stake_currency": "USDT",
    "dry_run": True,
    "telegram": {"enabled": True, "token": "T0KEN-SECRET", "chat_id": "1"},
    "api_server": {"enabled": True, "jwt_secret_key": "JWT-SECRET", "password": "PASS-SECRET"},
    "exchange": {"name": "binance", "key": "", "secret": "", "pair_whitelist": ["BTC/USDT"]},
}


def test_what_is_ignored_is_named_but_doesnt_travel() -> None:
    sent = fit_to_send(LIVE)
    assert "SECRET" not in json.dumps(sent)
    assert {"telegram", "api_server", "dry_run"} <= set(judge(sent).ignored)
    assert judge(sent).ignored["telegram"] == judge(LIVE).ignored["telegram"]
    assert judge(sent).clean == judge(LIVE).clean
    assert LIVE["telegram"] == {"enabled": True, "token": "T0KEN-SECRET", "chat_id": "1"}, "the caller's own is untouched"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"exchange": {"name": "binance", "key": "SECRET-1"}}, "exchange.key"),
        ({"strategy_path": "/home/SECRET-1"}, "strategy_path"),
        ({"my_api_token": "SECRET-1"}, "my_api_token"),
    ],
)
def test_a_secret_is_refused_by_key_before_anything_is_sent(config: dict[str, object], key: str) -> None:
    # No broker is there: had anything been sent, this would have failed in another way.
    with pytest.raises(BadRequest, match=f"nothing was sent:\n  {key}: ") as refused:
        run_backtest_task.delay("EmaCross", config)
    assert "SECRET" not in str(refused.value)
    with pytest.raises(BadRequest):
        run_backtest_task.apply_async(kwargs={"strategy_name": "EmaCross", "config": config})


def test_a_key_that_this_side_doesnt_know_is_the_workers_to_judge() -> None:
    assert fit_to_send({"frobnicate": 1}) == {"frobnicate": 1}
