"""Flatten: lay all steps of a row end to end, so that a Dense layer has a weight for every position.

Forward and backward::

    (1)  y[b] = [x[b, 0] x[b, 1] ... x[b, T-1]]            0 for padded steps
    (1') dx[b, t] = part t of dy[b]

Shapes: x (B, T, D), y (B, T D).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.layers.base import Layer, check_arrays, check_input, zero_padding


def flatten_forward(x: Array, lengths: Lengths = None) -> tuple[Array, FlattenCache]:
    """Run (1): x (B, T, D) to y (B, T D)."""
    B, T, D = x.shape
    return zero_padding(x, lengths).reshape(B, T * D), FlattenCache(x.shape, lengths, x.dtype)  # (1)


def flatten_backward(dy: Array, cache: FlattenCache) -> tuple[Array, Arrays]:
    """Undo (1): dy (B, T D) to dx (B, T, D)."""
    return zero_padding(dy.reshape(cache.shape), cache.lengths), {}  # (1')


class FlattenCache(NamedTuple):
    """What :func:`flatten_backward` needs."""

    shape: tuple[int, ...]  # of x: (B, T, D)
    lengths: Lengths  # (B,) or None
    dtype: np.dtype[Any]  # of x


class Flatten(Layer):
    """Lay all steps end to end: (B, T, D) to (B, T D). T must be known: give Embedding an ``input_length``."""

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make nothing for samples of shape (T, D); the output is (T D,)."""
        if len(shape_in) != 2 or shape_in[0] is None or shape_in[1] is None:
            raise ValueError(
                f"Flatten: a sample has shape {shape_in}, expected (T, D) with both known. Give Embedding an "
                "input_length (and no mask_zero) and pad texts to it with pad_sequences; or use GlobalMaxPooling1D, "
                "which takes any length"
            )
        return (shape_in[0] * shape_in[1],)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Array, FlattenCache]:
        """Compute y (B, T D) from x (B, T, D)."""
        check_input(self, x, lengths, "B T D")
        return flatten_forward(x, lengths)

    def backward(self, dy: Array, cache: FlattenCache) -> tuple[Array, Arrays]:
        """Compute dx (B, T, D)."""
        B, T, D = cache.shape
        check_arrays("Flatten", cache.dtype, dy=(dy, (B, T * D)))
        return flatten_backward(dy, cache)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Return None: the output has no time axis."""
        return None
