"""Embedding: a learned vector for every word.

Forward, for a token id n = x[b, t]::

    (1)  y[b, t] = E[n]                          the n-th row of E; 0 at a padded step

Backward: every place where a word stood adds its share to that word's row::

    (1') dE[n] = Σ dy[b, t] over all b, t with x[b, t] = n

Shapes: x (B, T) whole numbers from 0 to V - 1, E (V, D), y (B, T, D). It is the product of a one-hot
matrix with E, without the zeros (Bengio et al. 2003 have it as the first layer of a language model).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.initializers import uniform
from minilstm.layer import Array, Layer, Lengths, Shape, Words, live_steps, zero_padding
from minilstm.tools.checks import check_arrays, check_built, check_input, check_positive, check_tokens
from minilstm.words import RowGradient, scatter_rows


def embedding_forward(x: Array, E: Array, lengths: Lengths = None) -> tuple[Array, EmbeddingCache]:
    """Look up (1): token ids x (B, T) to y (B, T, D). Cost: a copy of y, two where rows are padded."""
    x = zero_padding(x, lengths).astype(np.int64)  # (B, T), a copy: backward must find the same ids
    check_tokens(x, len(E))
    x = np.where(live_steps(lengths, x.shape[1]), x, -1) if lengths is not None else x  # (B, T)
    return Words(E, x).spread(), EmbeddingCache(None, x, E)  # (1), (B, T, D)


def embedding_words(x: Words, E: Array) -> tuple[Words, EmbeddingCache]:
    """Look up (1) once for each distinct word: Words of ids to Words of vectors."""
    check_tokens(x.rows, len(E))
    return Words(E[x.rows], x.index), EmbeddingCache(x.rows, x.index, E)  # (1)


def embedding_backward(dy: Array | Words, cache: EmbeddingCache) -> tuple[None, dict[str, Any]]:
    """Add up (1'): dy (B, T, D) to dE (V, D), or for Words to its rows that are not zero. There is no dx."""
    ids, index, E = cache
    N, D = len(E) if ids is None else len(ids), E.shape[1]
    if isinstance(dy, Words):
        drows = dy.rows  # (N, D)
    else:
        check_arrays("Embedding", E.dtype, dy=(dy, (*index.shape, D)))
        drows = np.zeros((N, D), E.dtype)  # (N, D)
        scatter_rows(drows, np.ascontiguousarray(dy), index)  # (1')
    return None, {"E": drows if ids is None else RowGradient(ids, drows)}


class EmbeddingCache(NamedTuple):
    """What :func:`embedding_backward` needs."""

    ids: Array | None  # (N,): the distinct words, or None where all V are meant
    places: Array  # (B, T): which of them stands where, -1 at padded steps
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

    reads_words = True

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
        self, x: Array | Words, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array | Words, EmbeddingCache]:
        """Look up the vectors of the token ids x (B, T)."""
        (E,) = check_built(self, "E")
        check_input(self, x, lengths, "B T", kind="iu")
        return embedding_words(x, E) if isinstance(x, Words) else embedding_forward(x, E, lengths)

    backward = staticmethod(embedding_backward)
