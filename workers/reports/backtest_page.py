"""The page of a backtest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workers.reports import curves
from workers.reports.publishing import Page
from workers.reports.record import CURVE_POINTS, flat, hashes_of, shortened
from workers.reports.rendering import render, script_json
from workers.reports.trade_columns import columns, most_telling

if TYPE_CHECKING:
    from workers.job import Job

SCRIPTS = ("uPlot.iife.min.js", "base.js", "tables.js", "charts.js", "candles.js", "trades.js", "backtest.js")
MOST_BYTES = 1_000_000
ROOM_FOR_THE_REST = 220_000
"""Scripts, styles, tables; what is left of a page is for trades and candles."""
MOST_POINTS = 1_000
"""Of a curve: more than a screen has columns."""
MOST_ROWS = 300
"""Of a table of pairs or reasons."""
INDEXED = (
    *("profit_total", "profit_total_abs", "max_drawdown_account", "sharpe", "sortino", "calmar", "profit_factor", "total_trades", "winrate"),
    *("cagr", "expectancy_ratio", "market_change", "final_balance", "starting_balance"),
)
FACTS = ("timeframe", "timeframe_detail", "timerange", "stake_currency", "trading_mode", "backtest_start", "backtest_end")


def draw_backtest(job: Job, result: Mapping[str, Any], details: Mapping[str, Any]) -> Page:
    """Draw it.

    Args:
        job: that ran.
        result: of `backtest.run`.
        details: `trades` (freqtrade's rows), `candles` (by pair: start and step in seconds, and four columns), `candles_left_out` (a number of pairs),
            `parameters`, `config` (the effective one) and `exits` (the exit rules that were in force), `enter_tags` (rows).
    """
    start, end = (datetime.fromisoformat(result[key]).timestamp() for key in ("backtest_start", "backtest_end"))
    trades = details.get("trades", [])
    balances = curves.equity(trades, result["starting_balance"], start, end)
    data = {
        "currency": result["stake_currency"],
        "starting": result["starting_balance"],
        "equity": curves.thinned(balances, MOST_POINTS),
        "drawdown": curves.thinned(curves.drawdown(balances), MOST_POINTS),
    }
    data |= (drawn := _fitting(trades, details.get("candles", {}), room=MOST_BYTES - ROOM_FOR_THE_REST - len(script_json(data))))
    months = curves.monthly(trades, result["starting_balance"])
    context = {
        "title": title_of(result),
        "job": job,
        "result": result,
        "parameters": flat(details.get("parameters", {})),
        "exits": flat(details.get("exits", {})),
        "trained_model": flat(result.get("trained_model") or {}),
        "enter_tags": details.get("enter_tags", []),
        "config": flat(details.get("config", {})),
        "months": months,
        "years": sorted({year for year, _ in months}),
        "most_rows": MOST_ROWS,
        "pairs_left_out": details.get("candles_left_out", 0) + len(details.get("candles", {})) - len(drawn["candles"]),
        "trades_left_out": len(trades) - len(drawn["trades"]["pair"]),
    }
    return Page(record_of(result, details, balances), lambda: render("backtest.html", context, data=data, scripts=SCRIPTS))


def title_of(result: Mapping[str, Any]) -> str:
    return " ".join(str(part) for part in (result["strategy"], result.get("timeframe"), result.get("timerange")) if part)


def record_of(result: Mapping[str, Any], details: Mapping[str, Any], balances: list[curves.Point]) -> dict[str, Any]:
    """What the index tells of it."""
    starting = result["starting_balance"]
    return {
        "strategy": result["strategy"],
        "title": shortened(title_of(result), 200),
        "numbers": {key: result.get(key) for key in INDEXED},
        "facts": {key: shortened(str(result[key]), 200) for key in FACTS if result.get(key)}
        | ({"markets": "made up"} if result.get("synthetic_markets") else {}),
        "config": flat(details.get("config", {})),
        "hashes": hashes_of(result.get("manifest", {})),
        "curve": [(moment, balance / starting - 1) for moment, balance in curves.thinned(balances, CURVE_POINTS)] if starting else [],
    }


def _fitting(trades: list[Mapping[str, Any]], candles: Mapping[str, Any], *, room: int) -> dict[str, Any]:
    """As many pairs' candles and trades as the page has room for: half of it for candles, the busiest pairs first, the rest for trades."""
    shown: dict[str, Any] = {}
    used = 0
    for pair, columns_of_pair in candles.items():
        used += len(script_json(columns_of_pair))
        if shown and used > room * 0.6:
            break
        shown[pair] = columns_of_pair
    left = room - sum(len(script_json(each)) for each in shown.values())
    kept = most_telling(trades, len(trades))
    while len(script_json(columns(kept))) > left and kept:
        kept = most_telling(kept, int(len(kept) * 0.8))
    return {"candles": shown, "trades": columns(kept)}
