"""`run.json`: what the index tells of one run.

A strategy is code and may write any file of its job's folder, so a record that is read is checked as a stranger's: lengths, types, and no link, which is made
from the folder's name instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

RECORD, REPORT = "run.json", "report.html"
"""Their names in the job's folder of the store."""
INDEX = "index.html"
"""At the root of the store."""
MOST_KEYS = 200
MOST_VALUE_CHARS = 200
CURVE_POINTS = 40
"""Of the curve that the index and comparisons draw over others."""


def _whole(value: Any) -> Any:
    """Half a surrogate pair, which a tag or a config may hold, is no character that a file can."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


Key = Annotated[str, BeforeValidator(_whole), Field(max_length=120)]
Text = Annotated[str, BeforeValidator(_whole), Field(max_length=MOST_VALUE_CHARS)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Kind(StrEnum):
    """What a run was."""

    BACKTEST = "backtest"
    COMPARISON = "comparison"
    TRAINING = "training"
    HYPEROPT = "hyperopt"


class RunRecord(BaseModel):
    """One run in short."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    task_id: Annotated[str, BeforeValidator(_whole), Field(max_length=256)]
    kind: Kind
    strategy: Key = ""
    title: Text = ""
    finished_at: datetime
    has_page: bool = False
    host: str = Field(default="", max_length=100)
    seconds: Finite | None = None
    numbers: dict[Key, Finite | None] = Field(default_factory=dict, max_length=60)
    """The run's own, under freqtrade's names."""
    facts: dict[Key, Text] = Field(default_factory=dict, max_length=40)
    """Timeframe, timerange, stake currency and the like."""
    config: dict[Key, Text] = Field(default_factory=dict, max_length=MOST_KEYS)
    """The effective config, flat: each value by its dotted path, as JSON."""
    hashes: dict[Key, Text] = Field(default_factory=dict, max_length=40)
    """What it was made of."""
    curve: list[tuple[Finite, Finite]] = Field(default_factory=list, max_length=CURVE_POINTS)
    """Seconds since the epoch, and the profit until then as a ratio of the starting balance."""


def flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Each value of a nested config by its dotted path, as JSON that is cut when it is long: for eyes, not for machines."""
    found: dict[str, str] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Mapping) and value:
            for key, item in value.items():
                walk(item, f"{path}.{key}" if path else str(key))
        elif len(found) < MOST_KEYS:
            found[path[:120]] = shortened(json.dumps(value, ensure_ascii=False, default=str), MOST_VALUE_CHARS)

    walk(config, "")
    return found


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def hashes_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """A manifest's hashes, one for each kind of input."""
    found = {f"code {name}": str(digest) for name, digest in list(manifest.get("code", {}).items())[:20]}
    found |= {name: str(manifest[name]["sha256"]) for name in ("candles", "markets") if "sha256" in (manifest.get(name) or {})}
    if "config" in manifest:
        found["config"] = str(manifest["config"])
    return {name[:120]: digest[:MOST_VALUE_CHARS] for name, digest in found.items()}


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
