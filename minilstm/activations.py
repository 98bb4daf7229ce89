"""Activations: the bends between the linear parts of a network.

    (1) tanh(x)
    (2) sigmoid(x) = 1 / (1 + exp(-x)) = (1 + tanh(x/2)) / 2
    (3) relu(x)    = max(x, 0)
    (4) linear(x)  = x
    (5) softmax(x) = exp(x_k) / Σ_j exp(x_j)          over the last axis: shares that add up to 1

Each derivative can be written with the output y alone, so that a backward pass needs no x:

    (1') dx = dy (1 - y²)      (2') dx = dy y (1 - y)      (3') dx = dy where y > 0      (4') dx = dy
    (5') dx_k = y_k (dy_k - Σ_j dy_j y_j)

All of them take complex numbers too, for the complex-step check in :mod:`minilstm.gradcheck`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minilstm.layer import Array


def tanh(x: Array) -> Array:
    """(1), elementwise."""
    return np.tanh(x)


def tanh_backward(dy: Array, y: Array) -> Array:
    """(1'), from the output y."""
    return dy * (1 - y * y)


def sigmoid(x: Array) -> Array:
    """(2), elementwise. By way of tanh, which NumPy computes fast and which cannot overflow.

    The error is 6e-8 in float32, absolute, not relative: near 0 few digits are right.
    """
    return 0.5 * (1 + np.tanh(0.5 * x))


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """(2'), from the output y."""
    return dy * y * (1 - y)


def relu(x: Array) -> Array:
    """(3), elementwise; of complex numbers NumPy compares the real parts. NaN stays NaN, so that it gets noticed."""
    return np.maximum(x, 0)


def relu_backward(dy: Array, y: Array) -> Array:
    """(3'), from the output y. At the kink itself the slope is taken as 0."""
    return dy * (y.real > 0)


def linear(x: Array) -> Array:
    """(4), the activation of a layer that has none."""
    return x


def linear_backward(dy: Array, _y: Array) -> Array:
    """(4'); the output is not needed."""
    return dy


def softmax(x: Array) -> Array:
    """(5), over the last axis. The largest x is taken off first: it changes no share, and exp cannot overflow."""
    e = np.exp(x - x.real.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(dy: Array, y: Array) -> Array:
    """(5'), from the output y. The one activation in which a number's slope depends on the others."""
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


class Activation(NamedTuple):
    """A function and its derivative by way of the output."""

    name: str
    number: int  # by which the kernels know it
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]


ACTIVATIONS = (
    Activation("tanh", 0, tanh, tanh_backward),
    Activation("sigmoid", 1, sigmoid, sigmoid_backward),
    Activation("relu", 2, relu, relu_backward),
    Activation("linear", 3, linear, linear_backward),
    Activation("softmax", 4, softmax, softmax_backward),
)
"""All activations, each at the place of its number. The kernels have all but the last."""


def get_activation(name: str | None, symbol: str = "activation", elementwise: bool = False) -> Activation:
    """Find an activation by its Keras name; None means "linear". ``elementwise`` leaves softmax out.

    Raises:
        ValueError: there is none of that name; the message lists those there are.
    """
    choices = ACTIVATIONS[:-1] if elementwise else ACTIVATIONS
    for activation in choices:
        if (name is None or isinstance(name, str)) and activation.name == (name or "linear"):
            return activation
    names = ", ".join(repr(activation.name) for activation in choices)
    raise ValueError(f"{symbol}={name!r} is unknown; choose one of {names}")
