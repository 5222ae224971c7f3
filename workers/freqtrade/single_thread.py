"""One thread a process, set before numpy and pyarrow are imported: a server forks job after job, and a fork copies one thread only.

Several jobs at a time use the cores already; a pool of threads in each makes all of them slower.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# LightGBM's scikit-learn classes take all cores that joblib counts, whatever OpenMP was told.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")
# pyarrow's allocator starts a thread of its own when the library is loaded.
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
