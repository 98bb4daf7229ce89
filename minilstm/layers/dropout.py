"""Dropout: while training, hide a random part of the input, so that nothing leans on a single number.

Forward while training, with r = ``rate``::

    (1)  m = 1/(1 - r) with probability 1 - r, else 0    one draw for each number of x
    (2)  y = x ⊙ m                                       0 at a padded step

The factor 1/(1 - r) keeps the mean, so that nothing needs to change when not training: then y = x.
Backward::

    (2') dx = dy ⊙ m

Source: Srivastava et al. 2014.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.layer import Array, Layer, Lengths, Shape, zero_padding


def dropout_forward(
    x: Array, rate: float, rng: np.random.Generator, lengths: Lengths = None
) -> tuple[Array, DropoutCache]:
    """Draw the mask (1) and apply it (2). The draw is in float32: half the bits serve as well."""
    keep = rng.random(x.shape, np.float32) >= rate  # the shape of x
    m = zero_padding(keep * x.real.dtype.type(1 / (1 - rate)), lengths)  # (1), the shape of x
    return zero_padding(x, lengths) * m, DropoutCache(m)  # (2)


def dropout_backward(dy: Array, cache: DropoutCache) -> Array:
    """Undo (2)."""
    return dy * cache.m  # (2')


class DropoutCache(NamedTuple):
    """What :func:`dropout_backward` needs."""

    m: Array  # the shape of x


class Dropout(Layer):
    """Hide a share of the input while training; pass it on as it is otherwise. Any shape.

    Args:
        rate: r, the share hidden, from 0 up to but not including 1.

    Raises:
        ValueError: ``rate`` outside [0, 1); no ``rng`` while training.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate is {rate}, expected 0 <= rate < 1: the share to hide")
        self.rate = float(rate)

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Nothing to make: the output has the shape of the input."""
        return d_in

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, DropoutCache]:
        """Hide a share of x if ``train``, with random numbers from ``rng``."""
        lengths = lengths if x.ndim == 3 else None
        if train and rng is None:
            raise ValueError("Dropout: rng is None; training needs one, such as np.random.default_rng(0)")
        if not train or rng is None or self.rate == 0:
            m = zero_padding(np.ones(x.shape, x.real.dtype), lengths)  # the shape of x
            return zero_padding(x, lengths), DropoutCache(m)
        return dropout_forward(x, self.rate, rng, lengths)

    def backward(self, dy: Array, cache: DropoutCache) -> tuple[Array, dict[str, Array]]:
        """Give dx; there are no parameters."""
        return dropout_backward(dy, cache), {}
