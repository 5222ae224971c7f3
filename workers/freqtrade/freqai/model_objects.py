"""Getting hold of FreqAI's model object: freqtrade makes it by itself, deep inside, when the strategy starts."""

from __future__ import annotations

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
