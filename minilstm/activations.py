"""Activations: the nonlinearities between the linear parts of a network.

    (1) tanh(x)
    (2) sigmoid(x) = 1 / (1 + exp(-x)) = (1 + tanh(x/2)) / 2
    (3) relu(x)    = max(x, 0)
    (4) linear(x)  = x
    (5) softmax(x) = exp(x_k) / Σ_j exp(x_j)          over the last axis: probabilities that sum to 1

Each derivative can be written with the output y alone, so a backward pass does not need x:

    (1') dx = dy (1 - y²)      (2') dx = dy y (1 - y)      (3') dx = dy where y > 0      (4') dx = dy
    (5') dx_k = y_k (dy_k - Σ_j dy_j y_j)

All of them take complex numbers too, for the complex-step check in :mod:`minilstm.gradcheck`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.tools.validate import check_choice


def tanh(x: Array) -> Array:
    """(1), elementwise."""
    return np.tanh(x)


def tanh_backward(dy: Array, y: Array) -> Array:
    """(1'), from the output y."""
    return dy * (1 - y * y)


def sigmoid(x: Array) -> Array:
    """(2), elementwise; through tanh, which cannot overflow. The absolute error in float32 is 6e-8."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """(2'), from the output y."""
    return dy * y * (1 - y)


def relu(x: Array) -> Array:
    """(3), elementwise; NumPy compares complex numbers by their real parts. NaN stays NaN, so it gets noticed."""
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
    """(5), over the last axis. Subtracting the largest x first changes no probability, and exp cannot overflow."""
    e = np.exp(x - x.real.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(dy: Array, y: Array) -> Array:
    """(5'), from the output y. Only here does each output depend on all inputs."""
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


class Activation(NamedTuple):
    """A function φ and its derivative, computed from the output."""

    name: str
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]


ACTIVATIONS = {
    "tanh": Activation("tanh", tanh, tanh_backward),
    "sigmoid": Activation("sigmoid", sigmoid, sigmoid_backward),
    "relu": Activation("relu", relu, relu_backward),
    "linear": Activation("linear", linear, linear_backward),
    "softmax": Activation("softmax", softmax, softmax_backward),
}


def get_activation(name: str | None, symbol: str = "activation", elementwise: bool = False) -> Activation:
    """Find an activation by its Keras name; None means "linear". ``elementwise`` leaves softmax out."""
    choices = [choice for choice in ACTIVATIONS if not (elementwise and choice == "softmax")]
    name = "linear" if name is None else name
    check_choice(symbol, name, *choices)
    return ACTIVATIONS[name]
