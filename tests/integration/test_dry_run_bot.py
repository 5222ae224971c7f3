"""A real dry-run bot works on the exchange stand-in: its loop runs, it buys and sells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from examples.exchange_stand_in import ExchangeStandIn
from tests.dry_run_bot import DryRunBot
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize(("trading_mode", "pair"), [("spot", "BTC/USDT"), ("futures", "ETH/USDT:USDT")])
def test_bot_enters_and_leaves_a_trade(tmp_path: Path, trading_mode: str, pair: str) -> None:
    futures: dict[str, Any] = {"trading_mode": "futures", "margin_mode": "isolated"} if trading_mode == "futures" else {}
    with ExchangeStandIn() as exchange, DryRunBot(exchange, tmp_path, "EmaCross", pairs=(pair,), **futures) as bot:
        wait_until(lambda: (bot.client.health() or {}).get("last_process"), timeout=60, message="the bot's loop to run once")

        entered = bot.client.forceenter(pair, "long")
        assert entered.get("pair") == pair, (entered, bot.log.read_text()[-3000:])
        trade: dict[str, Any] = wait_until(lambda: _filled(bot), timeout=60, message="the entry to be filled")
        assert trade["exchange"] == "binance"
        assert trade["open_rate"] == pytest.approx(60_000 if trading_mode == "spot" else 3_000, rel=0.5)

        bot.client.forceexit(trade["trade_id"], ordertype="market")
        wait_until(lambda: not bot.client.status(), timeout=60, message="the trade to be closed")
        assert [item["pair"] for item in bot.client.trades()["trades"]] == [pair]
        assert not [path for path in exchange.requests if "/sapi/" in path], "a dry run needs no account"


def _filled(bot: DryRunBot) -> dict[str, Any]:
    trades = bot.client.status()
    return dict(trades[0]) if trades and not trades[0]["has_open_orders"] else {}
