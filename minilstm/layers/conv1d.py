"""Conv1D: a detector of short phrases, the same at every position.

Forward, for windows of K steps over time (``windows.py`` has their geometry; s is the stride, δ the dilation)::

    (1)  z_t = Σ_k x_{t s + k δ} W_k + b             one product for each tap k = 0 .. K-1
    (2)  y_t = φ(z_t)                                0 after a row's last window

Backward::

    (2') dz_t = φ'(z_t) ⊙ dy_t
    (1') dx_{t s + k δ} += dz_t W_kᵀ,  dW_k = Σ_t x_{t s + k δ}ᵀ dz_t,  db = Σ_t dz_t

So dx is itself a convolution of dz with the taps in reverse order, since step j is tap k of the window that began k δ
earlier: for s = 1, dx_j = Σ_k dz_{j - k δ} W_kᵀ. Indices count from the start of the frame, so they include the zeros
around a row. Shapes: x (B, T, D), W (K, D, F), b (F,), y (B, T_out, F).

Sources: LeCun et al. 1989 (weights shared over positions), Kim 2014 (over the words of a sentence).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.activations import Activation, get_activation
from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.initializers import glorot_uniform
from minilstm.layers.base import Layer, zero_padding
from minilstm.layers.windows import Windows
from minilstm.tools.validate import check_arrays, check_choice, check_input, check_positive, check_steps


class Conv1DCache(NamedTuple):
    """What :func:`conv1d_backward` needs."""

    frame: Array  # (B, T_frame, D): x with zeros around each row
    y: Array  # (B, T_out, F)
    W: Array  # (K, D, F)
    lengths: Lengths  # (B,) or None
    T: int  # steps of x, with padding
    windows: Windows  # their geometry
    phi: Activation  # φ


def conv1d_forward(
    x: Array, W: Array, b: Array, lengths: Lengths, windows: Windows, activation: str | None = None
) -> tuple[Array, Conv1DCache]:
    """Run (1) and (2): x (B, T, D) to y (B, T_out, F). Cost: B T_out K D F multiply-adds."""
    phi, T = get_activation(activation), x.shape[1]
    T_out, frame = windows.count(T), windows.frame(x, lengths)  # (B, T_frame, D)
    z = sum(windows.tap(frame, k, T_out) @ W[k] for k in range(len(W))) + b  # (1), (B, T_out, F)
    y = zero_padding(phi.forward(z), windows.count(lengths))  # (2), (B, T_out, F)
    return y, Conv1DCache(frame, y, W, lengths, T, windows, phi)


def conv1d_backward(dy: Array, cache: Conv1DCache) -> tuple[Array, Arrays]:
    """Undo (2), then (1). Cost: twice that of forward."""
    frame, y, W, lengths, T, windows, phi = cache
    dz = phi.backward(zero_padding(dy, windows.count(lengths)), y)  # (2'), (B, T_out, F)
    dframe, dW, T_out = np.zeros_like(frame), np.zeros_like(W), y.shape[1]
    for k in range(len(W)):
        tap, dtap = windows.tap(frame, k, T_out), windows.tap(dframe, k, T_out)  # (B, T_out, D) each, views
        dtap += dz @ W[k].T  # (1') undoes z += x W_k; tap k of two windows is never the same step
        dW[k] = np.tensordot(tap, dz, ([0, 1], [0, 1]))  # (1'), a sum over all windows of all rows, (D, F)
    return windows.unframe(dframe, lengths, T), {"W": dW, "b": dz.sum(axis=(0, 1))}  # (1')


class Conv1D(Layer):
    """Look for F patterns in windows of K steps: (B, T, D) to (B, T_out, F).

    Args:
        filters: F, the number of patterns.
        kernel_size: K, the number of steps that a window sees. If padding "same" adds an odd number of zeros, as with
            an even K, one more of them comes after the row than before it.
        strides: steps from one window to the next.
        padding: "valid", "same" or "causal"; see ``windows.py``.
        dilation_rate: steps from one tap of a window to the next. Either this or ``strides`` must be 1.
        activation: φ; None for linear.

    Parameters: W (K, D, F) Glorot uniform, b (F,) zero.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "valid",
        *,
        dilation_rate: int = 1,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        check_positive("Conv1D", filters=filters, kernel_size=kernel_size, strides=strides, dilation_rate=dilation_rate)
        check_choice("padding", padding, "valid", "same", "causal")
        get_activation(activation, elementwise=True)
        if strides > 1 and dilation_rate > 1:
            raise ValueError(f"Conv1D: strides={strides} and dilation_rate={dilation_rate}, expected one to be 1")
        self.filters, self.kernel_size, self.strides = int(filters), int(kernel_size), int(strides)
        self.padding, self.dilation_rate, self.activation = padding, int(dilation_rate), activation
        self.windows = Windows(self.kernel_size, self.strides, self.dilation_rate, padding)

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make W and b for samples of shape (T, D); the output is (T_out, F)."""
        T, D = check_steps("Conv1D", shape_in)
        K, F = self.kernel_size, self.filters
        self.params = {"W": glorot_uniform(rng, (K, D, F), dtype), "b": np.zeros(F, dtype)}
        return (self.windows.count(T), F)

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Compute y (B, T_out, F) from x (B, T, D)."""
        W, b = check_input(self, x, lengths, "B T D", "W b")
        return conv1d_forward(x, W, b, lengths, self.windows, self.activation)

    def backward(self, dy: Array, cache: Conv1DCache) -> tuple[Array, Arrays]:
        """Compute dx (B, T, D) and the gradients of W and b."""
        check_arrays("Conv1D", cache.y.dtype, dy=(dy, cache.y.shape))
        return conv1d_backward(dy, cache)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Count each row's windows."""
        return self.windows.count(lengths)
