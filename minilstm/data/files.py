"""Putting a file in the place of another in one step, so that nobody ever meets half a file."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from minilstm.data.paths import locked, unwritable


def replace_file(path: Path, data: bytes) -> None:
    """Replace the file at ``path`` by one with these bytes, or raise an OSError and leave it as it is.

    What killed processes left in its folder while they did the same is removed.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".minilstm-{secrets.token_hex(8)}.tmp")
    with unwritable(path), locked(temporary, wait=True) as lockable:
        for left in target.parent.glob(".minilstm-*.tmp") if lockable else ():
            with contextlib.suppress(OSError), locked(left):
                pass  # nobody holds it any more; leaving the block removes it
        with temporary.open("wb") as file:
            if target.exists():
                target.open("r+b").close()  # a file that is write-protected stays
                temporary.chmod(target.stat().st_mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    with contextlib.suppress(OSError):  # not every system can; the move into place may then wait for its next sync
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
