"""Compiling with numba, and where compiled kernels are kept.

numba keeps them next to the source, in the user's cache folder, or in ``NUMBA_CACHE_DIR``. A damaged file there, or a
folder that is full or read-only, must not stop a run: the kernels are compiled again, and kept in a temporary folder
that only this user can write to. A line on stderr says so.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching
from numba.core.serialize import dumps

config: Any = numba.config


@functools.cache
def say_once(message: str) -> None:
    """Print a line to stderr, once; ignore errors, such as a closed or full stderr."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.write(f"minilstm: {message}\n")


class Checksummed(caching.CompileResultCacheImpl):
    """Machine code and its checksum: damaged code would crash the process."""

    def reduce(self, kernel: Any) -> tuple[bytes, bytes]:
        """Serialise a kernel."""
        data = dumps(super().reduce(kernel))
        return hashlib.sha256(data).digest(), data

    def rebuild(self, context: Any, payload: tuple[bytes, bytes]) -> Any:
        """Restore a kernel."""
        digest, data = payload
        if hashlib.sha256(data).digest() != digest:
            raise ValueError("damaged")
        return super().rebuild(context, pickle.loads(data))  # noqa: S301 - only this user can have written it


class Folder(caching.FunctionCache):
    """What is compiled of one function, in one folder."""

    _impl_class = Checksummed


class KernelCache(caching.NullCache):
    """Keeps a compiled kernel in the usual folder, or else in a temporary one."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.usual = self.open(config.CACHE_DIR)

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Load a compiled kernel, or return None where none can be read, so that it is compiled."""
        for folder in self.usual + self.temporary():
            try:
                if (kernel := folder.load_overload(signature, context)) is not None:
                    return kernel
            except Exception:  # a damaged pickle raises almost anything
                say_once(f"the compiled kernels in {folder.cache_path} are damaged, so they are compiled again")
                with contextlib.suppress(OSError):
                    folder.flush()
        with contextlib.suppress(AttributeError, ValueError):
            if sys.stderr.isatty():
                say_once("compiling the kernels, once on this machine: some 10 seconds in all")
        return None

    def save_overload(self, signature: Any, kernel: Any) -> None:
        """Save a compiled kernel in the first folder that takes it."""
        reason, where = "read-only", "nowhere, so each process compiles them"
        for folder in self.usual:
            try:
                folder.save_overload(signature, kernel)
                return
            except Exception as error:
                reason = getattr(error, "strerror", repr(error))
        for folder in self.temporary(create=True):
            with contextlib.suppress(Exception):
                folder.save_overload(signature, kernel)
                where = f"in {folder.cache_path}"
        say_once(
            f"compiled kernels are kept {where}, since their usual folder failed ({reason}); set NUMBA_CACHE_DIR to "
            "a folder with 5 MB of space, or MINILSTM_FAST=0 to run without them"
        )

    def temporary(self, create: bool = False) -> list[Folder]:
        """Open the temporary folder, if there is one that only this user can write to: code is loaded from it."""
        user = os.getuid() if hasattr(os, "getuid") else 0
        with contextlib.suppress(OSError):
            path = Path(tempfile.gettempdir()) / f"minilstm-kernels-{user}"
            if create:
                path.mkdir(0o700, exist_ok=True)
            found = path.lstat()
            private = os.name == "nt" or (found.st_uid == user and not found.st_mode & 0o077)
            return self.open(str(path)) if private and stat.S_ISDIR(found.st_mode) else []
        return []

    def open(self, path: str) -> list[Folder]:
        """Open the cache in a folder, or where numba chooses if ``path`` is empty; an empty list if it is read-only."""
        before, config.CACHE_DIR = config.CACHE_DIR, path
        try:
            return [Folder(self.function)]
        except RuntimeError:  # numba found no folder it may write to
            return []
        finally:
            config.CACHE_DIR = before


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with numba at the first call, or load what an earlier process compiled."""
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}
    kernel = numba.njit(**options)(function)
    kernel._cache = KernelCache(function)
    return kernel
