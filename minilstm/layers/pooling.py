"""Pooling: keep the largest or the mean of a window, or of a whole row.

Forward, for window t of a row, which sees the steps w(t) that lie within the row, n_t of them::

    (1)  y_t = max_{j in w(t)} x_j               for each feature on its own; 0 where w(t) is empty
    (2)  y_t = Σ_{j in w(t)} x_j / n_t

Backward: the maximum came from one step, the first of equals, and the mean from all alike::

    (1') dx_j += dy_t  for the j that was largest
    (2') dx_j += dy_t / n_t  for all j in w(t)

Global pooling is the same with one window, the whole row. Shapes: x (B, T, D), y (B, T_out, D), or (B, D) if global.

Source: Collobert et al. 2011 (the maximum over time, for sentences).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.layer import Array, Arrays, Layer, Lengths, Shape, zero_padding
from minilstm.layers.windows import Windows
from minilstm.tools.checks import check_arrays, check_choice, check_input, check_positive, check_steps


def max_pool_forward(x: Array, lengths: Lengths, windows: Windows) -> tuple[Array, MaxPoolCache]:
    """Run (1): x (B, T, D) to y (B, T_out, D), complex numbers by their real part. Cost: ``size`` passes over x."""
    T_out = windows.count(x.shape[1])
    frame = windows.frame(x, lengths, fill=-np.inf)  # (B, T_frame, D)
    y = windows.tap(frame, 0, T_out)  # (B, T_out, D)
    k_max = np.zeros(y.shape, np.min_scalar_type(windows.size))  # (B, T_out, D), small numbers: quick to compare
    for k in range(1, windows.size):
        x_k = windows.tap(frame, k, T_out)  # (B, T_out, D)
        larger = (x_k.real > y.real) | np.isnan(x_k.real)  # (B, T_out, D)
        y = np.where(larger, x_k, y) if np.iscomplexobj(y) else np.maximum(y, x_k)  # (1), and the same but faster
        k_max = np.maximum(k_max, np.multiply(larger, k, dtype=k_max.dtype))  # (B, T_out, D)
    y = zero_padding(without_empty_rows(y, x, lengths), windows.count(lengths))
    return y, MaxPoolCache(k_max, lengths, windows, x.shape[1], x.dtype)


def max_pool_backward(dy: Array, cache: MaxPoolCache) -> tuple[Array, Arrays]:
    """Run (1'): dy (B, T_out, D) to dx (B, T, D). Cost: ``size`` passes over dy."""
    k_max, lengths, windows, T, dtype = cache
    check_arrays("MaxPooling1D", dtype, dy=(dy, k_max.shape))
    B, T_out, D = k_max.shape
    dy = zero_padding(dy, windows.count(lengths))
    dframe = windows.frame(np.zeros((B, T, D), dy.dtype), lengths)  # (B, T_frame, D)
    for k in range(windows.size):
        windows.tap(dframe, k, T_out)[...] += dy * (k_max == k)  # (1')
    return windows.unframe(dframe, lengths, T), {}


class MaxPoolCache(NamedTuple):
    """What :func:`max_pool_backward` needs."""

    k_max: Array  # (B, T_out, D): which tap of its window was largest; 0 if it is empty
    lengths: Lengths  # (B,) or None
    windows: Windows
    T: int
    dtype: np.dtype[Any]  # of x


def average_pool_forward(x: Array, lengths: Lengths, windows: Windows) -> tuple[Array, AveragePoolCache]:
    """Run (2): x (B, T, D) to y (B, T_out, D). Cost: ``size`` passes over x."""
    B, T, _ = x.shape
    T_out = windows.count(T)
    frame = windows.frame(x, lengths)  # (B, T_frame, D)
    within = windows.frame(np.ones((B, T, 1), x.real.dtype), lengths)  # (B, T_frame, 1), 0 around each row
    taps = range(windows.size)
    n = np.maximum(1, sum(windows.tap(within, k, T_out) for k in taps))  # (B, T_out, 1)
    y = sum(windows.tap(frame, k, T_out) for k in taps) / n  # (2), (B, T_out, D)
    return zero_padding(y, windows.count(lengths)), AveragePoolCache(n, lengths, windows, x.shape)


def average_pool_backward(dy: Array, cache: AveragePoolCache) -> tuple[Array, Arrays]:
    """Run (2'): dy (B, T_out, D) to dx (B, T, D). Cost: ``size`` passes over dy."""
    n, lengths, windows, (B, T, D) = cache
    T_out = n.shape[1]
    check_arrays("AveragePooling1D", n.dtype, dy=(dy, (B, T_out, D)))
    share = zero_padding(dy, windows.count(lengths)) / n  # (B, T_out, D)
    dframe = windows.frame(np.zeros((B, T, D), dy.dtype), lengths)  # (B, T_frame, D)
    for k in range(windows.size):
        windows.tap(dframe, k, T_out)[...] += share  # (2')
    return windows.unframe(dframe, lengths, T), {}


class AveragePoolCache(NamedTuple):
    """What :func:`average_pool_backward` needs."""

    n: Array  # (B, T_out, 1): how many steps each window sees, but at least 1
    lengths: Lengths  # (B,) or None
    windows: Windows
    shape: tuple[int, ...]  # of x


def global_max_forward(x: Array, lengths: Lengths) -> tuple[Array, GlobalMaxCache]:
    """Run (1) over whole rows: x (B, T, D) to y (B, D)."""
    T = x.shape[1]
    frame = Windows(max(1, T)).frame(x, lengths, fill=-np.inf)  # (B, T or 1, D)
    t_max = frame.real.argmax(axis=1)[:, None]  # (B, 1, D)
    y = np.take_along_axis(frame, t_max, axis=1)[:, 0]  # (1), (B, D)
    return without_empty_rows(y, x, lengths), GlobalMaxCache(t_max, lengths, T, x.dtype)


def global_max_backward(dy: Array, cache: GlobalMaxCache) -> tuple[Array, Arrays]:
    """Run (1') over whole rows: dy (B, D) to dx (B, T, D), zero but for one step for each row and feature."""
    t_max, lengths, T, dtype = cache
    B, _, D = t_max.shape
    check_arrays("GlobalMaxPooling1D", dtype, dy=(dy, (B, D)))
    dframe = np.zeros((B, max(1, T), D), dy.dtype)  # (B, T or 1, D)
    np.put_along_axis(dframe, t_max, dy[:, None], axis=1)  # (1')
    return zero_padding(dframe, np.zeros(B, np.int64) if T == 0 else lengths)[:, :T], {}


class GlobalMaxCache(NamedTuple):
    """What :func:`global_max_backward` needs."""

    t_max: Array  # (B, 1, D): which step was largest
    lengths: Lengths  # (B,) or None
    T: int
    dtype: np.dtype[Any]  # of x


def global_average_forward(x: Array, lengths: Lengths) -> tuple[Array, GlobalAverageCache]:
    """Run (2) over whole rows: x (B, T, D) to y (B, D)."""
    n = np.full(len(x), x.shape[1]) if lengths is None else lengths  # (B,)
    n = np.maximum(1, n)[:, None].astype(x.real.dtype)  # (B, 1)
    return zero_padding(x, lengths).sum(axis=1) / n, GlobalAverageCache(n, lengths, x.shape)  # (2), (B, D)


def global_average_backward(dy: Array, cache: GlobalAverageCache) -> tuple[Array, Arrays]:
    """Run (2') over whole rows: dy (B, D) to dx (B, T, D)."""
    n, lengths, (B, T, D) = cache
    check_arrays("GlobalAveragePooling1D", n.dtype, dy=(dy, (B, D)))
    return zero_padding(np.repeat((dy / n)[:, None], T, axis=1), lengths), {}  # (2')


class GlobalAverageCache(NamedTuple):
    """What :func:`global_average_backward` needs."""

    n: Array  # (B, 1): how many steps each row has, but at least 1
    lengths: Lengths  # (B,) or None
    shape: tuple[int, ...]  # of x


def without_empty_rows(y: Array, x: Array, lengths: Lengths) -> Array:
    """Put 0 for the maximum over nothing, in rows of x (B, T, D) without a step."""
    if x.shape[1] == 0:
        return np.zeros_like(y)
    if lengths is not None and not lengths.all():
        y = y.copy()  # (B, T_out, D) or (B, D)
        y[lengths == 0] = 0
    return y


class _Pooling1D(Layer):
    """What the two windowed pooling layers have in common: all but the pair of functions."""

    pool: Callable[..., tuple[Array, Any]]

    def __init__(self, pool_size: int = 2, strides: int | None = None, padding: str = "valid") -> None:
        super().__init__()
        stride = pool_size if strides is None else strides
        check_positive(type(self).__name__, pool_size=pool_size, strides=stride)
        check_choice("padding", padding, "valid", "same")
        self.pool_size, self.strides, self.padding = int(pool_size), strides, padding
        self.windows = Windows(self.pool_size, int(stride), 1, padding)

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Nothing to make for samples of shape (T, D); the output is (T_out, D)."""
        T, D = check_steps(type(self).__name__, d_in)
        return (self.windows.count(T), D)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        """Compute y (B, T_out, D) from x (B, T, D)."""
        check_input(self, x, lengths, "B T D")
        return type(self).pool(x, lengths, self.windows)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Count each row's windows."""
        return self.windows.count(lengths)


class MaxPooling1D(_Pooling1D):
    """Keep the largest number of each window: (B, T, D) to (B, T_out, D).

    Args:
        pool_size: how many steps a window sees.
        strides: steps from one window to the next; None for ``pool_size``.
        padding: "valid" or "same"; see ``windows.py``.

    Parameters: none.

    Raises:
        TypeError: a size that is no whole number.
        ValueError: a size below 1, an unknown padding.
    """

    pool, backward = staticmethod(max_pool_forward), staticmethod(max_pool_backward)


class AveragePooling1D(_Pooling1D):
    """Keep the mean of each window, over the steps within the row: as :class:`MaxPooling1D` otherwise."""

    pool, backward = staticmethod(average_pool_forward), staticmethod(average_pool_backward)


class _GlobalPooling1D(Layer):
    """What the two global pooling layers have in common: all but the pair of functions."""

    pool: Callable[..., tuple[Array, Any]]

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Nothing to make for samples of shape (T, D); the output is (D,)."""
        return (check_steps(type(self).__name__, d_in)[1],)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        """Compute y (B, D) from x (B, T, D)."""
        check_input(self, x, lengths, "B T D")
        return type(self).pool(x, lengths)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Nothing: the output has no time axis."""
        return None


class GlobalMaxPooling1D(_GlobalPooling1D):
    """Keep the largest number of each feature over the whole row: (B, T, D) to (B, D). Parameters: none."""

    pool, backward = staticmethod(global_max_forward), staticmethod(global_max_backward)


class GlobalAveragePooling1D(_GlobalPooling1D):
    """Keep the mean of each feature over the whole row: (B, T, D) to (B, D). Parameters: none."""

    pool, backward = staticmethod(global_average_forward), staticmethod(global_average_backward)
