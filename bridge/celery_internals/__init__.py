"""All that touches what Celery does not promise to keep. Read and tried against celery 5.7.0; `names` lists every such name, and a test tells which one moved.

- `dispatching`: the tracer runs a bridged task when its outcome is known; a Celery worker only dispatches it, so that every signal, handler and event comes once.
- `resuming`: a request made again from what dispatch remembered, run through Celery's own tracer (resume by tracing).
- `revoked`: REVOKED as a Celery worker announces it, and the rest of a chain, which Celery itself leaves PENDING.
- `backends`: the result backend, fenced; `servers`: what is wrong when only a server is away.
"""
