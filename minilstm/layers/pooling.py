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

from minilstm import kernels
from minilstm.layer import Array, Arrays, Layer, Lengths, Shape, zero_padding
from minilstm.layers.windows import Windows
from minilstm.tools.checks import check_arrays, check_choice, check_input, check_positive, check_steps


def seen(x: Array, lengths: Lengths, windows: Windows) -> Array:
    """Tell which of the B*T steps of x (B, T, D) each window sees: at (B, T_out, K), int32, -1 for none."""
    B, T, _ = x.shape
    at = windows.places(np.arange(B * T, dtype=np.int32).reshape(B, T), lengths)  # (B, T_out, K)
    return zero_padding(at + 1, windows.count(lengths)) - 1  # (B, T_out, K), none behind a row's last window


def max_pool_forward(x: Array, at: Array) -> tuple[Array, MaxPoolCache]:
    """Run (1): x (B, T, D), of which windows see the steps ``at`` (B, T_out, K), to y (B, T_out, D).

    Complex numbers count by their real part. Cost: K passes over y.
    """
    B, T, D = x.shape
    y, at_max = max_pool_windows_forward(np.ascontiguousarray(x).reshape(B * T, D), at)  # (B, T_out, D) each
    return y, MaxPoolCache(at_max, y, T)


@kernels.twin(kernels.max_pool_windows_forward)
def max_pool_windows_forward(rows: Array, at: Array) -> tuple[Array, Array]:
    """Find the largest that each window sees, y (B, T_out, D), and in which row of ``rows`` (N, D) it stands.

    at (B, T_out, K) tells which rows a window sees, -1 for none. The first of equals wins, and NaN over all.
    """
    with_nothing = np.concatenate([rows, np.zeros_like(rows, shape=(1, rows.shape[1]))])  # (N+1, D), for -1
    y = np.zeros((*at.shape[:2], rows.shape[1]), rows.dtype)  # (B, T_out, D)
    at_max = np.full(y.shape, -1, at.dtype)  # (B, T_out, D)
    for k in range(at.shape[2]):
        x_k, at_k = with_nothing[at[:, :, k]], at[:, :, k, None]  # (B, T_out, D), (B, T_out, 1)
        larger = (at_max < 0) | (x_k.real > y.real) | np.isnan(x_k.real)  # (B, T_out, D)
        larger &= at_k >= 0
        y, at_max = np.where(larger, x_k, y), np.where(larger, at_k, at_max)  # (1), (B, T_out, D) each
    return y, at_max


def max_pool_backward(dy: Array, cache: MaxPoolCache) -> tuple[Array, Arrays]:
    """Run (1'): dy (B, T_out, D) to dx (B, T, D), zero but for the steps that were largest. Cost: one pass over dy."""
    at_max, y, T = cache
    check_arrays("MaxPooling1D", y.dtype, dy=(dy, y.shape))
    B, _, D = y.shape
    return max_pool_windows_backward(np.ascontiguousarray(dy), at_max, B * T).reshape(B, T, D), {}


@kernels.twin(kernels.max_pool_windows_backward)
def max_pool_windows_backward(dy: Array, at_max: Array, N: int) -> Array:
    """Undo :func:`max_pool_windows_forward`: the gradient of ``rows`` (N, D)."""
    D = dy.shape[2]
    drows = np.zeros((N + 1, D), dy.dtype)  # (N+1, D), the last for -1
    np.add.at(drows, (at_max, np.arange(D)), dy)  # (1')
    return drows[:N]


class MaxPoolCache(NamedTuple):
    """What :func:`max_pool_backward` needs."""

    at_max: Array  # (B, T_out, D): which of all B*T steps was largest, -1 where a window is empty
    y: Array  # (B, T_out, D)
    T: int


def average_pool_forward(x: Array, at: Array) -> tuple[Array, AveragePoolCache]:
    """Run (2): x (B, T, D), of which windows see the steps ``at`` (B, T_out, K), to y. Cost: K passes over y."""
    B, T, D = x.shape
    n = np.maximum(1, (at >= 0).sum(axis=2, keepdims=True)).astype(x.real.dtype)  # (B, T_out, 1)
    rows = np.concatenate([x.reshape(B * T, D), np.zeros((1, D), x.dtype)])  # (B*T+1, D), the last for -1
    y = sum(rows[at[:, :, k]] for k in range(at.shape[2])) / n  # (2), (B, T_out, D)
    return y, AveragePoolCache(n, at, x.shape)


def average_pool_backward(dy: Array, cache: AveragePoolCache) -> tuple[Array, Arrays]:
    """Run (2'): dy (B, T_out, D) to dx (B, T, D). Cost: K passes over dy."""
    n, at, (B, T, D) = cache
    check_arrays("AveragePooling1D", n.dtype, dy=(dy, (*at.shape[:2], D)))
    share, drows = dy / n, np.zeros((B * T + 1, D), dy.dtype)  # (B, T_out, D), (B*T+1, D), the last for -1
    for k in range(at.shape[2]):
        drows[at[:, :, k]] += share  # (2'); tap k of two windows is never the same step
    return drows[:-1].reshape(B, T, D), {}


class AveragePoolCache(NamedTuple):
    """What :func:`average_pool_backward` needs."""

    n: Array  # (B, T_out, 1): how many steps each window sees, but at least 1
    at: Array  # (B, T_out, K): which of all B*T steps they are, -1 for none
    shape: tuple[int, ...]  # of x


def global_max_forward(x: Array, lengths: Lengths) -> tuple[Array, MaxPoolCache]:
    """Run (1) over whole rows: x (B, T, D) to y (B, D)."""
    at = seen(x, lengths, Windows(1))  # (B, T or 1, 1): each step
    y, cache = max_pool_forward(x, at.swapaxes(1, 2))
    return y[:, 0], cache


def global_max_backward(dy: Array, cache: MaxPoolCache) -> tuple[Array, Arrays]:
    """Run (1') over whole rows: dy (B, D) to dx (B, T, D)."""
    B, _, D = cache.y.shape
    check_arrays("GlobalMaxPooling1D", cache.y.dtype, dy=(dy, (B, D)))
    return max_pool_backward(dy[:, None], cache)


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
        return type(self).pool(x, seen(x, lengths, self.windows))

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
