"""Dropout: hide a random part of the input during training, so that nothing depends on a single number.

Forward during training, with r = ``rate``::

    (1)  m = 1/(1 - r) with probability 1 - r, else 0    drawn for each number of x
    (2)  y = x ⊙ m                                       0 at a padded step

The factor 1/(1 - r) keeps the mean, so that nothing needs to change outside training: then y = x. Backward::

    (2') dx = dy ⊙ m

Shapes: x, m and y are all (B, D), or all (B, T, D). Source: Srivastava et al. 2014.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array, Arrays, Lengths, Rng
from minilstm.layers.base import Layer, zero_padding
from minilstm.tools.validate import check_arrays, check_input, check_number, check_rng


class DropoutCache(NamedTuple):
    """What :func:`dropout_backward` needs."""

    m: Array  # (1), 0 at padded steps; the shape of x


def dropout_mask(shape: tuple[int, ...], rate: float, dtype: npt.DTypeLike, rng: Rng) -> Array:
    """Draw (1), from float32 numbers, which are precise enough. A rate of 0 draws nothing."""
    if rate == 0:
        return np.ones(shape, dtype)
    return (check_rng(rng).random(shape, np.float32) >= rate).astype(dtype) * (1 / (1 - rate))


def dropout_forward(x: Array, m: Array, lengths: Lengths) -> tuple[Array, DropoutCache]:
    """Apply the mask m (2)."""
    m = zero_padding(m, lengths)
    return zero_padding(x, lengths) * m, DropoutCache(m)  # (2)


def dropout_backward(dy: Array, cache: DropoutCache) -> tuple[Array, Arrays]:
    """Undo (2)."""
    return dy * cache.m, {}  # (2')


class Dropout(Layer):
    """Hide the fraction ``rate`` of x (B, D) or (B, T, D) during training, which needs ``rng``; otherwise pass it on as
    it is. The rate is at least 0 and less than 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = check_number("rate", rate, 0, 1, inclusive=True)

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Hide a fraction of x if ``train``, with random numbers from ``rng``."""
        steps = getattr(x, "ndim", 0) == 3
        check_input(self, x, lengths, "B T D" if steps else "B D")
        m = dropout_mask(x.shape, self.rate if train else 0, x.real.dtype, rng)  # (1), the shape of x
        return dropout_forward(x, m, lengths if steps else None)

    def backward(self, dy: Array, cache: DropoutCache) -> tuple[Array, Arrays]:
        """Compute dx."""
        check_arrays("Dropout", cache.m.dtype, dy=(dy, cache.m.shape))
        return dropout_backward(dy, cache)
