"""The shards of a batch, shared by the cores."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits


@contextlib.contextmanager
def threads() -> Iterator[Callable[..., Iterable[Any]]]:
    """Give a ``map`` whose work MINILSTM_THREADS threads share, or as many as there are cores; BLAS starts none.

    The threads warn of an overflow as the caller's ``np.errstate`` says.

    Raises:
        ValueError: MINILSTM_THREADS is not an integer of at least 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = os.environ.get("MINILSTM_THREADS", str(cores))
    if not count.isdecimal() or count == "0":
        raise ValueError(f"MINILSTM_THREADS is {count!r}, expected an integer of at least 1")
    keep_memory()
    errors = np.geterr()
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(int(count), initializer=lambda: np.seterr(**errors)) as pool:
        yield map if count == "1" else pool.map


def keep_memory() -> None:
    """Let glibc keep the memory of arrays that were freed: a step needs as much again, and new memory costs time.

    Otherwise 14 % of the time is spent in the operating system. On other systems this does nothing.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-8, 1)  # M_ARENA_MAX: one store for all threads, since that of a single thread ends at 64 MB
        mallopt(-3, 1 << 25)  # M_MMAP_THRESHOLD: only larger blocks are given back at once
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: give the rest back only beyond a GB
