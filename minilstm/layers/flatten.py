"""Flatten and Activation: two layers without parameters, and nearly without mathematics.

Flatten lays all steps of a row end to end, so that a Dense layer can weigh every place on its own::

    (1)  y[b] = [x[b, 0] x[b, 1] ... x[b, T-1]]            0 for padded steps
    (1') dx[b, t] = part t of dy[b]

Activation bends each number, as a layer of its own::

    (2)  y = φ(x)                                          0 at a padded step
    (2') dx = φ'(x) ⊙ dy

Shapes: x (B, T, D) to y (B, T D) for Flatten, any (B, D) or (B, T, D) to the same for Activation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.activations import Activation as Phi
from minilstm.activations import get_activation
from minilstm.layer import Array, Arrays, Layer, Lengths, Shape, zero_padding
from minilstm.tools.checks import check_arrays, check_input


def flatten_forward(x: Array, lengths: Lengths = None) -> tuple[Array, FlattenCache]:
    """Run (1): x (B, T, D) to y (B, T D)."""
    B, T, D = x.shape
    return zero_padding(x, lengths).reshape(B, T * D), FlattenCache(x.shape, lengths)  # (1)


def flatten_backward(dy: Array, cache: FlattenCache) -> tuple[Array, Arrays]:
    """Undo (1): dy (B, T D) to dx (B, T, D)."""
    B, T, D = cache.shape
    check_arrays("Flatten", dy.dtype, dy=(dy, (B, T * D)))
    return zero_padding(dy.reshape(B, T, D), cache.lengths), {}  # (1')


class FlattenCache(NamedTuple):
    """What :func:`flatten_backward` needs."""

    shape: tuple[int, ...]  # of x: (B, T, D)
    lengths: Lengths  # (B,) or None


class Flatten(Layer):
    """Lay all steps end to end: (B, T, D) to (B, T D). T must be known: give Embedding an ``input_length``.

    Parameters: none.
    """

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Nothing to make for samples of shape (T, D); the output is (T D,)."""
        if len(d_in) != 2 or d_in[0] is None or d_in[1] is None:
            raise ValueError(
                f"Flatten: a sample has shape {d_in}, expected (T, D) with both known. Give Embedding an input_length "
                "and pad texts to it with pad_sequences, or use GlobalMaxPooling1D, which takes texts of any length"
            )
        return (d_in[0] * d_in[1],)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, FlattenCache]:
        """Compute y (B, T D) from x (B, T, D)."""
        check_input(self, x, lengths, "B T D")
        return flatten_forward(x, lengths)

    def backward(self, dy: Array, cache: FlattenCache) -> tuple[Array, Arrays]:
        """Give dx; there are no parameters."""
        return flatten_backward(dy, cache)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Nothing: the output has no time axis."""
        return None


def activation_forward(x: Array, lengths: Lengths, activation: str | None) -> tuple[Array, ActivationCache]:
    """Run (2)."""
    phi = get_activation(activation)
    y = zero_padding(phi.forward(x), lengths)  # (2), the shape of x
    return y, ActivationCache(y, lengths, phi)


def activation_backward(dy: Array, cache: ActivationCache) -> tuple[Array, Arrays]:
    """Undo (2)."""
    y, lengths, phi = cache
    check_arrays("Activation", y.dtype, dy=(dy, y.shape))
    return phi.backward(zero_padding(dy, lengths), y), {}  # (2')


class ActivationCache(NamedTuple):
    """What :func:`activation_backward` needs."""

    y: Array  # the shape of x
    lengths: Lengths  # (B,) or None
    phi: Phi


class Activation(Layer):
    """Bend each number: (B, D) or (B, T, D), unchanged in shape.

    Args:
        activation: "tanh", "sigmoid", "relu", "softmax" or "linear".

    Parameters: none.

    Raises:
        ValueError: an unknown activation.
    """

    def __init__(self, activation: str) -> None:
        super().__init__()
        get_activation(activation)
        self.activation = activation

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Nothing to make: the output has the shape of the input."""
        return d_in

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, ActivationCache]:
        """Compute y from x."""
        steps = isinstance(x, np.ndarray) and x.ndim == 3
        check_input(self, x, lengths, "B T D" if steps else "B D")
        return activation_forward(x, lengths if steps else None, self.activation)

    def backward(self, dy: Array, cache: ActivationCache) -> tuple[Array, Arrays]:
        """Give dx; there are no parameters."""
        return activation_backward(dy, cache)
