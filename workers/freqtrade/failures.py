"""freqtrade's errors as what they mean for the job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from freqtrade.exceptions import DependencyException, OperationalException, StrategyError

from workers.errors import BadRequest, JobFailure

if TYPE_CHECKING:
    from workers.job import Job


@contextmanager
def translated_failures(job: Job) -> Iterator[None]:
    """Translate at the edge.

    Raises:
        JobCancelled: the job was asked to stop; freqtrade reports that as a DependencyException.
        BadRequest: freqtrade says that the config or the strategy is wrong.
        Exception: the strategy's own, with its own traceback, out of the StrategyError that freqtrade wraps it in.
    """
    try:
        yield
    except JobFailure:
        raise
    except StrategyError as exc:
        job.checkpoint()
        raise (exc.__cause__ or exc) from None
    except OperationalException as exc:
        job.checkpoint()
        raise BadRequest(f"freqtrade: {exc}") from exc
    except DependencyException:
        job.checkpoint()
        raise
