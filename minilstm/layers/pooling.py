"""Pooling: keep the largest number or the mean of a window, or of a whole row.

Forward, for window t of a row, which sees the steps w(t) that lie within the row, n_t of them::

    (1)  y_t = max_{j in w(t)} x_j               for each feature on its own; 0 where w(t) is empty
    (2)  y_t = Σ_{j in w(t)} x_j / n_t

Backward: the maximum came from one step, the first of ties; the mean came from all steps equally::

    (1') dx_j += dy_t  for the j that was largest
    (2') dx_j += dy_t / n_t  for all j in w(t)

Global pooling is the same with one window, the whole row. Shapes: x (B, T, D), y (B, T_out, D), or (B, D) if global.
Source: Collobert et al. 2011 (the maximum over time, for sentences).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.layers.base import Layer, zero_padding
from minilstm.layers.windows import Windows
from minilstm.tools.validate import check_arrays, check_choice, check_input, check_positive, check_steps


class PoolCache(NamedTuple):
    """What :func:`max_pool_backward` and :func:`average_pool_backward` need."""

    choice: Array  # (B, T_out, D): which step of its window was largest; for a mean, n (B, T_out, 1), at least 1
    y: Array  # (B, T_out, D)
    frame_shape: tuple[int, ...]  # (B, T_frame, D)
    lengths: Lengths  # (B,) or None
    T: int
    windows: Windows


def max_pool_forward(x: Array, lengths: Lengths, windows: Windows) -> tuple[Array, PoolCache]:
    """Run (1): x (B, T, D) to y (B, T_out, D). Complex numbers count by their real part. Cost: K passes over y."""
    frame, T_out = windows.frame(x, lengths, fill=-np.inf), windows.count(x.shape[1])  # (B, T_frame, D)
    taps = np.stack([windows.tap(frame, k, T_out) for k in range(windows.size)])  # (K, B, T_out, D)
    k_max = taps.real.argmax(axis=0)  # (B, T_out, D), the first of ties
    y = np.take_along_axis(taps, k_max[None], axis=0)[0]  # (1), (B, T_out, D)
    y = zero_padding(np.where(steps_seen(x, lengths, windows) > 0, y, 0), windows.count(lengths))  # (B, T_out, D)
    return y, PoolCache(k_max, y, frame.shape, lengths, x.shape[1], windows)


def max_pool_backward(dy: Array, cache: PoolCache) -> tuple[Array, Arrays]:
    """Run (1'): dy (B, T_out, D) to dx (B, T, D), zero except for the steps that were largest."""
    k_max, y, frame_shape, lengths, T, windows = cache
    dframe, dy = np.zeros(frame_shape, dy.dtype), zero_padding(dy, windows.count(lengths))  # (B, T_frame, D)
    for k in range(windows.size):
        dtap = windows.tap(dframe, k, y.shape[1])  # (B, T_out, D), a view
        dtap += np.where(k_max == k, dy, 0)  # (1'); tap k of two windows is never the same step
    return windows.unframe(dframe, lengths, T), {}


def average_pool_forward(x: Array, lengths: Lengths, windows: Windows) -> tuple[Array, PoolCache]:
    """Run (2): x (B, T, D) to y (B, T_out, D). Cost: K passes over y."""
    frame, T_out = windows.frame(x, lengths), windows.count(x.shape[1])  # (B, T_frame, D)
    n = np.maximum(1, steps_seen(x, lengths, windows))  # (B, T_out, 1)
    y = sum(windows.tap(frame, k, T_out) for k in range(windows.size)) / n  # (2), (B, T_out, D)
    y = zero_padding(y, windows.count(lengths))  # (B, T_out, D)
    return y, PoolCache(n, y, frame.shape, lengths, x.shape[1], windows)


def average_pool_backward(dy: Array, cache: PoolCache) -> tuple[Array, Arrays]:
    """Run (2'): dy (B, T_out, D) to dx (B, T, D). Cost: K passes over dy."""
    n, y, frame_shape, lengths, T, windows = cache
    dframe, dy = np.zeros(frame_shape, dy.dtype), zero_padding(dy, windows.count(lengths))  # (B, T_frame, D)
    for k in range(windows.size):
        dtap = windows.tap(dframe, k, y.shape[1])  # (B, T_out, D), a view
        dtap += dy / n  # (2'); unframe leaves out what falls outside the row
    return windows.unframe(dframe, lengths, T), {}


def global_average_forward(x: Array, lengths: Lengths, windows: Windows) -> tuple[Array, PoolCache]:
    """Run (2) with one window, the whole row, in one sum: x (B, T, D) to y (B, 1, D)."""
    n = np.full(len(x), x.shape[1]) if lengths is None else lengths  # (B,)
    n = np.maximum(1, n).astype(x.real.dtype)[:, None, None]  # (B, 1, 1)
    y = zero_padding(x, lengths).sum(axis=1, keepdims=True) / n  # (2), (B, 1, D)
    return y, PoolCache(n, y, x.shape, lengths, x.shape[1], windows)


def global_average_backward(dy: Array, cache: PoolCache) -> tuple[Array, Arrays]:
    """Run (2') with one window: dy (B, 1, D) to dx (B, T, D)."""
    return zero_padding(np.repeat(dy / cache.choice, cache.T, axis=1), cache.lengths), {}  # (2')


def steps_seen(x: Array, lengths: Lengths, windows: Windows) -> Array:
    """Count the steps of x (B, T, D) that each window sees: n (B, T_out, 1), 0 for those that lie in the padding."""
    inside = windows.frame(np.ones_like(x[..., :1].real), lengths)  # (B, T_frame, 1)
    return np.sum([windows.tap(inside, k, windows.count(x.shape[1])) for k in range(windows.size)], axis=0)


class MaxPooling1D(Layer):
    """Keep the largest number of each window: (B, T, D) to (B, T_out, D).

    Args:
        pool_size: the number of steps that a window sees.
        strides: steps from one window to the next; None for ``pool_size``.
        padding: "valid" or "same"; see ``windows.py``.
    """

    pool_forward: Callable[..., tuple[Array, PoolCache]] = staticmethod(max_pool_forward)
    pool_backward: Callable[..., tuple[Array, Arrays]] = staticmethod(max_pool_backward)

    def __init__(self, pool_size: int = 2, strides: int | None = None, padding: str = "valid") -> None:
        super().__init__()
        stride = pool_size if strides is None else strides
        check_positive(type(self).__name__, pool_size=pool_size, strides=stride)
        check_choice("padding", padding, "valid", "same")
        self.pool_size, self.strides, self.padding = int(pool_size), strides, padding
        self.windows = Windows(self.pool_size, int(stride), 1, padding)

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Return the output shape (T_out, D) for samples of shape (T, D)."""
        T, D = check_steps(type(self).__name__, shape_in)
        return (self.windows.count(T), D)

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Compute y (B, T_out, D) from x (B, T, D)."""
        check_input(self, x, lengths, "B T D")
        return self.pool_forward(x, lengths, self.windows)

    def backward(self, dy: Array, cache: PoolCache) -> tuple[Array, Arrays]:
        """Compute dx (B, T, D)."""
        check_arrays(type(self).__name__, cache.y.dtype, dy=(dy, cache.y.shape))
        return self.pool_backward(dy, cache)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Count each row's windows."""
        return self.windows.count(lengths)


class AveragePooling1D(MaxPooling1D):
    """Keep the mean of each window, over the steps within the row; otherwise like :class:`MaxPooling1D`."""

    pool_forward, pool_backward = staticmethod(average_pool_forward), staticmethod(average_pool_backward)


class GlobalMaxPooling1D(Layer):
    """Keep the largest number of each feature over the whole row: (B, T, D) to (B, D)."""

    pool_forward: Callable[..., tuple[Array, PoolCache]] = staticmethod(max_pool_forward)
    pool_backward: Callable[..., tuple[Array, Arrays]] = staticmethod(max_pool_backward)

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Return the output shape (D,) for samples of shape (T, D)."""
        return (check_steps(type(self).__name__, shape_in)[1],)

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Compute y (B, D) from x (B, T, D)."""
        check_input(self, x, lengths, "B T D")
        y, cache = self.pool_forward(x, lengths, Windows(max(1, x.shape[1])))  # (B, 1, D)
        return y[:, 0], cache

    def backward(self, dy: Array, cache: PoolCache) -> tuple[Array, Arrays]:
        """Compute dx (B, T, D)."""
        B, _, D = cache.y.shape
        check_arrays(type(self).__name__, cache.y.dtype, dy=(dy, (B, D)))
        return self.pool_backward(dy[:, None], cache)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Return None: the output has no time axis."""
        return None


class GlobalAveragePooling1D(GlobalMaxPooling1D):
    """Keep the mean of each feature over the whole row: (B, T, D) to (B, D)."""

    pool_forward, pool_backward = staticmethod(global_average_forward), staticmethod(global_average_backward)
