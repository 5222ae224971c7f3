"""A backtest with a trained model: `freqai.model` names the artifact of a training, whose models are used, and nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workers.claim_check import Artifact
from workers.errors import BadRequest
from workers.freqtrade.freqai.model_artifact import ModelManifest, TrainedWindow, unpack
from workers.freqtrade.freqai.model_objects import adapted_models, loaded_exactly
from workers.freqtrade.freqai.signing import read_key
from workers.freqtrade.freqai.windows import check_periods, moment, planned_windows
from workers.freqtrade.running import FreqtradeRun
from workers.freqtrade.settings import FreqAISettings

SHOWN = 20
WITHOUT_EFFECT = frozenset({"plot_feature_importances"})
"""Of the feature parameters."""


class DoesNotFit(BaseException):
    """Raised inside of freqtrade, which goes on after an Exception there: the model and the backtest don't fit."""


class TrainedModel:
    """The model that a call's config names, if it names one; without, every method leaves things as they are."""

    def __init__(self, running: FreqtradeRun, strategy_name: str) -> None:
        self._running = running
        self._strategy_name = strategy_name
        self._artifact: Artifact | None = None
        self._manifest: ModelManifest | None = None
        self.predictions = 0
        """How many windows the model predicted."""

    def amend(self, merged: dict[str, Any]) -> dict[str, Any]:
        """Fetch and check the model, and put its FreqAI config under the call's: a call needn't repeat what the model was trained with.

        Raises:
            BadRequest: the artifact isn't what the claim check says, or was touched, or is of another strategy or model.
            DataMissing: the artifact or the key isn't there.
        """
        freqai = merged.get("freqai")
        if not isinstance(freqai, dict) or "model" not in freqai:
            return merged
        from freqtrade.misc import deep_merge_dicts

        self._artifact = claim_check(freqai["model"])
        self._manifest = manifest = self._fetch(self._artifact)
        if manifest.strategy != self._strategy_name:
            raise BadRequest(
                f"freqai.model: it was trained with the strategy {manifest.strategy}, and a model knows the features of its strategy only"
            )
        if merged.get("freqaimodel", manifest.model) != manifest.model:
            raise BadRequest(f"freqaimodel: the model is a {manifest.model}; leave this key out")
        fixed = {"enabled": True, "identifier": manifest.identifier}
        return {**merged, "freqaimodel": manifest.model, "freqai": {**deep_merge_dicts(freqai, deepcopy(manifest.freqai)), **fixed}}

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """While inside, FreqAI loads the model's windows and can't train one."""
        if self._manifest is None:
            yield
            return
        refusal: DoesNotFit | None = None
        with adapted_models(self._adapt):
            try:
                yield
            except DoesNotFit as exc:
                refusal = exc
        if refusal is not None:
            raise BadRequest(str(refusal))

    def check(self, backtesting: Any) -> None:
        """See that the model fits, before anything runs; without one, that a backtest which trains by itself comes to an end.

        Raises:
            BadRequest: names the keys that change the features, or the windows that the model wasn't trained for, or a period that makes no windows.
        """
        if (manifest := self._manifest) is None:
            if backtesting.config.get("freqai", {}).get("enabled"):
                check_periods(backtesting.config)
            return
        lines = _different_features(backtesting.config, manifest)
        if lines:
            raise BadRequest("the model was trained with other features; leave these keys out, or train with them:\n  " + "\n  ".join(lines))
        trained = set(manifest.windows)
        missing = [window for window in planned_windows(backtesting) if TrainedWindow.of(window) not in trained]
        if missing:
            rows = [f"{window.pair} trained on {window.trains_on}" for window in missing[:SHOWN]]
            more = [f"and {len(missing) - SHOWN} more"] if len(missing) > SHOWN else []
            raise BadRequest(
                f"freqai.model: it has no model for {len(missing)} windows of this backtest:\n  " + "\n  ".join([*rows, *more, _held(manifest)])
            )

    def facts(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """What a result says about it, with a notice for each code file that isn't the training's."""
        if self._manifest is None or self._artifact is None:
            return {}
        then, now = self._manifest.inputs.get("code", {}), manifest["code"]
        return {
            "trained_model": {
                "name": self._artifact.name,
                "uri": self._artifact.uri,
                "sha256": self._artifact.sha256,
                "task_id": self._manifest.task_id,
                "model": self._manifest.model,
                "predicted_windows": self.predictions,
                "changed_code": sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name)),
                "changed_versions": sorted(
                    name for name, version in self._manifest.inputs.get("versions", {}).items() if manifest["versions"].get(name) != version
                ),
            }
        }

    def _fetch(self, artifact: Artifact) -> ModelManifest:
        run = self._running
        assert isinstance(run.settings, FreqAISettings)
        key = read_key(run.settings.signing_key)
        archive = run.job.artifacts.get(artifact, run.workspace.root / "model.zip")
        aside = run.workspace.root / "model"
        manifest = unpack(archive, run.workspace.empty(aside), key)
        archive.unlink()
        folder: Path = run.workspace.models / manifest.identifier
        aside.replace(run.workspace.empty(folder))
        return manifest

    def _adapt(self, model: Any) -> None:
        predict = model.predict

        def predict_if_it_fits(unfiltered_df: Any, dk: Any, **kwargs: Any) -> Any:
            dk.find_features(unfiltered_df)
            if difference := _difference(dk.training_features_list, dk.data["training_features_list"]):
                raise DoesNotFit(f"strategy_name: it makes other features than those that the model was trained with: {difference}")
            self.predictions += 1
            return predict(unfiltered_df, dk, **kwargs)

        def refuse_to_train(_: Any, pair: str, dk: Any, **__: Any) -> Any:
            raise DoesNotFit(f"freqai.model: it has no model for {pair}, {dk.data_path.name}")

        model.predict, model.train = predict_if_it_fits, refuse_to_train
        loaded_exactly(model)


def claim_check(value: Any) -> Artifact:
    """The claim check that a call's config holds.

    Raises:
        BadRequest: names what is wrong.
    """
    try:
        return Artifact.model_validate(value)
    except ValidationError as exc:
        wrong = ", ".join(sorted({str(error["loc"][0]) for error in exc.errors(include_input=False) if error["loc"]})) or "it is no object"
        raise BadRequest(
            f"freqai.model: must be the model_artifact of a training's result, {{name, uri, size, sha256, media_type}}; wrong or missing: {wrong}"
        ) from None


def features_of(config: dict[str, Any]) -> dict[str, Any]:
    """What decides which features there are and how a model sees them, by the key of the config."""
    freqai = config["freqai"]
    parameters = {f"freqai.feature_parameters.{key}": value for key, value in freqai["feature_parameters"].items() if key not in WITHOUT_EFFECT}
    others = {f"freqai.{key}": freqai.get(key) for key in ("conv_width", "keras", "rl_config", "reduce_df_footprint")}
    return parameters | others | {"timeframe": config["timeframe"]}


def _different_features(config: dict[str, Any], manifest: ModelManifest) -> list[str]:
    now, then = features_of(config), features_of({"freqai": manifest.freqai, "timeframe": manifest.timeframe})
    return [
        f"{key}: is {then[key]!r} in the model" if key in then else f"{key}: isn't in the model"
        for key in sorted(now.keys() | then.keys())
        if now.get(key) != then.get(key)
    ]


def _difference(now: list[str], then: list[str]) -> str:
    if now == then:
        return ""
    extra, lacking = [name for name in now if name not in then], [name for name in then if name not in now]
    if not extra and not lacking:
        return "the same names in another order"
    parts = [
        f"{word} {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        for word, names in (("new", extra), ("gone", lacking))
        if names
    ]
    return "; ".join(parts)


def _held(manifest: ModelManifest) -> str:
    pairs = sorted({window.pair for window in manifest.windows})
    first, last = (choose(manifest.windows, key=lambda window: window.train_stop) for choose in (min, max))
    return (
        f"it has {len(manifest.windows)} models, of {', '.join(pairs)}, trained on days from {moment(first.train_start)} to {moment(last.train_stop)}"
    )
