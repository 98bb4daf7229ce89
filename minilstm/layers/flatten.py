"""Flatten: lay all steps of a row end to end, so that a Dense layer has a weight for every position.

Forward and backward::

    (1)  y[b] = [x[b, 0] x[b, 1] ... x[b, T-1]]            0 for padded steps
    (1') dx[b, t] = part t of dy[b]

Shapes: x (B, T, D), y (B, T D).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.layers.base import Layer, zero_padding
from minilstm.tools.validate import check_arrays, check_flat, check_input


class FlattenCache(NamedTuple):
    """What :func:`flatten_backward` needs."""

    x: Array  # (B, T, D), for its shape and dtype
    lengths: Lengths  # (B,) or None


def flatten_forward(x: Array, lengths: Lengths = None) -> tuple[Array, FlattenCache]:
    """Run (1): x (B, T, D) to y (B, T D)."""
    B, T, D = x.shape
    return zero_padding(x, lengths).reshape(B, T * D), FlattenCache(x, lengths)  # (1)


def flatten_backward(dy: Array, cache: FlattenCache) -> tuple[Array, Arrays]:
    """Undo (1): dy (B, T D) to dx (B, T, D)."""
    return zero_padding(dy.reshape(cache.x.shape), cache.lengths), {}  # (1')


class Flatten(Layer):
    """Lay all steps end to end: (B, T, D) to (B, T D). T must be known: give Embedding an ``input_length``."""

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Return the output shape (T D,) for samples of shape (T, D)."""
        T, D = check_flat(shape_in)
        return (T * D,)

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Compute y (B, T D) from x (B, T, D)."""
        check_input(self, x, lengths, "B T D")
        return flatten_forward(x, lengths)

    def backward(self, dy: Array, cache: FlattenCache) -> tuple[Array, Arrays]:
        """Compute dx (B, T, D)."""
        B, T, D = cache.x.shape
        check_arrays("Flatten", cache.x.dtype, dy=(dy, (B, T * D)))
        return flatten_backward(dy, cache)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Return None: the output has no time axis."""
        return None
