"""This deployment's Celery application: `celery -A tasks worker|beat|bridge|flower`."""

from tasks.celery import app

__all__ = ["app"]
