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

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.layers.base import Layer, check_arrays, check_input, padding_mask, zero_padding
from minilstm.layers.windows import Windows
from minilstm.tools.validate import check_choice, check_positive, check_steps


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


def steps_seen(x: Array, lengths: Lengths, windows: Windows) -> Array:
    """Count the steps of x (B, T, D) that each window sees: n (B, T_out, 1), 0 for those that lie in the padding."""
    inside = windows.frame(np.ones_like(x[..., :1].real), lengths)  # (B, T_frame, 1)
    return np.sum([windows.tap(inside, k, windows.count(x.shape[1])) for k in range(windows.size)], axis=0)


class PoolCache(NamedTuple):
    """What :func:`max_pool_backward` and :func:`average_pool_backward` need."""

    choice: Array  # (B, T_out, D): which step of its window was largest; for a mean n (B, T_out, 1), but at least 1
    y: Array  # (B, T_out, D)
    frame_shape: tuple[int, ...]  # (B, T_frame, D)
    lengths: Lengths  # (B,) or None
    T: int
    windows: Windows


def global_max_forward(x: Array, lengths: Lengths) -> tuple[Array, GlobalPoolCache]:
    """Run (1) over whole rows: x (B, T, D) to y (B, D)."""
    B, T, D = x.shape
    n = np.full(B, T) if lengths is None else lengths  # (B,)
    mask = padding_mask(n, T)  # (B, T)
    steps = np.full((B, T + 1, D), -np.inf, x.dtype)  # (B, T+1, D): one step more, the 0 of rows without any
    steps[:, :T][mask], steps[n == 0, T] = x[mask], 0
    t_max = steps.real.argmax(axis=1)  # (B, D), the first of ties
    y = np.take_along_axis(steps, t_max[:, None], axis=1)[:, 0]  # (1), (B, D)
    return y, GlobalPoolCache(t_max, y, lengths, T)


def global_max_backward(dy: Array, cache: GlobalPoolCache) -> tuple[Array, Arrays]:
    """Run (1') over whole rows: dy (B, D) to dx (B, T, D)."""
    t_max, y, _, T = cache
    dx = np.zeros((len(y), T + 1, y.shape[1]), dy.dtype)  # (B, T+1, D)
    np.put_along_axis(dx, t_max[:, None], dy[:, None], axis=1)  # (1')
    return dx[:, :T], {}


def global_average_forward(x: Array, lengths: Lengths) -> tuple[Array, GlobalPoolCache]:
    """Run (2) over whole rows: x (B, T, D) to y (B, D)."""
    n = np.full(len(x), x.shape[1]) if lengths is None else lengths  # (B,)
    n = np.maximum(1, n)[:, None].astype(x.real.dtype)  # (B, 1)
    y = zero_padding(x, lengths).sum(axis=1) / n  # (2), (B, D)
    return y, GlobalPoolCache(n, y, lengths, x.shape[1])


def global_average_backward(dy: Array, cache: GlobalPoolCache) -> tuple[Array, Arrays]:
    """Run (2') over whole rows: dy (B, D) to dx (B, T, D)."""
    n, _, lengths, T = cache
    return zero_padding(np.repeat((dy / n)[:, None], T, axis=1), lengths), {}  # (2')


class GlobalPoolCache(NamedTuple):
    """What :func:`global_max_backward` and :func:`global_average_backward` need."""

    choice: Array  # (B, D): which step was largest, T in an empty row; for a mean n (B, 1), but at least 1
    y: Array  # (B, D)
    lengths: Lengths  # (B,) or None
    T: int


class _Pooling1D(Layer):
    """What the two windowed pooling layers have in common: everything except the pair of functions."""

    pool_forward: Callable[..., tuple[Array, PoolCache]]
    pool_backward: Callable[..., tuple[Array, Arrays]]

    def __init__(self, pool_size: int = 2, strides: int | None = None, padding: str = "valid") -> None:
        super().__init__()
        stride = pool_size if strides is None else strides
        check_positive(type(self).__name__, pool_size=pool_size, strides=stride)
        check_choice("padding", padding, "valid", "same")
        self.pool_size, self.strides, self.padding = int(pool_size), strides, padding
        self.windows = Windows(self.pool_size, int(stride), 1, padding)

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make nothing for samples of shape (T, D); the output is (T_out, D)."""
        T, D = check_steps(type(self).__name__, shape_in)
        return (self.windows.count(T), D)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Array, PoolCache]:
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


class MaxPooling1D(_Pooling1D):
    """Keep the largest number of each window: (B, T, D) to (B, T_out, D).

    Args:
        pool_size: the number of steps that a window sees.
        strides: steps from one window to the next; None for ``pool_size``.
        padding: "valid" or "same"; see ``windows.py``.

    Raises:
        TypeError: a size is not an integer.
        ValueError: a size below 1, an unknown padding.
    """

    pool_forward, pool_backward = staticmethod(max_pool_forward), staticmethod(max_pool_backward)


class AveragePooling1D(_Pooling1D):
    """Keep the mean of each window, over the steps within the row; otherwise as :class:`MaxPooling1D`."""

    pool_forward, pool_backward = staticmethod(average_pool_forward), staticmethod(average_pool_backward)


class _GlobalPooling1D(Layer):
    """What the two global pooling layers have in common: everything except the pair of functions."""

    pool_forward: Callable[..., tuple[Array, GlobalPoolCache]]
    pool_backward: Callable[..., tuple[Array, Arrays]]

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make nothing for samples of shape (T, D); the output is (D,)."""
        return (check_steps(type(self).__name__, shape_in)[1],)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Array, GlobalPoolCache]:
        """Compute y (B, D) from x (B, T, D)."""
        check_input(self, x, lengths, "B T D")
        return self.pool_forward(x, lengths)

    def backward(self, dy: Array, cache: GlobalPoolCache) -> tuple[Array, Arrays]:
        """Compute dx (B, T, D)."""
        check_arrays(type(self).__name__, cache.y.dtype, dy=(dy, cache.y.shape))
        return self.pool_backward(dy, cache)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Return None: the output has no time axis."""
        return None


class GlobalMaxPooling1D(_GlobalPooling1D):
    """Keep the largest number of each feature over the whole row: (B, T, D) to (B, D). Parameters: none."""

    pool_forward, pool_backward = staticmethod(global_max_forward), staticmethod(global_max_backward)


class GlobalAveragePooling1D(_GlobalPooling1D):
    """Keep the mean of each feature over the whole row: (B, T, D) to (B, D). Parameters: none."""

    pool_forward, pool_backward = staticmethod(global_average_forward), staticmethod(global_average_backward)
