"""Every name of Celery, kombu and billiard that the bridge uses and their documentation doesn't promise, so that a release that moves one is found out by
name (`moved()`; `tests/unit/bridge/test_celery_internals.py`) and not by a job that hangs.

They are used in this package; the remote control's in `bridge.remote_control.inspecting`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Name:
    """One of them."""

    module: str
    path: str
    """Of a function or class, or of an attribute of a class."""
    takes: tuple[str, ...] = ()
    """Parameters that we pass, or that are passed to us where we override it."""
    optional: bool = False
    """Its module needs a package that need not be there."""


NAMES: Final = (
    # The tracer and the stacks that it keeps.
    Name("celery.app.trace", "build_tracer", ("name", "task", "loader", "hostname", "app")),
    Name("celery.app.trace", "trace_ok_t", ("retval", "info", "runtime", "retstr")),
    Name("celery._state", "_task_stack"),
    Name("celery.app.task", "Task.__trace__"),
    Name("celery.app.task", "Task.request_stack"),
    Name("celery.app.task", "Task.Request"),
    Name("celery.app.task", "Task.signature_from_request", ("request",)),
    Name("celery.app.task", "Context"),
    Name("celery.app.task", "Context._children"),
    Name("billiard.einfo", "ExceptionInfo"),
    Name("billiard.einfo", "ExceptionWithTraceback.exc"),
    # A worker's request.
    Name("celery.worker.request", "Request", ("message", "hostname", "eventer", "app", "headers", "body", "decoded", "task")),
    Name("celery.worker.request", "Request._context"),
    Name("celery.worker.request", "Request._payload"),
    Name("celery.worker.request", "Request._already_revoked"),
    Name("celery.worker.request", "Request._announce_revoked", ("reason", "terminated", "signum", "expired")),
    Name("celery.worker.request", "Request.on_failure", ("exc_info", "send_failed_event", "return_ok")),
    Name("celery.worker.request", "Request.on_retry", ("exc_info",)),
    Name("celery.worker.request", "Request.on_success", ("failed__retval__runtime",)),
    Name("celery.worker.request", "Request.send_event", ("type",)),
    Name("celery.worker.request", "Request.time_limits"),
    Name("celery.worker.request", "Request.request_dict"),
    Name("celery.worker.request", "Request.acknowledged"),
    Name("celery.worker.state", "task_ready"),
    Name("celery.worker.state", "should_stop"),
    Name("celery.worker.state", "should_terminate"),
    Name("celery.concurrency.thread", "TaskPool.on_stop"),
    Name("celery.platforms", "signals"),
    Name("celery.events.event", "Event", ("type",)),
    # Result backends.
    Name("celery.app.base", "Celery._get_backend"),
    Name("celery.app.base", "Celery._backend"),
    Name("celery.backends.base", "Backend.mark_as_failure", ("task_id", "exc")),
    Name("celery.backends.base", "Backend._fail_chain", ("chain", "exc", "state")),
    Name("celery.backends.base", "Backend.chord_error_from_stack", ("callback", "exc")),
    Name("celery.backends.base", "Backend.on_chord_part_return", ("request", "state", "result")),
    Name("celery.backends.base", "Backend._ensure_retryable", ("func",)),
    Name("celery.backends.base", "Backend.store_result", ("task_id", "result", "state", "traceback", "request")),
    Name("celery.backends.base", "BaseKeyValueStoreBackend._store_result", ("task_id", "result", "state", "traceback", "request")),
    Name("celery.backends.base", "BaseKeyValueStoreBackend._get_task_meta_for", ("task_id",)),
    Name("celery.backends.base", "BaseKeyValueStoreBackend.implements_incr"),
    Name("celery.backends.base", "BaseKeyValueStoreBackend.get_key_for_task", ("task_id",)),
    Name("celery.backends.base", "BaseKeyValueStoreBackend.get_key_for_group", ("group_id", "key")),
    Name("celery.backends.base", "DisabledBackend"),
    Name("celery.backends.redis", "RedisBackend.failure_expires"),
    Name("celery.backends.redis", "RedisBackend._set_with_state", ("key", "value", "state")),
    Name("celery.backends.redis", "RedisBackend.client"),
    Name("celery.backends.database", "DatabaseBackend._store_result", ("task_id", "result", "state", "traceback", "request"), optional=True),
    Name("celery.backends.database", "DatabaseBackend._update_result", ("task", "result", "state", "traceback", "request"), optional=True),
    # Remote control, nodes and the command line.
    Name("celery.worker.control", "Panel.data"),
    Name("celery.worker.control", "control_command"),
    Name("celery.worker.control", "inspect_command"),
    Name("kombu.pidbox", "Node.handle_message", ("body", "message")),
    Name("kombu.pidbox", "Node.reply", ("data", "exchange", "routing_key", "ticket")),
    Name("kombu.pidbox", "Mailbox.node_cls"),
    Name("kombu.matcher", "match"),
    Name("kombu.transport.redis", "Channel.get_table", ("exchange",)),
    Name("celery.worker.consumer.tasks", "Tasks"),
    Name("celery.bin.base", "CeleryDaemonCommand"),
    Name("celery.bin.base", "CeleryOption"),
    Name("celery.bin.base", "LOG_LEVEL"),
    # Small functions that nobody documents.
    Name("celery.result", "result_from_tuple", ("r", "app")),
    # A chord whose parts may fail.
    Name("celery", "chord.run"),
    Name("celery.result", "GroupResult.maybe_throw", ("callback", "propagate")),
    Name("celery.result", "AsyncResult._maybe_reraise_parent_error"),
    Name("celery.utils.functional", "maybe_list"),
    Name("celery.utils.nodenames", "default_nodename"),
    Name("celery.utils.nodenames", "host_format"),
    Name("celery.utils.saferepr", "saferepr"),
    Name("celery.utils.time", "maybe_iso8601"),
    Name("celery.utils.time", "maybe_make_aware"),
    Name("kombu.utils.json", "dumps"),
    Name("kombu.utils.json", "loads"),
)


def moved() -> list[str]:
    """A line for each name that the installed Celery, kombu or billiard doesn't have, or that takes other parameters."""
    return [line for name in NAMES for line in _moved(name)]


def _moved(name: Name) -> Iterator[str]:
    try:
        found: Any = importlib.import_module(name.module)
    except Exception as exc:  # noqa: BLE001 - Celery raises its own when SQLAlchemy isn't there
        if not name.optional:
            yield f"{name.module} can't be imported: {exc}"
        return
    owner, *rest = name.path.split(".")
    if not hasattr(found, owner):
        yield f"{name.module} has no {owner}"
        return
    found = getattr(found, owner)
    for attribute in rest:
        if not _has(found, attribute):
            yield f"{name.module}.{owner} has no {attribute}"
            return
        found = getattr(found, attribute, None)
    missing = [parameter for parameter in name.takes if parameter not in _parameters(found)]
    if missing:
        yield f"{name.module}.{name.path} no longer takes {', '.join(missing)}"


def _has(owner: Any, attribute: str) -> bool:
    """Also what only its instances have: then a method of it, or of a base, names it."""
    if hasattr(owner, attribute):
        return True
    functions = (function for base in getattr(owner, "__mro__", ()) for function in vars(base).values() if inspect.isfunction(function))
    return any(attribute in function.__code__.co_names for function in functions)


def _parameters(found: Any) -> set[str]:
    return set(getattr(found, "_fields", ())) | set(inspect.signature(found).parameters)
