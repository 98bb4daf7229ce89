"""Windows over time: the geometry that convolution and pooling share.

A window sees ``size`` steps, ``dilation`` apart; from one window to the next it moves on by ``stride`` steps. For a
row of n steps, with span = (size - 1) dilation + 1, the steps from a window's first to its last::

    padding   windows                        zeros in front, left
    valid     (n - span) // stride + 1       0, since windows lie within the row
    same      ceil(n / stride)               max(0, (windows - 1) stride + span - n) // 2
    causal    ceil(n / stride)               span - 1, so that no window sees what comes later

There is always one window at least: a row that is too short for it is padded up with zeros behind.

The n is each row's own length, so a row gives the same windows whatever the padding of its batch. ``frame`` lays the
rows into an array with room for their zeros, each row behind its own ``left``. Two rows of 5 and 3 steps, with size 3,
stride 2 and padding "same"::

    . a b c d e .        windows  .ab  bcd  de.         left = max(0, 2*2 + 3 - 5) // 2 = 1
    . f g h . . .        windows  .fg  gh.              left = max(0, 1*2 + 3 - 3) // 2 = 1

``tap`` k is the k-th step of all windows of all rows, one slice of the frame: tap 0 is . b d and . g (and what lies
behind the second row's windows).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minilstm.layer import Array, Lengths


class Windows(NamedTuple):
    """How windows lie over a row."""

    size: int
    stride: int = 1
    dilation: int = 1
    padding: str = "valid"

    @property
    def span(self) -> int:
        """Steps from the first to the last that a window sees."""
        return (self.size - 1) * self.dilation + 1

    def count(self, n: Any) -> Any:
        """How many windows a row of n steps has; n is a number, an array of them, or None for not known."""
        if n is None:
            return None
        windows = (n - self.span) // self.stride + 1 if self.padding == "valid" else -(-n // self.stride)
        return np.maximum(1, windows) if isinstance(n, np.ndarray) else max(1, windows)

    def left(self, n: Array) -> Array:
        """How many zeros stand in front of rows of n (B,) steps."""
        if self.padding == "valid":
            return np.zeros_like(n)  # (B,)
        if self.padding == "causal":
            return np.full_like(n, self.span - 1)  # (B,)
        return np.maximum(0, (self.count(n) - 1) * self.stride + self.span - n) // 2  # (B,)

    def frame(self, index: Array, lengths: Lengths) -> Array:
        """Lay rows ``index`` (B, T) into a frame (B, T_frame), with -1 around them."""
        B, T = index.shape
        n = np.full(B, T) if lengths is None else lengths  # (B,)
        T_frame = max((self.count(T) - 1) * self.stride + self.span, T + self.left(n).max(initial=0))
        frame = np.full((B, T_frame), -1, index.dtype)  # (B, T_frame)
        for b, start in enumerate(self.left(n)):
            frame[b, start : start + n[b]] = index[b, : n[b]]
        return frame

    def tap(self, frame: Array, k: int, T_out: int) -> Array:
        """Step k of all T_out windows: a view (B, T_out) into the frame."""
        first = k * self.dilation
        return frame[:, first : first + (T_out - 1) * self.stride + 1 : self.stride]  # (B, T_out)

    def places(self, index: Array, lengths: Lengths) -> Array:
        """Tell what the taps see: at (B, T_out, K), entries of ``index`` (B, T), or -1 for the zeros around a row.

        What stands there for the windows behind a row's last means nothing.
        """
        T_out = self.count(index.shape[1])
        frame = self.frame(index, lengths)  # (B, T_frame)
        return np.stack([self.tap(frame, k, T_out) for k in range(self.size)], axis=2)  # (B, T_out, K)
