"""Embedding: a learned vector for every word.

Forward, for a token id n = x[b, t]::

    (1)  y[b, t] = E[n]                          the n-th row of E; 0 at a padded step

Backward: every place where a word stood adds its share to that word's row::

    (1') dE[n] = Σ dy[b, t] over all b, t with x[b, t] = n

While training with dropout, E[n] in (1) becomes E[n] m[n], and (1') gets the same factor. The mask m (V, 1), drawn as
in ``dropout.py`` but once for a word, hides a random part of the words wherever they stand, so that no verdict leans on
a single word. Gal & Ghahramani 2016 draw it for each text; here all texts that are worked on at a time share it.

Shapes: x (B, T) whole numbers from 0 to V - 1, E (V, D), y (B, T, D). It is the product of a one-hot
matrix with E, without the zeros (Bengio et al. 2003 have it as the first layer of a language model).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.initializers import uniform
from minilstm.layer import Array, Layer, Lengths, Shape, Words, live_steps, zero_padding
from minilstm.layers.dropout import dropout_mask
from minilstm.tools.checks import check_arrays, check_built, check_input, check_number, check_positive, check_tokens
from minilstm.words import RowGradient, scatter_rows


def embedding_forward(
    x: Array, E: Array, lengths: Lengths = None, m: Array | None = None
) -> tuple[Array, EmbeddingCache]:
    """Look up (1): token ids x (B, T) to y (B, T, D), with the mask m (V, 1) if given.

    Cost: a copy of y, two where rows are padded; with a mask, one of E.
    """
    x = zero_padding(x, lengths).astype(np.int64)  # (B, T), a copy: backward must find the same ids
    check_tokens(x, len(E))
    x = np.where(live_steps(lengths, x.shape[1]), x, -1) if lengths is not None else x  # (B, T)
    return Words(E if m is None else E * m, x).spread(), EmbeddingCache(None, x, E, m)  # (1), (B, T, D)


def embedding_words(x: Words, E: Array, m: Array | None = None) -> tuple[Words, EmbeddingCache]:
    """Look up (1) once for each distinct word: Words of ids to Words of vectors, with the mask m (V, 1) if given."""
    check_tokens(x.rows, len(E))
    rows, m_rows = E[x.rows], None if m is None else m[x.rows]  # (N, D), (N, 1)
    rows = rows if m_rows is None else rows * m_rows  # (1), (N, D)
    return Words(rows, x.index), EmbeddingCache(x.rows, x.index, E, m_rows)


def embedding_backward(dy: Array | Words, cache: EmbeddingCache) -> tuple[None, dict[str, Any]]:
    """Add up (1'): dy (B, T, D) to dE (V, D), or for Words to its rows that are not zero. There is no dx."""
    ids, index, E, m = cache
    N, D = len(E) if ids is None else len(ids), E.shape[1]
    if isinstance(dy, Words):
        drows = dy.rows  # (N, D)
    else:
        check_arrays("Embedding", E.dtype, dy=(dy, (*index.shape, D)))
        drows = np.zeros((N, D), E.dtype)  # (N, D)
        scatter_rows(drows, np.ascontiguousarray(dy), index)  # (1')
    drows = drows if m is None else drows * m  # (1'), (N, D)
    return None, {"E": drows if ids is None else RowGradient(ids, drows)}


class EmbeddingCache(NamedTuple):
    """What :func:`embedding_backward` needs."""

    ids: Array | None  # (N,): the distinct words, or None where all V are meant
    places: Array  # (B, T): which of them stands where, -1 at padded steps
    E: Array  # (V, D), for its shape
    m: Array | None  # (N, 1) or (V, 1), None without dropout


class Embedding(Layer):
    """Turn token ids into vectors: (B, T) to (B, T, D). The first layer of every model of text.

    Args:
        input_dim: V, the size of the vocabulary. Ids from 0 to V - 1 are valid.
        output_dim: D, the size of a vector.
        mask_zero: id 0 is no word. ``fit``, ``predict`` and ``evaluate`` then drop zeros wherever they stand.
        input_length: T, where all texts have one fixed length; Flatten needs to know it.
        dropout: the share of words to hide while training.

    Parameters: E (V, D) uniform in ±0.05.

    Raises:
        TypeError: a size that is no whole number, tokens that are no whole numbers.
        ValueError: a size below 1, a token outside the vocabulary, ``dropout`` outside [0, 1), no ``rng`` to draw with.
    """

    reads_words = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        mask_zero: bool = False,
        input_length: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positive("Embedding", input_dim=input_dim, output_dim=output_dim)
        if input_length is not None:
            check_positive("Embedding", input_length=input_length)
        self.input_dim, self.output_dim = int(input_dim), int(output_dim)
        self.mask_zero, self.input_length = mask_zero, input_length
        self.dropout = check_number("dropout", dropout, 0, 1, low_too=True)
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
        m = dropout_mask((len(E), 1), self.dropout, E.real.dtype, rng) if train and self.dropout else None  # (V, 1)
        return embedding_words(x, E, m) if isinstance(x, Words) else embedding_forward(x, E, lengths, m)

    backward = staticmethod(embedding_backward)
