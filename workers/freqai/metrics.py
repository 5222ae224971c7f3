"""What is worth knowing of a trained model: what its library says, and its error on the rows that it didn't learn from."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from pandas.api.types import is_numeric_dtype

from workers.freqtrade.json_safe import json_safe

FROM_LIBRARIES = ("best_score_", "best_score", "best_iteration_", "best_iteration", "n_iter_", "oob_score_")
"""LightGBM's, XGBoost's and scikit-learn's names."""
IMPORTANCES = 20

logger = logging.getLogger(__name__)


def train_metrics(model: Any, dk: Any) -> dict[str, Any]:
    """Rows, features, what the library tells, and the hold-out's error.

    Args:
        model: what the FreqAI model's `fit` returned.
        dk: FreqAI's data kitchen of the window.
    """
    data = dk.data_dictionary
    return {
        "train_rows": _rows(data.get("train_features")),
        "test_rows": _rows(data.get("test_features")),
        "features": len(dk.training_features_list),
        "labels": list(dk.label_list),
        "library": {name.rstrip("_"): json_safe(value) for name in FROM_LIBRARIES if (value := _attribute(model, name)) is not None},
        "test": _test_error(model, dk),
    }


def importances(model: Any, dk: Any) -> list[dict[str, Any]]:
    """The features that the model leans on most; empty where the library doesn't say."""
    values, names = _attribute(model, "feature_importances_"), list(dk.data_dictionary["train_features"].columns)
    if values is None or len(values) != len(names):
        return []
    ranked = sorted(zip(names, values, strict=True), key=lambda item: -item[1])
    return [{"feature": name, "importance": json_safe(value)} for name, value in ranked[:IMPORTANCES]]


def _attribute(model: Any, name: str) -> Any:
    try:
        return getattr(model, name, None)
    except Exception:  # noqa: BLE001 - scikit-learn's properties raise for what wasn't asked for
        return None


def _rows(frame: Any) -> int:
    return 0 if frame is None else len(frame)


def _test_error(model: Any, dk: Any) -> dict[str, Any] | None:
    """By label: `rmse` and `mae` in the label's own unit, or `accuracy` of a classifier. None without a hold-out, or for a model of another shape."""
    labels, features = dk.data_dictionary.get("test_labels"), dk.data_dictionary.get("test_features")
    if features is None or not len(features) or not hasattr(labels, "columns"):
        return None
    try:
        predicted = np.asarray(model.predict(features)).reshape(len(features), -1)
        if all(is_numeric_dtype(labels[name]) for name in labels):
            return _regression(predicted, labels, dk)
        return _classification(predicted, labels, dk.data_dictionary["train_labels"])
    except Exception:
        logger.exception("the error on the hold-out isn't known")
        return None


def _regression(predicted: Any, labels: Any, dk: Any) -> dict[str, Any] | None:
    # Labels are scaled for the training; the pipeline of the same window takes both back.
    guess, _, _ = dk.label_pipeline.inverse_transform(type(labels)(predicted, columns=labels.columns))
    truth, _, _ = dk.label_pipeline.inverse_transform(labels.copy())
    errors = np.asarray(guess, dtype=float) - np.asarray(truth, dtype=float)
    return {
        name: {"rmse": json_safe(np.sqrt(np.mean(errors[:, at] ** 2))), "mae": json_safe(np.mean(np.abs(errors[:, at])))}
        for at, name in enumerate(labels.columns)
    }


def _classification(predicted: Any, labels: Any, train_labels: Any) -> dict[str, Any]:
    accuracy = {}
    for at, name in enumerate(labels.columns):
        guess = predicted[:, at]
        if guess.dtype.kind in "iuf":  # some of freqtrade's classes number the classes in their sorted order
            guess = np.asarray(sorted(set(train_labels[name])))[guess.astype(int)]
        accuracy[name] = {"accuracy": json_safe(np.mean(guess == labels[name].to_numpy()))}
    return accuracy
