"""The public spelling: what `@handler` takes from the function that it decorates."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

import workers
from workers import BadRequest, Job, handler
from workers.handlers import HANDLERS, Isolation

if TYPE_CHECKING:
    from fractions import Fraction


class Render(BaseModel):
    scene: str
    frames: int = 240


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    before = dict(HANDLERS)
    yield
    HANDLERS.clear()
    HANDLERS.update(before)


def test_what_a_module_of_handlers_needs_comes_from_one_place() -> None:
    assert {"handler", "Job", "SoftTimeLimit", "Retryable", "JobCancelled"} <= set(workers.__all__)
    assert all(getattr(workers, name) is not None for name in workers.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Handler'"):
        _ = workers.Handler


def test_the_model_of_the_params_is_the_annotation_of_the_second_parameter() -> None:
    @handler("x.run")
    def run(job: Job, params: Render) -> None: ...

    registered = HANDLERS["x.run"]
    assert (registered.params, registered.isolation) == (Render, Isolation.PROCESS)
    assert registered.parse({"scene": "intro"}) == Render(scene="intro")
    with pytest.raises(BadRequest, match="scene: Field required"):
        registered.parse({"frames": 1})


def test_a_decorated_or_async_function_is_looked_through() -> None:
    def decorated(function: Any) -> Any:
        @wraps(function)
        def run(job: Any, params: Any) -> Any: ...

        return run

    @handler("x.run", isolation="inline")
    @decorated
    async def run(job: Job, params: Render) -> None: ...

    assert (HANDLERS["x.run"].params, HANDLERS["x.run"].isolation) == (Render, Isolation.INLINE)


@pytest.mark.parametrize("annotation", ["dict", "dict[str, Any]", "Any", "Decimal", Decimal, dict[str, Any]])
def test_any_other_annotation_leaves_the_data_as_it_is(annotation: Any) -> None:
    def run(job: Job, params: Any) -> None: ...

    run.__annotations__["params"] = annotation
    handler("x.run")(run)
    assert HANDLERS["x.run"].parse({"a": 1}) == {"a": 1}


def test_an_annotation_that_is_only_for_type_checkers_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'params', Fraction, isn't known at run time .*TYPE_CHECKING"):

        @handler("x.run")
        def run(job: Job, params: Fraction) -> None: ...


def test_a_function_that_is_no_handler_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes \(job, params\), not 1"):

        @handler("x.run")
        def run(job: Job) -> None: ...


def test_an_isolation_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'container'"):

        @handler("x.run", isolation="container")  # type: ignore[arg-type]
        def run(job: Job, params: dict[str, Any]) -> None: ...
