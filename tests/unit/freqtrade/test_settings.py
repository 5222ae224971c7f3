"""Each folder may lie elsewhere than freqtrade expects it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.freqtrade.settings import FreqtradeSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("USER_DATA", "STRATEGIES", "DATADIR", "CONFIG", "MARKETS"):
        monkeypatch.delenv(f"FREQTRADE_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_freqtrades_own_folders(tmp_path: Path) -> None:
    settings = FreqtradeSettings.load()
    assert settings.strategies_folder == tmp_path / "user_data" / "strategies"
    assert settings.candles_folder("Binance") == tmp_path / "user_data" / "data" / "binance"
    assert settings.markets_folder == tmp_path / "user_data" / "markets"
    assert settings.config is None


def test_variables_move_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FREQTRADE_USER_DATA", "/ud")
    monkeypatch.setenv("FREQTRADE_DATADIR", "candles")
    settings = FreqtradeSettings.load()
    assert settings.strategies_folder == Path("/ud/strategies")
    assert settings.candles_folder("binance") == tmp_path / "candles"


def test_settings_name_their_variables() -> None:
    names = [FreqtradeSettings.variable(field) for field in FreqtradeSettings.model_fields]
    assert names == ["FREQTRADE_USER_DATA", "FREQTRADE_STRATEGIES", "FREQTRADE_DATADIR", "FREQTRADE_CONFIG", "FREQTRADE_MARKETS"]
