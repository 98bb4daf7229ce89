"""The twins of convolution and pooling: they point at what each window sees instead of copying it into frames."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from minilstm.arrays import Array, Arrays, Lengths, Rng
from minilstm.fast import kernels
from minilstm.fast.rows import UniqueRows
from minilstm.fast.twin import Twin
from minilstm.layers import conv1d, pooling
from minilstm.layers.windows import Windows


def taps(windows: Windows, index: Array, lengths: Lengths) -> Array:
    """Tell what the windows see: (B, T_out, K), entries of ``index`` (B, T), or -1 for the zeros around a row.

    What is there for the windows after a row's last means nothing.
    """
    T_out, frame = windows.count(index.shape[1]), windows.frame(index, lengths, fill=-1)  # (B, T_frame)
    return np.stack([windows.tap(frame, k, T_out) for k in range(windows.size)], axis=2)  # (B, T_out, K)


WINDOWS = tuple((Windows, name) for name in ("count", "left", "frame", "unframe", "tap", "span"))


def as_rows(x: Array | UniqueRows, lengths: Lengths) -> tuple[Array, Array]:
    """Give table (N, D) and index (B, T) of (1), also for an array (B, T, D), with zeros at padded steps."""
    if isinstance(x, UniqueRows):
        return x.table, x.index
    B, T, D = x.shape
    return conv1d.zero_padding(x, lengths).reshape(B * T, D), np.arange(B * T).reshape(B, T)


class FastConv1DCache(NamedTuple):
    """What :func:`conv1d_backward` needs."""

    table: Array  # (N, D): the vectors of x
    index: Array  # type: ignore[assignment]  # hides tuple.index
    # (B, T): which of them is where
    at: Array  # (B, T_out, K): which of them each tap sees, -1 for none
    n_windows: Array  # (B,): how many windows each row has
    words: bool  # whether x was UniqueRows
    y: Array  # (B, T_out, F)
    W: Array  # (K, D, F)
    phi: int  # φ, by its number in kernels.ACTIVATIONS


def conv1d_forward(
    x: Array | UniqueRows, W: Array, b: Array, lengths: Lengths, windows: Windows, activation: str | None = None
) -> tuple[Array, FastConv1DCache]:
    """Twin of ``layers.conv1d.conv1d_forward``. Cost: N K D F multiply-adds for N distinct words.

    All vectors meet all K taps in one product, P; what is left of (1) is to add up the right rows of it.
    """
    phi, (K, _, F), D = kernels.number_of(activation), W.shape, x.shape[-1]
    conv1d.check_arrays("Conv1D", W.dtype, W=(W, (windows.size, D, F)), b=(b, (F,)))
    table, index = as_rows(x, lengths)  # (N, D), (B, T)
    at = taps(windows, index, lengths)  # (B, T_out, K)
    n_windows = windows.count(np.full(len(at), x.shape[1]) if lengths is None else lengths)  # (B,)
    P = (table @ W.swapaxes(0, 1).reshape(D, K * F)).reshape(-1, K, F)  # (N, K, F), P[n, k] = x_n W_k
    y = kernels.conv1d_windows_forward(P, at, b, n_windows, phi)  # (B, T_out, F)
    return y, FastConv1DCache(table, index, at, n_windows, isinstance(x, UniqueRows), y, W, phi)


def conv1d_backward(dy: Array, cache: FastConv1DCache) -> tuple[Any, Arrays]:
    """Twin of ``layers.conv1d.conv1d_backward``."""
    table, index, at, n_windows, words, y, W, phi = cache
    conv1d.check_arrays("Conv1D", y.dtype, dy=(dy, y.shape))
    K, D, F = W.shape
    dP, db = np.zeros((len(table), K * F), y.dtype), np.zeros(F, y.dtype)  # (N, K*F), (F,)
    kernels.conv1d_windows_backward(dP.reshape(-1, K, F), db, np.ascontiguousarray(dy), y, at, n_windows, phi)
    dtable = dP @ W.swapaxes(1, 2).reshape(K * F, D)  # (1'), (N, D)
    dW = (table.T @ dP).reshape(D, K, F).swapaxes(0, 1)  # (1'), (K, D, F)
    dx = UniqueRows(dtable, index) if words else dtable.reshape(*index.shape, D)  # (B, T, D)
    return dx, {"W": dW, "b": db}


class FastConv1D(Twin):
    """Takes arrays or UniqueRows; the gradient of either is of the same kind."""

    takes_rows = True
    reaches: ClassVar[tuple[tuple[Any, str], ...]] = WINDOWS

    def forward(
        self, x: Any, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Array, FastConv1DCache]:
        """Compute y (B, T_out, F) from x (B, T, D)."""
        layer, W, b = self.layer, self.layer.params["W"], self.layer.params["b"]
        rows = isinstance(x, UniqueRows)
        conv1d.check_input(layer, x.table[None] if rows else x, None if rows else lengths, "B T D", "W b")
        return conv1d_forward(x, W, b, lengths, layer.windows, layer.activation)

    def backward(self, dy: Array, cache: FastConv1DCache) -> tuple[Any, Arrays]:
        """Give dx and the gradients of W and b."""
        return conv1d_backward(dy, cache)


class FastMaxPoolCache(NamedTuple):
    """What :func:`max_pool_backward` needs."""

    at_max: Array  # (B, T_out, D): which of all B*T steps was largest, -1 where a window is empty
    y: Array  # (B, T_out, D)
    T: int


def max_pool_forward(x: Array, lengths: Lengths, windows: Windows) -> tuple[Array, FastMaxPoolCache]:
    """Twin of ``layers.pooling.max_pool_forward``."""
    B, T, D = x.shape
    at = taps(windows, np.arange(B * T, dtype=np.int32).reshape(B, T), lengths)  # (B, T_out, K)
    at = pooling.zero_padding(at + 1, windows.count(lengths)) - 1  # (B, T_out, K), -1 after a row's last window
    y, at_max = kernels.max_pool_windows_forward(np.ascontiguousarray(x).reshape(B * T, D), at)  # (B, T_out, D) each
    return y, FastMaxPoolCache(at_max, y, T)


def max_pool_backward(dy: Array, cache: FastMaxPoolCache) -> tuple[Array, Arrays]:
    """Twin of ``layers.pooling.max_pool_backward``."""
    at_max, y, T = cache
    pooling.check_arrays("MaxPooling1D", y.dtype, dy=(dy, y.shape))
    B, _, D = y.shape
    return kernels.max_pool_windows_backward(np.ascontiguousarray(dy), at_max, B * T).reshape(B, T, D), {}


class FastMaxPooling1D(Twin):
    """Finds the largest number of each window without copying what the windows see."""

    reaches: ClassVar[tuple[tuple[Any, str], ...]] = WINDOWS

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Array, FastMaxPoolCache]:
        """Compute y (B, T_out, D) from x (B, T, D)."""
        pooling.check_input(self.layer, x, lengths, "B T D")
        return max_pool_forward(x, lengths, self.layer.windows)

    def backward(self, dy: Array, cache: FastMaxPoolCache) -> tuple[Array, Arrays]:
        """Give dx (B, T, D)."""
        return max_pool_backward(dy, cache)


class FastGlobalMaxPooling1D(Twin):
    """One window for each row: all of its steps."""

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Array, FastMaxPoolCache]:
        """Compute y (B, D) from x (B, T, D)."""
        pooling.check_input(self.layer, x, lengths, "B T D")
        B, T, D = x.shape
        at = np.arange(1, B * T + 1, dtype=np.int32).reshape(B, T)  # (B, T)
        at = pooling.zero_padding(at, lengths) - 1  # (B, T), -1 at padded steps
        rows = np.ascontiguousarray(x).reshape(B * T, D)  # (B*T, D)
        y, at_max = kernels.max_pool_windows_forward(rows, at.reshape(B, 1, T))  # (B, 1, D) each
        return y[:, 0], FastMaxPoolCache(at_max, y, T)

    def backward(self, dy: Array, cache: FastMaxPoolCache) -> tuple[Array, Arrays]:
        """Give dx (B, T, D)."""
        B, _, D = cache.y.shape
        pooling.check_arrays("GlobalMaxPooling1D", cache.y.dtype, dy=(dy, (B, D)))
        return max_pool_backward(dy[:, None], cache)
