"""A hyperopt's parameters in a backtest: the numbers equal freqtrade's own with that file beside the strategy, which a worker never writes."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.equality.conftest import PAIRS, STRATEGIES, Backtests, call_config, market, plain_freqtrade, write_markets
from tests.equality.test_same_numbers import assert_same_numbers
from workers.artifacts import ArtifactStore

GIVEN = {
    "buy": {"buy_rsi": 36},
    "sell": {"sell_rsi": 51},
    "roi": {"0": 0.013, "60": 0.004},
    "stoploss": {"stoploss": -0.021},
    "trailing": {
        "trailing_stop": True,
        "trailing_stop_positive": 0.01,
        "trailing_stop_positive_offset": 0.012,
        "trailing_only_offset_is_reached": True,
    },
    "max_open_trades": {"max_open_trades": 2},
}


def document(**changes: Any) -> dict[str, Any]:
    """As freqtrade's hyperopt writes it."""
    return {"strategy_name": "RsiReversion", "params": GIVEN, "ft_stratparam_v": 1, "export_time": "2026-01-10 00:00:00+00:00"} | changes


def stored(backtests: Backtests, content: str) -> dict[str, Any]:
    """An artifact in the store of the jobs."""
    file = backtests.folder / "best_params.json"
    file.write_text(content)
    store = ArtifactStore(str(backtests.folder / "artifacts"))
    return store.put("a-hyperopt", file, name="best_params.json").model_dump()


@pytest.mark.slow
def test_same_numbers_as_freqtrade_with_that_file_beside_the_strategy(backtests: Backtests) -> None:
    markets = [market(pair, price=0.01, amount=0.001, smallest_cost=5, fee=0.00075) for pair in PAIRS]
    backtests.markets = write_markets(backtests.folder / "markets", *markets).parent
    config = call_config(timerange="20260103-20260113")
    del config["max_open_trades"]  # the parameters' to say: a config's value would come first

    outcome = backtests.run("RsiReversion", config, params=stored(backtests, json.dumps(document())))
    without = backtests.run("RsiReversion", config | {"max_open_trades": 3})

    backtests.strategies = backtests.folder / "strategies"
    backtests.strategies.mkdir()
    shutil.copy(STRATEGIES / "rsi_reversion.py", backtests.strategies)
    (backtests.strategies / "rsi_reversion.json").write_text(json.dumps(document()))
    assert_same_numbers(outcome, plain_freqtrade(backtests, "RsiReversion", config, backtests.markets / "binance-spot.json"))
    assert outcome.result["profit_total"] != without.result["profit_total"]
    assert outcome.result["applied_params"] == GIVEN
    assert outcome.result["params_overridden"] == []
    assert not list(STRATEGIES.glob("*.json")), "the strategies folder was written to"


def test_users_own_file_has_no_effect_and_is_not_touched(backtests: Backtests) -> None:
    backtests.strategies = backtests.folder / "strategies"
    backtests.strategies.mkdir()
    shutil.copy(STRATEGIES / "rsi_reversion.py", backtests.strategies)
    own = backtests.strategies / "rsi_reversion.json"
    own.write_text(json.dumps(document(params={"buy": {"buy_rsi": 17}, "sell": {"sell_rsi": 74}})))
    before = own.read_text()
    config = call_config(timerange="20260105-20260108", stoploss=-0.05)

    outcome = backtests.run("RsiReversion", config, params=stored(backtests, json.dumps(document())))
    with_own = backtests.run("RsiReversion", config)

    assert outcome.error == {}
    assert own.read_text() == before
    assert outcome.result["applied_params"]["buy"] == {"buy_rsi": 36}
    assert outcome.result["applied_params"]["stoploss"] == {"stoploss": -0.05}
    assert outcome.result["params_overridden"] == ["max_open_trades", "stoploss"]
    assert set(outcome.result["manifest"]["code"]) == {"rsi_reversion.py"}
    assert len(outcome.result["manifest"]["params"]) == 64
    assert set(with_own.result["manifest"]["code"]) == {"rsi_reversion.py", "rsi_reversion.json"}
    assert "params" not in with_own.result["manifest"]
    assert "applied_params" not in with_own.result
    assert outcome.result["total_trades"] != with_own.result["total_trades"]
    (archive,) = (outcome.stored / "backtest_results").glob("*.zip")
    with zipfile.ZipFile(archive) as files:
        (name,) = [name for name in files.namelist() if name.endswith("_RsiReversion.json")]
        assert json.loads(files.read(name))["params"] == GIVEN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "params: the artifact is no JSON"),
        (json.dumps([1]), "params: the artifact isn't laid out as freqtrade's"),
        (json.dumps(document(ft_stratparam_v=2)), "params: the artifact isn't laid out"),
        (json.dumps(document(strategy_name="S3CRET")), "params: the artifact holds parameters of another strategy than RsiReversion"),
        (json.dumps(document(params={"buy": {"buy_rsi": {"S3CRET": 1}}})), "params: buy: each parameter is a number"),
        (json.dumps(document(params={"buy": 3})), "params: buy: each parameter is a number"),
        (
            json.dumps(document(params={"buy": {"buy_rsi": 20, "buy_gone": 3}, "exit": {"x": 1}})),
            "(was it changed since the hyperopt?): buy.buy_gone, exit.x",
        ),
        ("1" * (1 << 20) + "1", "params: 1048577 bytes are no best_params.json"),
    ],
    ids=["no JSON", "no object", "other layout", "other strategy", "a value that is an object", "a space that is none", "unknown names", "too large"],
)
def test_artifact_that_is_no_parameters(backtests: Backtests, content: str, message: str) -> None:
    outcome = backtests.run("RsiReversion", call_config(timerange="20260105-20260106"), params=stored(backtests, content))
    assert outcome.error["type"] == "BadRequest", outcome.error
    assert message in outcome.error["message"]
    assert "S3CRET" not in str(outcome.error)


def test_artifact_that_was_touched_or_lies_elsewhere(backtests: Backtests) -> None:
    config = call_config(timerange="20260105-20260106")
    touched = stored(backtests, json.dumps(document()))
    Path(touched["uri"].removeprefix("file://")).write_text("{}")
    assert "is not the file that was stored" in backtests.run("RsiReversion", config, params=touched).error["message"]
    elsewhere = stored(backtests, json.dumps(document())) | {"uri": "file:///etc/passwd"}
    assert "doesn't lie in this worker's store" in backtests.run("RsiReversion", config, params=elsewhere).error["message"]
    wrong = backtests.run("RsiReversion", config, params={"name": "x"}).error["message"]
    assert "params.uri: Field required" in wrong
