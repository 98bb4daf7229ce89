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
from minilstm.layer import Array, Arrays, Layer, Lengths, zero_padding
from minilstm.tools.checks import check_arrays, check_input


def activation_forward(x: Array, lengths: Lengths, activation: str | None) -> tuple[Array, ActivationCache]:
    """Run (1)."""
    phi = activations.get_activation(activation)
    y = zero_padding(phi.forward(x), lengths)  # (1), the shape of x
    return y, ActivationCache(y, lengths, phi)


def activation_backward(dy: Array, cache: ActivationCache) -> tuple[Array, Arrays]:
    """Undo (1)."""
    y, lengths, phi = cache
    check_arrays("Activation", y.dtype, dy=(dy, y.shape))
    return phi.backward(zero_padding(dy, lengths), y), {}  # (1')


class ActivationCache(NamedTuple):
    """What :func:`activation_backward` needs."""

    y: Array  # the shape of x
    lengths: Lengths  # (B,) or None
    phi: activations.Activation


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
        activations.get_activation(activation)
        self.activation = activation

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, ActivationCache]:
        """Compute y from x."""
        steps = isinstance(x, np.ndarray) and x.ndim == 3
        check_input(self, x, lengths, "B T D" if steps else "B D")
        return activation_forward(x, lengths if steps else None, self.activation)

    backward = staticmethod(activation_backward)
