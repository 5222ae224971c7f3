"""Celery's remote control, as far as it is about jobs and their workers."""
