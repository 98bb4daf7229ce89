"""Dense: every output sees every input. Activation: the second step of Dense, as a layer of its own.

Forward, for a batch of vectors, or for every step of a batch of sequences::

    (1)  z = x W + b
    (2)  y = φ(z)                                0 at a padded step

Backward::

    (2') dz = φ'(z) ⊙ dy
    (1') dx = dz Wᵀ,  dW = xᵀ dz,  db = Σ dz     sums over all rows, and steps if there are any

Shapes: x (B, D) or (B, T, D), W (D, H), b (H,), y (B, H) or (B, T, H); φ is ``activation``. In Activation, z is x.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm import activations
from minilstm.activations import get_activation
from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.initializers import glorot_uniform
from minilstm.layers.base import Layer, zero_padding
from minilstm.tools.validate import check_arrays, check_features, check_input, check_positive


class DenseCache(NamedTuple):
    """What :func:`dense_backward` needs."""

    x: Array  # (B, D) or (B, T, D), zeros at padded steps
    y: Array  # (B, H) or (B, T, H)
    lengths: Lengths  # (B,) or None
    W: Array  # (D, H)
    phi: activations.Activation  # φ


def dense_forward(
    x: Array, W: Array, b: Array, lengths: Lengths = None, activation: str | None = None
) -> tuple[Array, DenseCache]:
    """Run (1) and (2). Cost: D H multiply-adds per row or step."""
    phi = get_activation(activation)
    x = zero_padding(x, lengths)  # (B, D) or (B, T, D)
    y = phi.forward(x @ W + b)  # (1), (2), (B, H) or (B, T, H)
    y = zero_padding(y, lengths)
    return y, DenseCache(x, y, lengths, W, phi)


def dense_backward(dy: Array, cache: DenseCache) -> tuple[Array, Arrays]:
    """Undo (2), then (1). Cost: twice that of forward."""
    x, y, lengths, W, phi = cache
    dz = phi.backward(zero_padding(dy, lengths), y)  # (2'), the shape of y
    dx = dz @ W.T  # (1') undoes z = x W + b, the shape of x
    D, H = W.shape
    x, dz = x.reshape(-1, D), dz.reshape(-1, H)  # steps become rows
    return dx, {"W": x.T @ dz, "b": dz.sum(axis=0)}  # (1')


class Dense(Layer):
    """Multiply by a matrix, add a bias, apply the activation: (B, D) to (B, H), or (B, T, D) to (B, T, H).

    Args:
        units: H, the number of outputs.
        activation: "tanh", "sigmoid", "relu", "softmax", "linear", or None for linear.

    Parameters: W (D, H) Glorot uniform, b (H,) zero.
    """

    def __init__(self, units: int, activation: str | None = None) -> None:
        super().__init__()
        get_activation(activation)
        (self.units,), self.activation = check_positive("Dense", units=units), activation

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make W and b for samples of shape (D,) or (T, D)."""
        D, H = check_features(shape_in), self.units
        self.params = {"W": glorot_uniform(rng, (D, H), dtype), "b": np.zeros(H, dtype)}
        return (*shape_in[:-1], H)

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Compute y (B, H) from x (B, D), or y (B, T, H) from x (B, T, D)."""
        steps = getattr(x, "ndim", 0) == 3
        W, b = check_input(self, x, lengths, "B T D" if steps else "B D", "W b")
        return dense_forward(x, W, b, lengths if steps else None, self.activation)

    def backward(self, dy: Array, cache: DenseCache) -> tuple[Array, Arrays]:
        """Compute dx and the gradients of W and b."""
        check_arrays("Dense", cache.y.dtype, dy=(dy, cache.y.shape))
        return dense_backward(dy, cache)


class ActivationCache(NamedTuple):
    """What :func:`activation_backward` needs."""

    y: Array  # the shape of x
    lengths: Lengths  # (B,) or None
    phi: activations.Activation  # φ


def activation_forward(x: Array, lengths: Lengths, activation: str | None) -> tuple[Array, ActivationCache]:
    """Run (2)."""
    phi = get_activation(activation)
    y = zero_padding(phi.forward(x), lengths)  # (2), the shape of x
    return y, ActivationCache(y, lengths, phi)


def activation_backward(dy: Array, cache: ActivationCache) -> tuple[Array, Arrays]:
    """Undo (2)."""
    y, lengths, phi = cache
    return phi.backward(zero_padding(dy, lengths), y), {}  # (2')


class Activation(Layer):
    """Apply "tanh", "sigmoid", "relu", "softmax" or "linear" to x (B, D) or (B, T, D), which keeps its shape."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        get_activation(activation)
        self.activation = activation

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Compute y from x."""
        steps = getattr(x, "ndim", 0) == 3
        check_input(self, x, lengths, "B T D" if steps else "B D")
        return activation_forward(x, lengths if steps else None, self.activation)

    def backward(self, dy: Array, cache: ActivationCache) -> tuple[Array, Arrays]:
        """Compute dx."""
        check_arrays("Activation", cache.y.dtype, dy=(dy, cache.y.shape))
        return activation_backward(dy, cache)
