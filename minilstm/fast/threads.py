"""The shards of a batch, shared by the cores."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - the BLAS of np.dot in a kernel, loaded now so that the next lines find it
from threadpoolctl import ThreadpoolController

from minilstm.arrays import Array

BLAS = ThreadpoolController().select(user_api="blas")  # of NumPy, and of the kernels
LOCK = threading.Lock()
mine = threading.local()  # the blocks of memory that each thread has used so far
running: list[list[int]] = []  # for each call that runs now, the threads of BLAS that the first has found


@contextlib.contextmanager
def threads() -> Iterator[Callable[..., Iterable[Any]]]:
    """Give a ``map`` that uses MINILSTM_THREADS threads, or one for each core.

    Kernels never run in the caller's thread: there, Ctrl-C would come out of a kernel as a SystemError. The threads
    warn of an overflow as the caller's ``np.errstate`` says.

    Raises:
        ValueError: MINILSTM_THREADS is not an integer of at least 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = os.environ.get("MINILSTM_THREADS", str(cores))
    if not count.isdecimal() or count == "0":
        raise ValueError(f"MINILSTM_THREADS is {count!r}, expected an integer of at least 1")
    # Once an array of 32 MB, here an untouched one, was freed, glibc keeps up to 64 MB of freed memory for later steps;
    # otherwise the system takes a tenth of the time of fit or more.
    np.empty((1 << 25) - (1 << 13), np.uint8)
    errors = np.geterr()
    with single_threaded_blas(), ThreadPoolExecutor(int(count), initializer=lambda: np.seterr(**errors)) as pool:
        yield pool.map


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Let BLAS start no threads of its own; the last of all calls that run at once restores what the first found."""
    with LOCK:
        running.append(running[0] if running else [library.num_threads for library in BLAS.lib_controllers])
        set_blas_threads([1] * len(running[0]))
    try:
        yield
    finally:
        with LOCK:
            found = running.pop()
            if not running:
                set_blas_threads(found)


def set_blas_threads(counts: list[int]) -> None:
    """Set them from any thread; threadpoolctl 3.8 otherwise ignores all threads but the first that ever set them."""
    for library, count in zip(BLAS.lib_controllers, counts, strict=True):
        release = getattr(library, "clear_controlling_thread", dict)
        release(force=True)
        library.set_num_threads(count)
        release(force=True)


def memory(count: int, dtype: np.dtype[Any]) -> Array:
    """Return memory for ``count`` numbers, which the system need not clear if the thread has some that nothing uses."""
    blocks, size = mine.__dict__.setdefault("blocks", []), count * dtype.itemsize
    free = [n for n in range(len(blocks)) if sys.getrefcount(blocks[n]) == 2]  # the list's, and that of the call
    block = blocks.pop(free[0]) if free else np.empty(0, np.uint8)
    blocks.append(block if block.nbytes >= size else np.empty(size, np.uint8))
    return blocks[-1][:size].view(dtype)
