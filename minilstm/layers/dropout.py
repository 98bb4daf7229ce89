"""Dropout: while training, hide a random part of the input, so that nothing leans on a single number.

Forward while training, with r = ``rate``::

    (1)  m = 1/(1 - r) with probability 1 - r, else 0    one draw for each number of x
    (2)  y = x ⊙ m                                       0 at a padded step

The factor 1/(1 - r) keeps the mean, so that nothing needs to change when not training: then y = x.
Backward::

    (2') dx = dy ⊙ m

Shapes: x, m and y are alike, (B, D) or (B, T, D).

Source: Srivastava et al. 2014.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.layer import Array, Arrays, Layer, Lengths, zero_padding
from minilstm.tools.checks import check_arrays, check_input, check_number


def dropout_forward(
    x: Array, lengths: Lengths, rate: float, rng: np.random.Generator | None
) -> tuple[Array, DropoutCache]:
    """Draw the mask (1) and apply it (2)."""
    m = zero_padding(dropout_mask(x.shape, rate, x.real.dtype, rng), lengths)  # (1), the shape of x
    return zero_padding(x, lengths) * m, DropoutCache(m)  # (2)


def dropout_mask(shape: tuple[int, ...], rate: float, dtype: npt.DTypeLike, rng: np.random.Generator | None) -> Array:
    """Draw (1). The draw is in float32: half the bits serve as well.

    Raises:
        ValueError: there is something to draw, but ``rng`` is no Generator.
    """
    if rate == 0:
        return np.ones(shape, dtype)
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"dropout: rng is {rng!r}; training needs one, such as np.random.default_rng(0)")
    return (rng.random(shape, np.float32) >= rate).astype(dtype) * (1 / (1 - rate))


def dropout_backward(dy: Array, cache: DropoutCache) -> tuple[Array, Arrays]:
    """Undo (2)."""
    check_arrays("Dropout", cache.m.dtype, dy=(dy, cache.m.shape))
    return dy * cache.m, {}  # (2')


class DropoutCache(NamedTuple):
    """What :func:`dropout_backward` needs."""

    m: Array  # (1), 0 at padded steps; the shape of x


class Dropout(Layer):
    """Hide a share of the input while training; pass it on as it is otherwise. (B, D) or (B, T, D).

    Args:
        rate: r, the share hidden, from 0 up to but not including 1.

    Parameters: none.

    Raises:
        ValueError: ``rate`` outside [0, 1); no ``rng`` while training.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = check_number("rate", rate, 0, 1, low_too=True)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, DropoutCache]:
        """Hide a share of x if ``train``, with random numbers from ``rng``."""
        steps = isinstance(x, np.ndarray) and x.ndim == 3
        check_input(self, x, lengths, "B T D" if steps else "B D")
        lengths = lengths if steps else None
        return dropout_forward(x, lengths, self.rate if train else 0, rng)

    backward = staticmethod(dropout_backward)
