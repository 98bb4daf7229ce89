"""Conv1D: a detector of short phrases, the same at every place.

Forward, for windows of K steps over time (their geometry is in ``windows.py``; s is the stride, δ the dilation)::

    (1)  z_t = Σ_k x_{t s + k δ} W_k + b             one product for each tap k = 0 .. K-1
    (2)  y_t = φ(z_t)                                0 behind a row's last window

Backward::

    (2') dz_t = φ'(z_t) ⊙ dy_t
    (1') dx_{t s + k δ} += dz_t W_kᵀ,  dW_k = Σ_t x_{t s + k δ}ᵀ dz_t,  db = Σ_t dz_t

Shapes: x (B, T, D), W (K, D, F), b (F,), y (B, T_out, F). Indices count from the frame's start, so padding is in them.

Source: LeCun et al. 1989 (weights shared over places), Kim 2014 (over the words of a sentence).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm import kernels
from minilstm.activations import ACTIVATIONS, get_activation
from minilstm.initializers import glorot_uniform
from minilstm.layer import Array, Arrays, Layer, Lengths, Shape, Words, zero_padding
from minilstm.layers.windows import Windows
from minilstm.tools.checks import check_arrays, check_built, check_choice, check_input, check_positive, check_steps
from minilstm.words import table


def conv1d_forward(
    x: Array | Words, W: Array, b: Array, lengths: Lengths, windows: Windows, activation: str | None = None
) -> tuple[Array, Conv1DCache]:
    """Run (1) and (2): x (B, T, D) to y (B, T_out, F). Cost: B T K D F multiply-adds, N K D F for N distinct words.

    All vectors meet all K taps in one product, P; what is left of (1) is to add up the right rows of it.
    """
    phi = get_activation(activation, elementwise=True).number
    (K, _, F), D = W.shape, x.shape[-1]
    check_arrays("Conv1D", x.dtype, W=(W, (windows.size, D, F)), b=(b, (F,)))
    rows, index = table(x, lengths)  # (N, D), (B, T)
    at = windows.places(index, lengths)  # (B, T_out, K)
    live = windows.count(np.full(len(at), x.shape[1]) if lengths is None else lengths)  # (B,)
    P = (rows @ W.swapaxes(0, 1).reshape(D, K * F)).reshape(-1, K, F)  # (N, K, F), P[n, k] = x_n W_k
    y = conv1d_windows_forward(P, at, b, live, phi)  # (B, T_out, F)
    return y, Conv1DCache(rows, index, at, live, isinstance(x, Words), y, W, phi)


@kernels.twin(kernels.conv1d_windows_forward)
def conv1d_windows_forward(P: Array, at: Array, b: Array, live: Array, phi: int) -> Array:
    """Add up what each window sees, (1), and bend it, (2): from P (N, K, F) to y (B, T_out, F).

    at (B, T_out, K) tells which row of P a tap of a window sees, -1 for none; row r of the batch has live[r] windows.
    """
    with_nothing = np.concatenate([P, np.zeros_like(P, shape=(1, *P.shape[1:]))])  # (N+1, K, F), for -1
    z = with_nothing[at, np.arange(P.shape[1])].sum(axis=2) + b  # (1), (B, T_out, F)
    return zero_padding(ACTIVATIONS[phi].forward(z), live)  # (2), (B, T_out, F)


def conv1d_backward(dy: Array, cache: Conv1DCache) -> tuple[Array | Words, Arrays]:
    """Undo (2), then (1). Cost: twice that of forward."""
    rows, index, at, live, words, y, W, phi = cache
    check_arrays("Conv1D", y.dtype, dy=(dy, y.shape))
    K, D, F = W.shape
    dP, db = np.zeros((len(rows), K * F), y.dtype), np.zeros(F, y.dtype)  # (N, K*F), (F,)
    conv1d_windows_backward(dP.reshape(-1, K, F), db, np.ascontiguousarray(dy), y, at, live, phi)
    drows = dP @ W.swapaxes(1, 2).reshape(K * F, D)  # (1'), (N, D)
    dW = (rows.T @ dP).reshape(D, K, F).swapaxes(0, 1)  # (1'), (K, D, F)
    dx = Words(drows, index) if words else drows.reshape(*index.shape, D)  # (B, T, D)
    return dx, {"W": dW, "b": db}


@kernels.twin(kernels.conv1d_windows_backward)
def conv1d_windows_backward(dP: Array, db: Array, dy: Array, y: Array, at: Array, live: Array, phi: int) -> None:
    """Undo :func:`conv1d_windows_forward`: add to dP (N, K, F) and db (F,), in place."""
    dz = zero_padding(ACTIVATIONS[phi].backward(dy, y), live)  # (2'), (B, T_out, F)
    db += dz.sum(axis=(0, 1))  # (1')
    for k in range(at.shape[2]):
        seen = at[:, :, k] >= 0  # (B, T_out)
        np.add.at(dP[:, k], at[seen, k], dz[seen])  # (1')


class Conv1DCache(NamedTuple):
    """What :func:`conv1d_backward` needs."""

    rows: Array  # (N, D): the vectors of x
    places: Array  # (B, T): which of them stands where
    at: Array  # (B, T_out, K): which of them each tap sees, -1 for none
    live: Array  # (B,): how many windows each row has
    words: bool  # whether x was Words
    y: Array  # (B, T_out, F)
    W: Array  # (K, D, F)
    phi: int  # φ, by its number in activations.ACTIVATIONS


class Conv1D(Layer):
    """Look at K steps at a time for F patterns: (B, T, D) to (B, T_out, F).

    Args:
        filters: F, how many patterns.
        kernel_size: K, how many steps a window sees.
        strides: steps from one window to the next.
        padding: "valid", "same" or "causal"; see ``windows.py``.
        dilation_rate: steps between what a window sees.
        activation: φ; None for linear.

    Parameters: W (K, D, F) Glorot uniform, b (F,) zero.

    Raises:
        TypeError: a size that is no whole number.
        ValueError: a size below 1, an unknown padding or activation, stride and dilation both above 1.
    """

    reads_words = True

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
            raise ValueError(
                f"Conv1D: strides={strides} and dilation_rate={dilation_rate}, expected one of them to be 1"
            )
        self.filters, self.kernel_size, self.strides = int(filters), int(kernel_size), int(strides)
        self.padding, self.dilation_rate, self.activation = padding, int(dilation_rate), activation
        self.windows = Windows(self.kernel_size, self.strides, self.dilation_rate, padding)

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make W and b for samples of shape (T, D); the output is (T_out, F)."""
        T, D = check_steps("Conv1D", d_in)
        K, F = self.kernel_size, self.filters
        self.params = {"W": glorot_uniform(rng, K * D, K * F, (K, D, F), dtype), "b": np.zeros(F, dtype)}
        return (self.windows.count(T), F)

    def forward(
        self, x: Array | Words, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, Conv1DCache]:
        """Compute y (B, T_out, F) from x (B, T, D)."""
        W, b = check_built(self, "W", "b")
        check_input(self, x, lengths, "B T D", W.shape[1])
        return conv1d_forward(x, W, b, lengths, self.windows, self.activation)

    backward = staticmethod(conv1d_backward)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Count each row's windows."""
        return self.windows.count(lengths)
