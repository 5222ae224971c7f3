"""Progress by iteration, from the libraries that call back: LightGBM and XGBoost. A callback only looks, so no number changes."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

Tell = Callable[[int, int], None]
"""Called with the iterations done and their number."""

LIGHTGBM = ("lightgbm.engine", "lightgbm.sklearn", "lightgbm")
XGBOOST = ("xgboost.training", "xgboost.sklearn", "xgboost")
"""Modules whose `train` all fitting goes through, the scikit-learn classes' too; a model's file that says `from lightgbm import train` gets ours, as it is
loaded later."""

for _name in (*LIGHTGBM, *XGBOOST):  # here, so that a warm child server imports them once
    with suppress(ImportError):
        importlib.import_module(_name)


@contextmanager
def iterations_told(tell: Tell) -> Iterator[None]:
    """While inside, each iteration of a training calls `tell`, which may raise to end it."""
    with ExitStack() as stack:
        for modules, wrap in ((LIGHTGBM, _lightgbm), (XGBOOST, _xgboost)):
            try:
                loaded = [importlib.import_module(name) for name in modules]
            except ImportError:  # not installed here
                continue
            train = loaded[0].train
            told = wrap(train, tell)
            for module in loaded:
                module.train = told  # type: ignore[attr-defined]
                stack.callback(setattr, module, "train", train)
        yield


def _lightgbm(train: Callable[..., Any], tell: Tell) -> Callable[..., Any]:
    signature = inspect.signature(train)

    @functools.wraps(train)
    def train_and_tell(*args: Any, **kwargs: Any) -> Any:
        def look(env: Any) -> None:
            tell(env.iteration - env.begin_iteration + 1, env.end_iteration - env.begin_iteration)

        look.before_iteration = False  # type: ignore[attr-defined]
        given = signature.bind(*args, **kwargs)
        given.arguments["callbacks"] = [*(given.arguments.get("callbacks") or []), look]
        return train(*given.args, **given.kwargs)

    return train_and_tell


def _xgboost(train: Callable[..., Any], tell: Tell) -> Callable[..., Any]:
    from xgboost.callback import TrainingCallback

    @functools.wraps(train)
    def train_and_tell(params: Any, dtrain: Any, num_boost_round: int = 10, *args: Any, callbacks: Any = None, **kwargs: Any) -> Any:
        class Look(TrainingCallback):
            done = 0

            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 - xgboost's signature
                self.done += 1  # epoch goes on counting where another model ended
                tell(self.done, num_boost_round)
                return False

        return train(params, dtrain, num_boost_round, *args, callbacks=[*(callbacks or []), Look()], **kwargs)

    return train_and_tell
