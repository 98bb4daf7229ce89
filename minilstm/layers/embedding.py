"""Embedding: a learned vector for every word.

Forward, for a token id n = x[b, t]::

    (1)  y[b, t] = E[n]                          the n-th row of E; 0 at a padded step

Backward: every place where a word stood adds its share to that word's row::

    (1') dE[n] = Σ dy[b, t] over all b, t with x[b, t] = n

Shapes: x (B, T) whole numbers from 0 to V - 1, E (V, D), y (B, T, D). It is the product of a one-hot
matrix with E, without the zeros (Bengio et al. 2003 have it as the first layer of a language model).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm import kernels
from minilstm.initializers import uniform
from minilstm.layer import Array, Arrays, Layer, Lengths, Shape, zero_padding
from minilstm.tools.checks import check_arrays, check_built, check_input, check_positive, check_tokens


def embedding_forward(x: Array, E: Array, lengths: Lengths = None) -> tuple[Array, EmbeddingCache]:
    """Look up (1): token ids x (B, T) to y (B, T, D). Cost: a copy of y, two where rows are padded."""
    x = zero_padding(x, lengths).astype(np.int64)  # (B, T), a copy: backward must find the same ids
    check_tokens(x, len(E))
    y = zero_padding(E[x], lengths)  # (1), (B, T, D)
    return y, EmbeddingCache(x, lengths, E)


def embedding_backward(dy: Array, cache: EmbeddingCache) -> tuple[None, Arrays]:
    """Add up (1'): dy (B, T, D) to dE (V, D). There is no dx."""
    x, lengths, E = cache
    check_arrays("Embedding", E.dtype, dy=(dy, (*x.shape, E.shape[1])))
    dE = np.zeros_like(E)  # (V, D)
    scatter_add(dE, x, np.ascontiguousarray(zero_padding(dy, lengths)))
    return None, {"E": dE}


@kernels.twin(kernels.scatter_add)
def scatter_add(dE: Array, x: Array, dy: Array) -> None:
    """Add dy[b, t] to the row x[b, t] of dE, in place, for all b and t."""
    np.add.at(dE, x, dy)


class EmbeddingCache(NamedTuple):
    """What :func:`embedding_backward` needs."""

    x: Array  # (B, T), 0 at padded steps
    lengths: Lengths  # (B,) or None
    E: Array  # (V, D), for its shape


class Embedding(Layer):
    """Turn token ids into vectors: (B, T) to (B, T, D). The first layer of every model of text.

    Args:
        input_dim: V, the size of the vocabulary. Ids from 0 to V - 1 are valid.
        output_dim: D, the size of a vector.
        mask_zero: id 0 is no word. ``fit``, ``predict`` and ``evaluate`` then drop zeros wherever they stand.
        input_length: T, where all texts have one fixed length; Flatten needs to know it.

    Parameters: E (V, D) uniform in ±0.05.

    Raises:
        TypeError: a size that is no whole number, tokens that are no whole numbers.
        ValueError: a size below 1, a token outside the vocabulary.
    """

    def __init__(
        self, input_dim: int, output_dim: int, *, mask_zero: bool = False, input_length: int | None = None
    ) -> None:
        super().__init__()
        check_positive("Embedding", input_dim=input_dim, output_dim=output_dim)
        if input_length is not None:
            check_positive("Embedding", input_length=input_length)
        self.input_dim, self.output_dim = int(input_dim), int(output_dim)
        self.mask_zero, self.input_length = mask_zero, input_length
        self.build_length = None if mask_zero else input_length  # with zeros dropped, lengths differ after all

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make E; samples have shape (T,), the output is (T, D)."""
        if len(d_in) != 1:
            raise ValueError(f"Embedding: a sample has shape {d_in}, expected (T,): token ids. Put it first")
        self.params = {"E": uniform(rng, (self.input_dim, self.output_dim), dtype)}
        return (d_in[0], self.output_dim)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, EmbeddingCache]:
        """Look up the vectors of the token ids x (B, T)."""
        (E,) = check_built(self, "E")
        check_input(self, x, lengths, "B T", kind="iu")
        return embedding_forward(x, E, lengths)

    backward = staticmethod(embedding_backward)
