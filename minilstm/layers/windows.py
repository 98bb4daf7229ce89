"""Windows over time: the geometry that convolution and pooling share.

A window sees ``size`` steps, ``dilation`` apart; the next window starts ``stride`` steps later. For a row of n steps,
with span = (size - 1) dilation + 1, the number of steps from a window's first to its last::

    padding   windows                        zeros before the row, left
    valid     (n - span) // stride + 1       0, since windows lie within the row
    same      ceil(n / stride)               max(0, (windows - 1) stride + span - n) // 2
    causal    ceil(n / stride)               span - 1, so that no window sees what comes later

There is always at least one window; a row that is too short for one is extended by zeros.

Here n is each row's own length, so a row gives the same windows whatever the padding of its batch. ``frame`` lays the
rows into an array with room for their zeros, each row after ``left`` zeros of its own. Two rows of 5 and 3 steps, with
size 3, stride 2 and padding "same"::

    . a b c d e .        windows  .ab  bcd  de.         left = max(0, 2*2 + 3 - 5) // 2 = 1
    . f g h . . .        windows  .fg  gh.              left = max(0, 1*2 + 3 - 3) // 2 = 1

``tap`` k is the k-th step of all windows of all rows, one slice of the frame: tap 0 is . b d and . g (and whatever
follows the second row's windows).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array, Lengths


class Windows(NamedTuple):
    """How windows lie over a row."""

    size: int
    stride: int = 1
    dilation: int = 1
    padding: str = "valid"

    @property
    def span(self) -> int:
        """The number of steps from the first to the last that a window sees."""
        return (self.size - 1) * self.dilation + 1

    def count(self, n: Any) -> Any:
        """Count the windows of a row of n steps; n is a number, an array of them, or None if unknown."""
        if n is None:
            return None
        windows = (n - self.span) // self.stride + 1 if self.padding == "valid" else -(-n // self.stride)
        return np.maximum(1, windows) if isinstance(n, np.ndarray) else max(1, windows)

    def left(self, n: Array) -> Array:
        """Count the zeros before rows of n (B,) steps."""
        if self.padding == "valid":
            return np.zeros_like(n)  # (B,)
        if self.padding == "causal":
            return np.full_like(n, self.span - 1)  # (B,)
        return np.maximum(0, (self.count(n) - 1) * self.stride + self.span - n) // 2  # (B,)

    def frame(self, x: Array, lengths: Lengths, fill: float = 0) -> Array:
        """Lay the rows of x (B, T, ...) into a frame (B, T_frame, ...), with ``fill`` around them."""
        B, T, *features = x.shape
        n = np.full(B, T) if lengths is None else lengths  # (B,)
        left = self.left(n)  # (B,)
        T_frame = max((self.count(T) - 1) * self.stride + self.span, T + left.max(initial=0))
        frame = np.full((B, T_frame, *features), fill, x.dtype)  # (B, T_frame, ...)
        for b in range(B):
            frame[b, left[b] : left[b] + n[b]] = x[b, : n[b]]
        return frame

    def unframe(self, frame: Array, lengths: Lengths, T: int) -> Array:
        """Take the rows out of a frame (B, T_frame, ...) again: (B, T, ...), with zeros as padding."""
        B, _, *features = frame.shape
        n = np.full(B, T) if lengths is None else lengths  # (B,)
        x = np.zeros((B, T, *features), frame.dtype)  # (B, T, ...)
        for b, start in enumerate(self.left(n)):
            x[b, : n[b]] = frame[b, start : start + n[b]]
        return x

    def tap(self, frame: Array, k: int, T_out: int) -> Array:
        """Take step k of all T_out windows: a view (B, T_out, ...) into the frame."""
        first = k * self.dilation
        return frame[:, first : first + (T_out - 1) * self.stride + 1 : self.stride]  # (B, T_out, ...)
