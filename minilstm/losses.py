"""Losses: one number for how wrong the predictions p are, given the truth y, and its gradient.

For a batch of B rows with K outputs each. The mean over all B K numbers is taken, so that the size of a step does
not depend on them:

    (1) binary cross-entropy, from probabilities   L = -mean(y log p + (1 - y) log(1 - p))
        (1')                                       dp = (p - y) / (p (1 - p)) / (B K)
    (2) binary cross-entropy, from logits          L = mean(max(z, 0) - y z + log(1 + exp(-|z|)))
        (2')                                       dz = (sigmoid(z) - y) / (B K)
    (3) mean squared error                         L = mean((p - y)²);  (3') dp = 2 (p - y) / (B K)

In (1), p is first moved into [ε, 1 - ε] with ε = 1e-7, as in Keras: log 0 would be infinite. Where that changed p,
its gradient is 0, so a prediction that is wholly sure and wholly wrong teaches nothing. (2) is (1) at p = sigmoid(z),
written so that nothing overflows, and teaches always: ``BinaryCrossentropy(from_logits=True)`` after a last layer
without activation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilstm.activations import sigmoid
from minilstm.layer import Array
from minilstm.tools.checks import check_arrays


class Loss:
    """Base of all losses: :meth:`forward` gives L, :meth:`backward` dL/dp.

    Both take predictions p (B, K) and the truth y of the same shape and dtype; neither changes them.
    """

    def check(self, y: Array) -> None:
        """Raise a ValueError where the truth y (N, K) makes no sense for this loss."""

    def accuracy(self, p: Array, y: Array) -> float:
        """Compute the share of numbers in p that fall on the same side of one half as those in y."""
        return float(np.mean((p > 0.5) == (y > 0.5)))

    def forward(self, p: Array, y: Array) -> Any:
        """Compute L, a scalar."""
        raise NotImplementedError

    def backward(self, p: Array, y: Array) -> Array:
        """Compute dp (B, K)."""
        raise NotImplementedError


class BinaryCrossentropy(Loss):
    """(1) or, with ``from_logits=True``, (2): how surprised p is by a truth of 0 or 1, in nats."""

    epsilon = 1e-7

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = from_logits

    def check(self, y: Array) -> None:
        """Allow for nothing outside 0 to 1."""
        if y.size and (y.min() < 0 or y.max() > 1):
            raise ValueError(
                f"y goes from {y.min()} to {y.max()}, expected 0 (negative) to 1 (positive) for binary cross-entropy"
            )

    def accuracy(self, p: Array, y: Array) -> float:
        """As any loss's; a logit is on the positive side from 0 on."""
        return super().accuracy(sigmoid(p) if self.from_logits else p, y)

    def forward(self, p: Array, y: Array) -> Any:
        """Compute (1) or (2).

        Raises:
            ValueError: p is no probability, as without a sigmoid in the last layer; or y has another shape.
        """
        check_arrays("loss", p.dtype if p.dtype.kind == "f" else y.dtype, y=(y, p.shape))
        if self.from_logits:
            z = p
            size = np.where(z.real > 0, z, -z)  # |z|, complex-safe, (B, K)
            return np.mean(np.where(z.real > 0, z, 0) - y * z + np.log1p(np.exp(-size)))  # (2)
        if p.size and (p.real.min() < 0 or p.real.max() > 1):
            raise ValueError(
                f"predictions go from {p.real.min():.3g} to {p.real.max():.3g}, expected probabilities from 0 to 1; "
                "give the last layer activation='sigmoid', or use the loss BinaryCrossentropy(from_logits=True)"
            )
        p = self._clip(p)
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))  # (1)

    def backward(self, p: Array, y: Array) -> Array:
        """Compute (1') or (2')."""
        check_arrays("loss", p.dtype, y=(y, p.shape))
        if self.from_logits:
            return (sigmoid(p) - y) / p.size  # (2'), (B, K)
        q = self._clip(p)
        dp = (q - y) / (q * (1 - q)) / p.size  # (1'), (B, K)
        return np.where((q == p) | np.isnan(p), dp, np.zeros_like(p))

    def _clip(self, p: Array) -> Array:
        """Move p into [ε, 1 - ε]."""
        low, high = p.dtype.type(self.epsilon), p.dtype.type(1 - self.epsilon)
        return np.where(p.real < low.real, low, np.where(p.real > high.real, high, p))  # (B, K)


class MeanSquaredError(Loss):
    """(3): for numbers rather than classes."""

    def forward(self, p: Array, y: Array) -> Any:
        """Compute (3)."""
        check_arrays("loss", p.dtype if p.dtype.kind == "f" else y.dtype, y=(y, p.shape))
        return np.mean((p - y) ** 2)

    def backward(self, p: Array, y: Array) -> Array:
        """Compute (3')."""
        check_arrays("loss", p.dtype, y=(y, p.shape))
        return 2 * (p - y) / p.size  # (B, K)


LOSSES: dict[str, type[Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
}


def get_loss(loss: str | Loss) -> Loss:
    """Find a loss by its Keras name; a Loss object passes through.

    Raises:
        ValueError: there is none of that name; the message lists those there are.
        TypeError: neither a name nor a Loss.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise TypeError(f"loss={loss!r} is neither a name nor a Loss object; try 'binary_crossentropy'")
    if loss not in LOSSES:
        raise ValueError(f"loss={loss!r} is unknown; choose one of {', '.join(map(repr, LOSSES))}")
    return LOSSES[loss]()
