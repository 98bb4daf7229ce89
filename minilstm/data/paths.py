"""Paths of files to write: which can be written, and which are in use by another process."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows no file is locked
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Lock a file, which is created if need be, against other processes and threads, and remove it afterwards.

    The operating system releases the lock of a process that dies. Yields False, with nothing locked, where the file
    system has no locks.

    Raises:
        BlockingIOError: somebody else holds the lock, and ``wait`` is False.
        OSError: the file cannot be created.
    """
    while True:
        with path.open("ab") as file:
            lockable = fcntl is not None
            try:
                if lockable:
                    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise
            except OSError:
                lockable = False
            if os.fstat(file.fileno()).st_nlink == 0:  # its last holder has just removed it
                continue
            if fcntl is None:
                file.close()  # Windows moves and removes no open file
            try:
                yield lockable
            finally:
                with contextlib.suppress(OSError):
                    path.unlink()
            return


def lock_of(path: Path) -> Path:
    """Return the file to lock for using the file at ``path`` alone: a hidden one in the same folder."""
    target = Path(os.path.realpath(regular(path)))
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]  # long names have no room for an ending
    return target.with_name(f".minilstm-{name}.lock")


@contextlib.contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Name the file and the remedy in an OSError."""
    try:
        yield
    except OSError as error:
        remedy = "check that the folder exists, has room and may be written to, or save elsewhere"
        wrong = f"{error.strerror or error}; an earlier file is unchanged; {remedy}"
        raise OSError(error.errno, wrong, str(path)) from error


def regular(path: str | os.PathLike[str]) -> Path:
    """Return the path, or raise a ValueError if it is a folder or a device."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path is {path!r}, expected the name of a file")
    path = Path(path)
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise ValueError(f"{str(path)!r} contains a character that the name of a file cannot contain")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a folder or a device, expected the name of a file")
    return path
