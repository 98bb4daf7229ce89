"""Losses: one number for how wrong the predictions p are, given the truth y, and its gradient.

For a batch of B rows with K outputs each. The mean over all B K numbers is taken, so that the size of a step does
not depend on them:

    (1) binary cross-entropy, from probabilities   L = -mean(y log p + (1 - y) log(1 - p))
        (1')                                       dp = (p - y) / (p (1 - p)) / (B K)
    (2) binary cross-entropy, from logits          L = mean(max(z, 0) - y z + log(1 + exp(-|z|)))
        (2')                                       dz = (sigmoid(z) - y) / (B K)
    (3) mean squared error                         L = mean((p - y)²);  (3') dp = 2 (p - y) / (B K)
    (4) categorical cross-entropy, from shares     L = -Σ y log p / B;  (4') dp = -y / p / B
    (5) categorical cross-entropy, from logits     L = Σ y (log Σ_j exp(z_j) - z) / B
        (5')                                       dz = (softmax(z) Σ_j y_j - y) / B

In (4) and (5) a row of y is 1 at the true class, else 0, and only the mean over the B rows is taken.

In (1) and (4), p is first clipped to [ε, 1 - ε] with Keras's ε = 1e-7: log 0 would be infinite. Where that changed p,
its gradient is 0, so a saturated wrong prediction gets no gradient. (2) is (1) at p = sigmoid(z), and (5) is (4) at
p = softmax(z), written so that nothing overflows; they always give a gradient: ``from_logits=True`` after a last layer
without activation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minilstm.activations import sigmoid, softmax
from minilstm.arrays import Array
from minilstm.layers.base import FLOATS, UNSUPPORTED, check_arrays
from minilstm.tools.validate import by_name


class Loss:
    """Base of all losses: :meth:`forward` gives L, :meth:`backward` dL/dp.

    Both take predictions p (B, K) and the truth y of the same shape and dtype; neither changes them.
    """

    def check(self, y: Array) -> None:
        """Raise a ValueError where the truth y (N, K) makes no sense for this loss."""

    def accuracy(self, p: Array, y: Array) -> float:
        """Compute the fraction of numbers in p that are on the same side of one half as those in y."""
        return float(np.mean(((p > 0.5) == (y > 0.5)) & ~np.isnan(p)))

    def forward(self, p: Array, y: Array) -> Any:
        """Compute L, a scalar."""
        raise NotImplementedError

    def backward(self, p: Array, y: Array) -> Array:
        """Compute dp (B, K)."""
        raise NotImplementedError


EPSILON = 1e-7


def clip(p: Array) -> Array:
    """Move p into [ε, 1 - ε]; NaN stays NaN, and a complex number counts by its real part."""
    low, high = p.dtype.type(EPSILON), p.dtype.type(1 - EPSILON)
    return np.where(p.real < low.real, low, np.where(p.real > high.real, high, p))  # (B, K)


class BinaryCrossentropy(Loss):
    """(1) or, with ``from_logits=True``, (2): how surprised p is by a truth of 0 or 1, in nats."""

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = from_logits

    def check(self, y: Array) -> None:
        """Allow only 0 to 1."""
        if y.size and (y.min() < 0 or y.max() > 1):
            raise ValueError(f"y goes from {y.min()} to {y.max()}, expected 0 (negative) to 1 (positive)")

    def accuracy(self, p: Array, y: Array) -> float:
        """As any loss's; a logit is on the positive side above 0."""
        return super().accuracy(sigmoid(p) if self.from_logits else p, y)

    def forward(self, p: Array, y: Array) -> Any:
        """Compute (1) or (2); a ValueError where p holds no probabilities, as without a sigmoid in the last layer."""
        check_truth(p, y)
        if self.from_logits:
            z = p
            size = np.where(z.real > 0, z, -z)  # |z|, complex-safe, (B, K)
            return np.mean(np.where(z.real > 0, z, 0) - y * z + np.log1p(np.exp(-size)))  # (2)
        check_probabilities(p, "sigmoid", "BinaryCrossentropy")
        p = clip(p)  # (B, K)
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))  # (1)

    def backward(self, p: Array, y: Array) -> Array:
        """Compute (1') or (2')."""
        check_truth(p, y)
        if self.from_logits:
            return (sigmoid(p) - y) / p.size  # (2'), (B, K)
        q = clip(p)  # (B, K)
        dp = (q - y) / (q * (1 - q)) / p.size  # (1'), (B, K)
        return np.where((p < q) | (p > q), np.zeros_like(p), dp)


class CategoricalCrossentropy(Loss):
    """(4) or, with ``from_logits=True``, (5): how surprised p is by the true one of K classes, in nats.

    The truth may be given as class numbers (N,), which ``fit`` and ``evaluate`` turn into rows of y (N, K).
    """

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = from_logits

    def check(self, y: Array) -> None:
        """Allow only rows of probabilities that sum to 1."""
        if y.size and (y.min() < 0 or np.abs(y.sum(axis=-1) - 1).max() > 1e-5):
            raise ValueError(
                "y holds a row that is not a class: expected a single 1 among zeros, or class numbers (N,)"
            )

    def accuracy(self, p: Array, y: Array) -> float:
        """Compute the fraction of rows in which the largest of p is the true class."""
        return float(np.mean(p.argmax(axis=-1) == y.argmax(axis=-1)))

    def forward(self, p: Array, y: Array) -> Any:
        """Compute (4) or (5); a ValueError where p (B, K) holds no probabilities, as without a softmax."""
        check_truth(p, y)
        if p.ndim != 2:
            raise ValueError(
                f"predictions have shape {p.shape}, expected (B, K): one row of probabilities for each sample"
            )
        if self.from_logits:
            z = p - p.real.max(axis=-1, keepdims=True)  # (B, K): exp cannot overflow
            return np.sum(y * (np.log(np.exp(z).sum(axis=-1, keepdims=True)) - z)) / len(p)  # (5)
        check_probabilities(p, "softmax", "CategoricalCrossentropy")
        return -np.sum(y * np.log(clip(p))) / len(p)  # (4)

    def backward(self, p: Array, y: Array) -> Array:
        """Compute (4') or (5')."""
        check_truth(p, y)
        if self.from_logits:
            return (softmax(p) * y.sum(axis=-1, keepdims=True) - y) / len(p)  # (5'), (B, K)
        q = clip(p)  # (B, K)
        return np.where((p < q) | (p > q), np.zeros_like(p), -y / q / len(p))  # (4'), (B, K)


class MeanSquaredError(Loss):
    """(3): for numbers rather than classes."""

    def forward(self, p: Array, y: Array) -> Any:
        """Compute (3)."""
        check_truth(p, y)
        return np.mean((p - y) ** 2)

    def backward(self, p: Array, y: Array) -> Array:
        """Compute (3')."""
        check_truth(p, y)
        return 2 * (p - y) / p.size  # (B, K)


LOSSES: dict[str, Callable[[], Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": CategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
}


def get_loss(loss: str | Loss) -> Loss:
    """Find a loss by its Keras name; a Loss object passes through. For errors see ``by_name``."""
    return by_name("loss", loss, LOSSES, Loss)


def check_truth(p: Array, y: Array) -> None:
    """Raise unless p is floating-point, and y of its shape, and of its dtype unless a gradient check made p complex."""
    if not isinstance(p, np.ndarray) or isinstance(p, UNSUPPORTED) or p.dtype not in FLOATS or not p.ndim or not p.size:
        got = f"{p.dtype} {p.shape}" if isinstance(p, np.ndarray) else f"a {type(p).__name__}"
        raise TypeError(f"loss: predictions are {got}, expected an array (B, K) of float32 or float64, not empty")
    check_arrays("loss", p.dtype if p.dtype.kind == "f" else getattr(y, "dtype", p.real.dtype), y=(y, p.shape))


def check_probabilities(p: Array, activation: str, loss: str) -> None:
    """Raise a ValueError unless p lies within 0 and 1 and, after a softmax, each row sums to 1."""
    remedy = f"give the last layer activation={activation!r}, or use the loss {loss}(from_logits=True)"
    if p.size and (p.real.min() < 0 or p.real.max() > 1):
        got = f"predictions go from {p.real.min():.3g} to {p.real.max():.3g}"
        raise ValueError(f"{got}, expected probabilities from 0 to 1; {remedy}")
    if activation == "softmax" and p.size and np.abs(p.real.sum(axis=-1) - 1).max() > 1e-3:
        raise ValueError(f"predictions of a row sum to {p.real.sum(axis=-1).max():.3g}, expected 1; {remedy}")
