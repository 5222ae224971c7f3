"""The whole system on one machine: a server, a Celery worker, beat, the bridge, a backtesting worker and Flower.

`python -m tasks.local_stack` (`make up`) runs it in the foreground; `LocalStack` does the same for the demo and the acceptance tests.
"""

from __future__ import annotations

from tasks.local_stack.process import ProcessEnded, StackProcess
from tasks.local_stack.programs import Program, Side, default_programs
from tasks.local_stack.stack import LocalStack

__all__ = ["LocalStack", "ProcessEnded", "Program", "Side", "StackProcess", "default_programs"]
