"""Progress bars on stderr, drawn only where somebody can see them."""

import contextlib
import sys
from typing import Any

from tqdm import tqdm


def progress_bar(shown: bool, *iterable: Any, **settings: Any) -> Any:
    """Make a bar of tqdm's, which is hidden unless stderr is a terminal; it may be None or any other object."""
    terminal = False
    with contextlib.suppress(AttributeError, ValueError):
        terminal = sys.stderr.isatty()
    return tqdm(*iterable, leave=False, disable=not (shown and terminal), **settings)
