"""The policy against the installed freqtrade: a new version's options must not slip by unnoticed."""

from __future__ import annotations

import pytest

from workers.freqtrade.config.keys import CONFIG, EXCHANGE, FREQAI, PAIRLISTS_REFUSED, PAIRLISTS_USED, Section

freqtrade = pytest.importorskip("freqtrade", reason="freqtrade isn't installed")


def keys(section: Section) -> set[str]:
    return {*section.used, *section.rules, *section.sections, *section.ignored, *section.refused}


def test_every_key_of_freqtrades_schema_has_been_judged() -> None:
    from freqtrade.config_schema import CONF_SCHEMA

    assert set(CONF_SCHEMA["properties"]) - keys(CONFIG) == set()
    assert set(CONF_SCHEMA["definitions"]["exchange"]["properties"]) - keys(EXCHANGE) == set()
    assert set(CONF_SCHEMA["definitions"]["freqai"]["properties"]) - keys(FREQAI) == set()


def test_every_option_of_the_backtesting_command_has_been_judged() -> None:
    from freqtrade.commands.arguments import ARGS_BACKTEST

    assert set(ARGS_BACKTEST) - keys(CONFIG) == set()


def test_every_pairlist_has_been_judged() -> None:
    from freqtrade.constants import AVAILABLE_PAIRLISTS

    assert set(AVAILABLE_PAIRLISTS) == set(PAIRLISTS_REFUSED) | PAIRLISTS_USED


def test_every_secret_that_freqtrade_knows_is_refused_or_ignored() -> None:
    from freqtrade.configuration.config_secrets import _SENSITIVE_KEYS

    for path in _SENSITIVE_KEYS:
        section, _, key = path.partition(".")
        assert key in EXCHANGE.refused if section == "exchange" else section in CONFIG.ignored, path
