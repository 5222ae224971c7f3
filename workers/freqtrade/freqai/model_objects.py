"""Getting hold of FreqAI's model object: freqtrade makes it by itself, deep inside, when the strategy starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def adapted_models(adapt: Callable[[Any], None]) -> Iterator[None]:
    """Call `adapt` with each model object as soon as freqtrade has made it: one a run.

    What `adapt` sets on the object goes before the methods of its class, whichever that is, so no user has to change theirs.
    """
    from freqtrade.resolvers.freqaimodel_resolver import FreqaiModelResolver

    load = FreqaiModelResolver.load_freqaimodel

    def load_and_adapt(config: dict[str, Any]) -> Any:
        model = load(config)
        adapt(model)
        return model

    FreqaiModelResolver.load_freqaimodel = staticmethod(load_and_adapt)
    try:
        yield
    finally:
        FreqaiModelResolver.load_freqaimodel = staticmethod(load)


def loaded_exactly(model: Any) -> None:
    """Let the model object load stored models so that they are what they were.

    FreqAI reads a model's metadata with rapidjson's fast numbers, which are off by the last bit at times: means and deviations of the labels, and trades
    that hang on them. And of each pair it remembers the first model that it loaded, where continual learning goes on from the last.
    """
    load = model.dd.load_data

    def load_data(pair: str, dk: Any) -> Any:
        loaded = load(pair, dk)
        metadata = dk.data_path / f"{dk.model_filename}_metadata.json"
        if pair not in model.dd.meta_data_dictionary:  # else it is from memory, and exact
            dk.data = json.loads(metadata.read_text(encoding="utf-8"))
        model.dd.model_dictionary[pair] = loaded
        return loaded

    model.dd.load_data = load_data
