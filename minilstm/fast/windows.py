"""The twins of convolution and pooling: they point at what each window sees instead of copying it into frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilstm.arrays import Array, Arrays, Lengths, Rng
from minilstm.fast import kernels
from minilstm.fast.rows import UniqueRows
from minilstm.fast.twin import Cache, Twin
from minilstm.layers import conv1d, pooling
from minilstm.layers.windows import Windows


def taps(windows: Windows, index: Array, lengths: Lengths) -> Array:
    """Find what the windows see: a view (B, T_out, K), entries of ``index`` (B, T), or -1 for the zeros around a row.

    The entries for windows after a row's last are meaningless.
    """
    frame = windows.frame(index, lengths, fill=-1)  # (B, T_frame)
    shape, (row, step) = (len(frame), windows.count(index.shape[1]), windows.size), frame.strides
    return np.ndarray(shape, frame.dtype, frame, strides=(row, windows.stride * step, windows.dilation * step))


class FastConv1D(Twin):
    """Takes an array or UniqueRows; the gradient of either is of the same kind.

    All vectors meet all K taps in one product, P; what is left of (1) is to add up the right rows of P.
    Cost: N K D F multiply-adds for N distinct words, and twice as many backward.
    """

    takes_rows = True

    def forward(self, x: Any, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Cache]:
        """Compute y (B, T_out, F) from x (B, T, D)."""
        layer, words = self.layer, isinstance(x, UniqueRows)
        W, b = conv1d.check_input(layer, x.table[None] if words else x, None if words else lengths, "B T D", "W b")
        (B, T, D), (K, _, F), phi = x.shape, W.shape, kernels.number_of(layer.activation)
        conv1d.check_arrays("Conv1D", W.dtype, W=(W, (layer.windows.size, D, F)), b=(b, (F,)))
        if words:
            table, index = x.table, x.index  # (N, D), (B, T)
        else:
            table = conv1d.zero_padding(x, lengths).reshape(B * T, D)  # (B*T, D)
            index = np.arange(B * T).reshape(B, T)  # (B, T)
        at = np.ascontiguousarray(taps(layer.windows, index, lengths))  # (B, T_out, K)
        n_windows = layer.windows.count(np.full(B, T) if lengths is None else lengths)  # (B,)
        P = (table @ W.swapaxes(0, 1).reshape(D, K * F)).reshape(-1, K, F)  # (N, K, F), P[n, k] = x_n W_k
        y = kernels.conv1d_windows_forward(P, at, b, n_windows, phi)  # (B, T_out, F)
        return y, (table, index, words, at, n_windows, y, W, phi)

    def backward(self, dy: Array, cache: Cache) -> tuple[Any, Arrays]:
        """Compute dx and the gradients of W and b."""
        table, index, words, at, n_windows, y, W, phi = cache
        conv1d.check_arrays("Conv1D", y.dtype, dy=(dy, y.shape))
        K, D, F = W.shape
        dP, db = np.zeros((len(table), K * F), y.dtype), np.zeros(F, y.dtype)  # (N, K*F), (F,)
        kernels.conv1d_windows_backward(dP.reshape(-1, K, F), db, np.ascontiguousarray(dy), y, at, n_windows, phi)
        dtable = dP @ W.swapaxes(1, 2).reshape(K * F, D)  # (1'), (N, D)
        dW = (table.T @ dP).reshape(D, K, F).swapaxes(0, 1)  # (1'), (K, D, F)
        dx = UniqueRows(dtable, index) if words else dtable.reshape(*index.shape, D)  # (B, T, D)
        return dx, {"W": dW, "b": db}


class FastMaxPooling1D(Twin):
    """Finds the largest number of each window without copying what the windows see."""

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Cache]:
        """Compute y (B, T_out, D) from x (B, T, D)."""
        pooling.check_input(self.layer, x, lengths, "B T D")
        B, T, D = x.shape
        windows = getattr(self.layer, "windows", Windows(max(1, T)))  # without any, one window sees all of a row
        at = taps(windows, np.arange(B * T, dtype=np.int32).reshape(B, T), lengths)  # (B, T_out, K)
        at = pooling.zero_padding(at + 1, windows.count(lengths)) - 1  # (B, T_out, K), -1 after a row's last window
        y, at_max = kernels.max_pool_windows_forward(np.ascontiguousarray(x).reshape(B * T, D), at)  # (B, T_out, D)
        return y, (y, at_max, T)

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Arrays]:
        """Compute dx (B, T, D)."""
        y, at_max, T = cache
        pooling.check_arrays(type(self.layer).__name__, y.dtype, dy=(dy, y.shape))
        dy, (B, _, D) = np.ascontiguousarray(dy).reshape(at_max.shape), at_max.shape
        return kernels.max_pool_windows_backward(dy, at_max, B * T).reshape(B, T, D), {}


class FastGlobalMaxPooling1D(FastMaxPooling1D):
    """One window for each row: all of its steps."""

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Cache]:
        """Compute y (B, D) from x (B, T, D)."""
        y, (_, *rest) = super().forward(x, lengths, train, rng)
        return y[:, 0], (y[:, 0], *rest)
