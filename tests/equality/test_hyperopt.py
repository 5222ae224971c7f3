"""A hyperopt's epochs equal freqtrade's own, and what is left of one that ends in between."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.equality.conftest import PAIRS, STRATEGIES, Backtests, Outcome, call_config, market, run_plain_freqtrade, write_markets
from tests.waiting import wait_until

WHEN_IT_RAN = {"backtest_run_start_ts", "backtest_run_end_ts", "backtest_start_time", "backtest_end_time"}

RAISES = """
from freqtrade.strategy import IntParameter, IStrategy

class Raises(IStrategy):
    timeframe = "5m"
    minimal_roi = {"0": 0.01}
    stoploss = -0.1
    buy_number = IntParameter(1, 40, default=1, space="buy")

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        if self.buy_number.value > 30:
            raise ZeroDivisionError("the strategy's own")
        dataframe.loc[dataframe.index % (self.buy_number.value + 9) == 0, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe
"""

OWN_LOSS = """
from freqtrade.optimize.hyperopt import IHyperOptLoss

class FewestTrades(IHyperOptLoss):
    @staticmethod
    def hyperopt_loss_function(results, trade_count, min_date, max_date, config, processed, *args, **kwargs):
        return float(trade_count) / 100
"""


def hyperopt(backtests: Backtests, strategy: str = "RsiReversion", **changes: Any) -> Outcome:
    """A small one, on three days of candles. `cancel_at`, `soft_limit_at` and `kill_at` are epochs."""
    when = {key: changes.pop(key, None) for key in ("cancel_at", "soft_limit_at", "kill_at")}
    return backtests.run(strategy, hyperopt_config(**changes), command="hyperopt.run", **when)


def hyperopt_config(**changes: Any) -> dict[str, Any]:
    config = call_config(
        exchange={"name": "binance", "pair_whitelist": ["BTC/USDT", "ETH/USDT"]},
        timerange="20260105-20260108",
        hyperopt_loss="OnlyProfitHyperOptLoss",
        hyperopt_random_state=7,
        spaces=["buy", "sell"],
        epochs=4,
    )
    return config | changes


def with_strategy(backtests: Backtests, source: str) -> None:
    backtests.strategies = backtests.folder / "strategies"
    backtests.strategies.mkdir()
    (backtests.strategies / "raises.py").write_text(source)


def stored_epochs(folder: Path) -> list[dict[str, Any]]:
    """The epochs of freqtrade's own file."""
    (file,) = folder.glob("*.fthypt")
    epochs = [json.loads(line) for line in file.read_text().splitlines()]
    for epoch in epochs:
        epoch["results_metrics"] = {key: value for key, value in epoch["results_metrics"].items() if key not in WHEN_IT_RAN}
    return epochs


@pytest.fixture(scope="module")
def finished(job_server: subprocess.Popen[str], synthetic_candles: Path, tmp_path_factory: pytest.TempPathFactory) -> Backtests:
    backtests = Backtests(job_server, tmp_path_factory.mktemp("hyperopt"), synthetic_candles)
    markets = [market(pair, price=0.01, amount=0.001, smallest_cost=5, fee=0.00075) for pair in PAIRS]
    backtests.markets = write_markets(backtests.folder / "markets", *markets).parent
    return backtests


@pytest.mark.slow
def test_same_epochs_and_best_as_plain_freqtrade(finished: Backtests) -> None:
    outcome = hyperopt(finished)
    assert outcome.error == {}
    assert finished.markets is not None
    arguments = ["--epochs", "4", "--random-state", "7", "--job-workers", "1", "--spaces", "buy", "sell"]
    arguments += ["--hyperopt-loss", "OnlyProfitHyperOptLoss", "--disable-param-export"]
    plain = stored_epochs(
        run_plain_freqtrade(finished, "hyperopt", "RsiReversion", hyperopt_config(), finished.markets / "binance-spot.json", *arguments)
        / "hyperopt_results"
    )

    assert stored_epochs(outcome.stored / "hyperopt_results") == plain
    assert len({epoch["loss"] for epoch in plain}) == 4, "a comparison of nothing proves nothing"
    rows = json.loads((outcome.stored / "epochs.json").read_text())
    assert [(row["epoch"], row["loss"], row["params"], row["total_trades"]) for row in rows] == [
        (epoch["current_epoch"], epoch["loss"], epoch["params_dict"], epoch["results_metrics"]["total_trades"]) for epoch in plain
    ]
    best = min(plain, key=lambda epoch: epoch["loss"])
    assert outcome.result["best"]["epoch"] == best["current_epoch"]
    assert outcome.result["best"]["loss"] == best["loss"]
    assert outcome.result["best"]["params"] == best["params_details"]
    assert outcome.result["best"]["metrics"]["profit_total"] == best["results_metrics"]["profit_total"]
    assert [row["loss"] for row in outcome.result["best_epochs"]] == sorted(epoch["loss"] for epoch in plain)


def test_result_says_what_was_searched_and_progress_says_the_best_so_far(backtests: Backtests) -> None:
    outcome = hyperopt(backtests)
    assert outcome.error == {}
    result = outcome.result
    assert (result["epochs"], result["epochs_planned"]) == (4, 4)
    assert (result["hyperopt_loss"], result["hyperopt_random_state"], result["spaces"]) == ("OnlyProfitHyperOptLoss", 7, ["buy", "sell"])
    assert result["hyperopt_jobs"] == 1
    assert result["synthetic_markets"] is True
    assert set(result["manifest"]["code"]) == {"rsi_reversion.py"}
    assert set(result["manifest"]["candles"]["files"]) == {"BTC_USDT-5m.feather", "ETH_USDT-5m.feather"}
    assert len(json.dumps(result)) < 32 << 10
    names = [item["name"] for item in result["artifacts"]]
    assert names[:2] == ["best_params.json", "epochs.json"]
    assert {"manifest.json", "freqtrade.log"} < set(names)

    parameters = json.loads((outcome.stored / "best_params.json").read_text())
    assert (parameters["strategy_name"], parameters["ft_stratparam_v"]) == ("RsiReversion", 1)
    assert {space: parameters["params"][space] for space in ("buy", "sell")} == result["best"]["params"]
    assert not list(STRATEGIES.glob("*.json")), "the strategies folder was written to"

    told = [(current, message) for current, total, message in outcome.progress if total == 4]
    assert [current for current, _ in told] == [0, 0, 1, 2, 3, 4]
    assert [message for current, message in told if current == 0] == ["indicators 1/2", "indicators 2/2"]
    loss, profit = result["best"]["loss"], result["best"]["metrics"]["profit_total"]
    assert told[-1][1].startswith(f"best: loss {loss:.5g}, profit {profit:.2%}, ")


@pytest.mark.slow
def test_freqtrade_lists_the_stored_epochs(finished: Backtests, tmp_path: Path) -> None:
    outcome = hyperopt(finished)
    user_data = tmp_path / "user_data"
    user_data.mkdir()
    (outcome.stored / "hyperopt_results").rename(user_data / "hyperopt_results")
    command = [
        sys.executable,
        "-m",
        "freqtrade",
        "hyperopt-list",
        "--userdir",
        str(user_data),
        "--no-details",
        "--export-csv",
        str(tmp_path / "x.csv"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 5


def test_cancelled_hyperopt_keeps_its_epochs(backtests: Backtests) -> None:
    outcome = hyperopt(backtests, cancel_at=2, epochs=50)
    assert outcome.error["type"] == "JobCancelled"
    assert [current for current, _, _ in outcome.progress][-1] == 2
    assert [row["epoch"] for row in json.loads((outcome.stored / "epochs.json").read_text())] == [1, 2]
    assert len(stored_epochs(outcome.stored / "hyperopt_results")) == 2
    assert json.loads((outcome.stored / "best_params.json").read_text())["strategy_name"] == "RsiReversion"
    assert (outcome.stored / "freqtrade.log").is_file()


def test_soft_time_limit_keeps_the_epochs(backtests: Backtests) -> None:
    outcome = hyperopt(backtests, soft_limit_at=2, epochs=50)
    assert outcome.error["type"] == "SoftTimeLimit"
    assert len(json.loads((outcome.stored / "epochs.json").read_text())) == 2


def test_epoch_that_raises_is_the_strategys_own_error_and_keeps_the_epochs_before(backtests: Backtests) -> None:
    with_strategy(backtests, RAISES)
    outcome = hyperopt(backtests, "Raises", spaces=["buy"], epochs=12)
    assert (outcome.error["type"], outcome.error["message"]) == ("ZeroDivisionError", "the strategy's own")
    assert "raises.py" in outcome.error["traceback"]
    kept = len(json.loads((outcome.stored / "epochs.json").read_text()))
    assert kept > 0
    assert f"hyperopt: in epoch {kept + 1}; the parameters: [{{'buy_number': 3" in outcome.error["traceback"]
    assert f"hyperopt: {kept} epochs are kept: file://" in outcome.error["traceback"]


def test_no_good_result_is_said_in_the_result(backtests: Backtests) -> None:
    outcome = hyperopt(backtests, epochs=2, hyperopt_min_trades=1000)
    assert outcome.error == {}
    assert outcome.result["best"] is None
    assert "hyperopt_min_trades" in outcome.result["no_good_result"]
    assert outcome.result["best_epochs"] == []
    assert [row["loss"] for row in json.loads((outcome.stored / "epochs.json").read_text())] == [None, None]
    assert "best_params.json" not in {item["name"] for item in outcome.result["artifacts"]}


@pytest.mark.slow
def test_loss_function_of_ones_own(backtests: Backtests) -> None:
    folder = backtests.folder / "user_data" / "hyperopts"
    folder.mkdir(parents=True)
    (folder / "fewest.py").write_text(OWN_LOSS)
    outcome = hyperopt(backtests, hyperopt_loss="FewestTrades")
    assert outcome.error == {}
    assert outcome.result["best"]["loss"] == min(row["total_trades"] for row in outcome.result["best_epochs"]) / 100
    assert set(outcome.result["manifest"]["code"]) == {"rsi_reversion.py", "fewest.py"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hyperopt_loss": "NoSuchLoss"}, "hyperopt_loss: no loss function 'NoSuchLoss' on this worker; those that exist: CalmarHyperOptLoss, "),
        ({"hyperopt_loss": None}, "hyperopt_loss: needed"),
        ({"hyperopt_loss": "../S3CRET"}, "hyperopt_loss: must be a plain name"),
        ({"spaces": ["buy", "nowhere"]}, "spaces: no space nowhere; those that exist: default, all, buy"),
        ({"spaces": ["S3CRET/.."]}, "spaces: must be a plain name"),
        ({"spaces": ["trailing", "protection"]}, "'protection' space is included"),
        ({"epochs": 0}, "epochs: must be a whole number from 1 to 100000"),
        ({"epochs": "S3CRET"}, "epochs: must be a whole number"),
        ({"hyperopt_jobs": -1}, "hyperopt_jobs: must be a whole number from 1 to 64"),
        ({"hyperopt_random_state": 0}, "hyperopt_random_state: must be"),
        ({"analyze_per_epoch": "yes"}, "analyze_per_epoch: must be boolean"),
        ({"hyperopt_path": "/S3CRET"}, "hyperopt_path: a path"),
        ({"timerange": "20200101-20200102"}, "timerange: no candles in it"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_value_names_its_key(backtests: Backtests, change: dict[str, Any], message: str) -> None:
    outcome = hyperopt(backtests, **change)
    assert outcome.error["type"] in {"BadRequest", "DataMissing"}, outcome.error
    assert message in outcome.error["message"]
    assert "S3CRET" not in str(outcome.error)


def test_loss_function_that_cannot_be_loaded_tells_its_own_error(backtests: Backtests) -> None:
    folder = backtests.folder / "user_data" / "hyperopts"
    folder.mkdir(parents=True)
    (folder / "broken.py").write_text("import no_such_module\n" + OWN_LOSS)
    outcome = hyperopt(backtests, hyperopt_loss="FewestTrades")
    assert (outcome.error["type"], outcome.error["message"]) == ("ModuleNotFoundError", "No module named 'no_such_module'")


@pytest.mark.slow
def test_a_lost_run_is_taken_up_where_it_was(backtests: Backtests) -> None:
    changes: dict[str, Any] = {"hyperopt_random_state": None, "epochs": 5}
    hyperopt(backtests, kill_at=3, **changes)
    backtests.count -= 1
    again = hyperopt(backtests, **changes)
    rows = json.loads((again.stored / "epochs.json").read_text())
    backtests.count -= 1
    other = hyperopt(backtests, **changes, stake_amount=50)
    whole = hyperopt(backtests, epochs=5, hyperopt_random_state=again.result["hyperopt_random_state"])

    assert whole.error == {}
    assert (again.result["epochs_of_earlier_run"], whole.result["epochs_of_earlier_run"]) == (3, 0)
    assert other.result["epochs_of_earlier_run"] == 0, "epochs of another config are no use"
    assert {key: again.result[key] for key in ("best", "best_epochs", "epochs")} == {
        key: whole.result[key] for key in ("best", "best_epochs", "epochs")
    }
    assert rows == json.loads((whole.stored / "epochs.json").read_text())


@pytest.mark.slow
def test_two_jobs_find_the_same_each_time_and_leave_no_process(backtests: Backtests) -> None:
    first, second = (hyperopt(backtests, hyperopt_jobs=2, epochs=5) for _ in range(2))
    assert first.error == {}
    assert [row["epoch"] for row in json.loads((first.stored / "epochs.json").read_text())] == [1, 2, 3, 4, 5]
    assert first.result["best_epochs"] == second.result["best_epochs"]
    wait_until(lambda: not [process for process in running_processes() if str(backtests.folder) in process])


@pytest.mark.slow
def test_error_in_one_of_two_jobs_and_a_cancelled_one(backtests: Backtests) -> None:
    cancelled = hyperopt(backtests, hyperopt_jobs=2, cancel_at=2, epochs=50)
    assert cancelled.error["type"] == "JobCancelled"
    assert len(json.loads((cancelled.stored / "epochs.json").read_text())) == 2
    with_strategy(backtests, RAISES)
    raised = hyperopt(backtests, "Raises", spaces=["buy"], hyperopt_jobs=2, epochs=12)
    assert raised.error["type"] == "ZeroDivisionError"
    assert "raises.py" in raised.error["traceback"]


def running_processes() -> list[str]:
    """The environment of each process, as far as it may be read."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            found.append(file.read_text(errors="replace"))
        except OSError:
            continue
    return found
