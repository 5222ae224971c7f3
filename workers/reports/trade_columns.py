"""Trades for the scripts of a page: columns, with each text once, which takes a third of the room that rows would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def most_telling(trades: Sequence[Mapping[str, Any]], limit: int) -> list[Mapping[str, Any]]:
    """At most so many: those that won or lost most, in the order they were opened."""
    kept = sorted(trades, key=lambda trade: abs(trade["profit_abs"]), reverse=True)[:limit]
    return sorted(kept, key=lambda trade: trade["open_timestamp"])


def columns(trades: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Seconds since the epoch, rates with seven digits, and texts as places in `texts`."""
    texts: dict[str, int] = {}

    def place(text: Any) -> int:
        return texts.setdefault(str(text or ""), len(texts))

    return {
        "pair": [place(trade["pair"]) for trade in trades],
        "opened": [trade["open_timestamp"] // 1000 for trade in trades],
        "closed": [trade["close_timestamp"] // 1000 for trade in trades],
        "entry": _rates(trade["open_rate"] for trade in trades),
        "exit": _rates(trade["close_rate"] for trade in trades),
        "ratio": [round(trade["profit_ratio"], 5) for trade in trades],
        "profit": _rates(trade["profit_abs"] for trade in trades),
        "short": [int(trade["is_short"]) for trade in trades],
        "leverage": [round(trade.get("leverage") or 1.0, 2) for trade in trades],
        "enter_tag": [place(trade.get("enter_tag")) for trade in trades],
        "exit_reason": [place(trade.get("exit_reason")) for trade in trades],
        "texts": list(texts),
    }


def _rates(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.7g}") for value in values]
