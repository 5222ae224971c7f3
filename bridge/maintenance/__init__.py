"""Upkeep: what has to be done now and then. One work a module, the list of them in `registry`; `turns` sees that one process does each at a time.

The bridge does it by itself, so that a project needs no beat for it; with `BRIDGE_UPKEEP=beat` Celery tasks do it (`beat`).
"""

from bridge.maintenance.promoting import promote_due
from bridge.maintenance.repairing import repair_open
from bridge.maintenance.trimming import trim_done

__all__ = ["promote_due", "repair_open", "trim_done"]
