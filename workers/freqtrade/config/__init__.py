"""A job's config: which keys a call may bring, how it lies over the worker's own, and what may travel at all."""
