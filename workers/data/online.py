"""freqtrade's own exchange, with the network: how it is made, how a request that waits is broken off, and what its errors mean for the job."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ccxt
from freqtrade.exceptions import ExchangeError, TemporaryError

from workers.errors import BadRequest, JobFailure, Retryable
from workers.freqtrade.exchange import exchange_class
from workers.job import Job

NEEDS_ACCOUNT = (ccxt.AuthenticationError, ccxt.PermissionDenied, ccxt.AccountNotEnabled)


@contextmanager
def online_exchange(config: dict[str, Any], job: Job) -> Iterator[Any]:
    """The exchange with its markets loaded; a request that waits ends when the job is cancelled.

    Raises:
        Retryable: the exchange can't be reached, or asks for patience.
        BadRequest: freqtrade or the exchange doesn't know what was asked for.
        JobFailure: the exchange gives it to nobody without an account.
    """
    name = config["exchange"]["name"]
    if name not in ccxt.exchanges:
        raise BadRequest(f"exchange: ccxt knows no exchange '{name}'; `freqtrade list-exchanges` lists those that freqtrade works with")
    # No validation: it would load the markets, log a failure and go on without them. Here the failure is the answer.
    exchange = exchange_class(name)(config, validate=False, load_leverage_tiers=False)
    try:
        job.on_cancel(lambda: _break_off(exchange.loop))
        with told_errors(name, job):
            _watch_requests(exchange, job.checkpoint)
            exchange._load_async_markets(reload=True)  # noqa: SLF001 - `reload_markets` logs a failure and goes on
            exchange._markets = exchange._api_async.markets  # noqa: SLF001
            exchange._api.set_markets_from_exchange(exchange._api_async)  # noqa: SLF001
            exchange._api.options = exchange._api_async.options  # noqa: SLF001
            yield exchange
    finally:
        _close(exchange)


@contextmanager
def told_errors(name: str, job: Job) -> Iterator[None]:
    """Translate at the edge."""
    try:
        yield
    except asyncio.CancelledError:
        job.checkpoint()
        raise
    except (ExchangeError, ccxt.BaseError) as exc:
        job.checkpoint()
        raise meaning(name, exc) from exc


def meaning(name: str, error: BaseException) -> Exception:
    """What an error of the exchange means for the job. freqtrade wraps ccxt's own, which tells more."""
    cause = error if isinstance(error, ccxt.BaseError) else (error.__cause__ or error)
    told = f"{name}: {type(cause).__name__}: {cause}"
    if isinstance(cause, NEEDS_ACCOUNT):
        return JobFailure(f"{told}; it needs an account, and the data worker has none")
    if isinstance(cause, ccxt.BadRequest | ccxt.NotSupported | ccxt.BadSymbol):
        return BadRequest(told)
    if isinstance(cause, ccxt.OperationFailed | TemporaryError | TimeoutError):
        return Retryable(told)
    return JobFailure(told)


def _break_off(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what waits on freqtrade's event loop; from another thread. What runs on it next is cancelled too, when nothing does now."""

    def cancel() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()

    with contextlib.suppress(RuntimeError):  # the loop is closed: nothing waits
        loop.call_soon_threadsafe(cancel)


def _close(exchange: Any) -> None:
    try:
        exchange.close()
    except asyncio.CancelledError:  # the cancellation came while nothing ran on the loop, and met this
        exchange.close()


def _watch_requests(exchange: Any, checkpoint: Callable[[], None]) -> None:
    """Look at each request whether the job is cancelled: a download of thousands has a long way to the next file."""
    fetch = exchange._api_async.fetch  # noqa: SLF001 - freqtrade's exchange keeps its ccxt object there

    async def watched(*args: Any, **kwargs: Any) -> Any:
        checkpoint()
        return await fetch(*args, **kwargs)

    exchange._api_async.fetch = watched  # noqa: SLF001
