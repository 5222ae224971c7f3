"""What people look at: a page for each run, in one file that asks nobody for anything, and the index of all runs at the root of the artifact store.

An engine calls `publish` once its result is there:

    result["artifacts"] += publish(job, kind=Kind.BACKTEST, result=result, details=details)

No page is worth a job: what goes wrong while drawing is logged and told in the result as `report_error`.
"""

from __future__ import annotations

from workers.reports.publishing import publish
from workers.reports.record import Kind

__all__ = ["Kind", "publish"]
