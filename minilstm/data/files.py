"""Putting a file in the place of another in one step, so that nobody ever meets half a file."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Put a file with these bytes in the place of the one at ``path``, or raise an OSError and leave that one."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".minilstm-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            if target.exists():
                target.open("r+b").close()  # a file that is write-protected stays
                temporary.chmod(target.stat().st_mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    with contextlib.suppress(OSError):  # not every system can; the move into place may then wait for its next sync
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
