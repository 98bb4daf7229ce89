"""Losses: one number for how wrong the predictions p are, given the truth y, and its gradient.

For a batch of B rows with K outputs each; the mean keeps the size of a step independent of both:

    (1) binary cross-entropy, from probabilities   L = -mean(y log p + (1 - y) log(1 - p))
        (1')                                       dp = (p - y) / (p (1 - p)) / (B K)
    (2) binary cross-entropy, from logits          L = mean(max(z, 0) - y z + log(1 + exp(-|z|)))
        (2')                                       dz = (sigmoid(z) - y) / (B K)
    (3) mean squared error                         L = mean((p - y)²);  (3') dp = 2 (p - y) / (B K)
    (4) categorical cross-entropy, probabilities   L = -Σ y log p / B;  (4') dp = -y / p / B
    (5) categorical cross-entropy, from logits     L = Σ y (log Σ_j exp(z_j) - z) / B
        (5')                                       dz = (softmax(z) Σ_j y_j - y) / B

In (4) and (5) a row of y is 1 at the true class, else 0, and only the mean over the B rows is taken. In (1) and (4), p
is first clipped to [ε, 1 - ε] with Keras's ε = 1e-7: log 0 would be infinite. Where that changed p, its gradient is 0,
so a saturated wrong prediction gets no gradient. (2) is (1) at p = sigmoid(z), and (5) is (4) at p = softmax(z), so
written that nothing overflows; they always give a gradient: ``from_logits=True`` after a last layer without activation.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minilstm.activations import sigmoid, softmax
from minilstm.arrays import Array
from minilstm.tools.validate import by_name, check_binary, check_classes, check_probabilities, check_truth

EPSILON = 1e-7


class Loss:
    """Base of all losses: :meth:`forward` gives L, :meth:`backward` dL/dp.

    Both take predictions p (B, K) and the truth y of the same shape and dtype; neither changes them. An array of
    another shape, or predictions that are not probabilities where (1) or (4) needs them, are a ValueError.
    """

    threshold = 0.5  # predictions above it are positive

    def check(self, y: Array) -> None:
        """Raise a ValueError where the truth y (N, K) makes no sense for this loss."""

    def accuracy(self, p: Array, y: Array) -> float:
        """Compute the fraction of numbers in p that are as positive or negative as those in y."""
        return float(np.mean(((p > self.threshold) == (y > 0.5)) & ~np.isnan(p)))

    def forward(self, p: Array, y: Array) -> Any:
        """Compute L, a scalar."""
        raise NotImplementedError

    def backward(self, p: Array, y: Array) -> Array:
        """Compute dp (B, K)."""
        raise NotImplementedError


def clip(p: Array) -> Array:
    """Move p into [ε, 1 - ε]; NaN stays NaN, and a complex number counts by its real part."""
    low, high = p.dtype.type(EPSILON), p.dtype.type(1 - EPSILON)
    return np.where(p.real < low.real, low, np.where(p.real > high.real, high, p))  # (B, K)


class BinaryCrossentropy(Loss):
    """(1) or, with ``from_logits=True``, (2): how surprised p is by a truth of 0 or 1, in nats."""

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits, self.threshold = from_logits, 0.0 if from_logits else 0.5

    check = staticmethod(check_binary)

    def forward(self, p: Array, y: Array) -> Any:
        """Compute (1), or (2) with p the logits z."""
        check_truth(p, y)
        if self.from_logits:
            size = np.where(p.real > 0, p, -p)  # |z|, complex-safe, (B, K)
            return np.mean(np.where(p.real > 0, p, 0) - y * p + np.log1p(np.exp(-size)))  # (2)
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

    check = staticmethod(check_classes)

    def accuracy(self, p: Array, y: Array) -> float:
        """Compute the fraction of rows in which the largest of p is the true class."""
        return float(np.mean(p.argmax(axis=-1) == y.argmax(axis=-1)))

    def forward(self, p: Array, y: Array) -> Any:
        """Compute (4), or (5) with p the logits z."""
        check_truth(p, y, axes=2)
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
    """Find a loss by its Keras name; a Loss passes through. A ValueError lists the names that exist."""
    return by_name("loss", loss, LOSSES, Loss)
