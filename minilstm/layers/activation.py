"""Activation: bend each number, as a layer of its own.

Forward and backward, with φ and φ' from ``activations.py``::

    (1)  y = φ(x)                                0 at a padded step
    (1') dx = φ'(x) ⊙ dy

Shapes: x and y are alike, (B, D) or (B, T, D).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minilstm import activations
from minilstm.arrays import Array, Arrays, Lengths, Rng
from minilstm.layers.base import Layer, check_arrays, check_input, zero_padding


def activation_forward(x: Array, lengths: Lengths, activation: str | None) -> tuple[Array, ActivationCache]:
    """Run (1)."""
    phi = activations.get_activation(activation)
    y = zero_padding(phi.forward(x), lengths)  # (1), the shape of x
    return y, ActivationCache(y, lengths, phi)


def activation_backward(dy: Array, cache: ActivationCache) -> tuple[Array, Arrays]:
    """Undo (1)."""
    y, lengths, phi = cache
    return phi.backward(zero_padding(dy, lengths), y), {}  # (1')


class ActivationCache(NamedTuple):
    """What :func:`activation_backward` needs."""

    y: Array  # the shape of x
    lengths: Lengths  # (B,) or None
    phi: activations.Activation


class Activation(Layer):
    """Apply a nonlinearity to each number: (B, D) or (B, T, D), unchanged in shape.

    Args:
        activation: "tanh", "sigmoid", "relu", "softmax" or "linear".

    Raises:
        ValueError: an unknown activation.
    """

    def __init__(self, activation: str) -> None:
        super().__init__()
        activations.get_activation(activation)
        self.activation = activation

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Array, ActivationCache]:
        """Compute y from x."""
        steps = np.ndim(x) == 3
        check_input(self, x, lengths, "B T D" if steps else "B D")
        return activation_forward(x, lengths if steps else None, self.activation)

    def backward(self, dy: Array, cache: ActivationCache) -> tuple[Array, Arrays]:
        """Compute dx."""
        check_arrays("Activation", cache.y.dtype, dy=(dy, cache.y.shape))
        return activation_backward(dy, cache)
