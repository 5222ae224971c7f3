"""docs/freqtrade.md names every key of the config tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workers.freqtrade.config.keys import CONFIG, HYPEROPT, LOOKAHEAD, PAIRLISTS_REFUSED, PAIRLISTS_USED, RECURSIVE, TRAINING, Section

DOCUMENT = (Path(__file__).parents[3] / "docs" / "freqtrade.md").read_text(encoding="utf-8")


def keys(section: Section, prefix: str = "") -> Iterator[str]:
    yield from (prefix + key for key in (*section.used, *section.rules, *section.ignored, *section.refused))
    for name, nested in section.sections.items():
        yield from keys(nested, f"{prefix}{name}.")


def test_each_key_of_each_kind_of_job_is_documented() -> None:
    every = {key for section in (CONFIG, TRAINING, HYPEROPT, LOOKAHEAD, RECURSIVE) for key in keys(section)} | set(PAIRLISTS_REFUSED) | PAIRLISTS_USED
    missing = sorted(key for key in every if f"`{key}`" not in DOCUMENT)
    assert missing == []
