"""Embedding: a learned vector for every word.

Forward, for a token id n = x[b, t]::

    (1)  y[b, t] = E[n]                          the n-th row of E; 0 at a padded step

Backward: every occurrence of a word adds to that word's row::

    (1') dE[n] = Σ dy[b, t] over all b, t with x[b, t] = n

During training with dropout, E[n] in (1) becomes E[n] m[n], and dy in (1') gets the same factor. The mask m (V, 1),
drawn as in ``dropout.py`` but once for each word, hides a random part of the words wherever they occur, so that no
prediction depends on a single word. (Gal & Ghahramani 2016 draw it for each text; here the texts of a shard share it.)

Shapes: x (B, T) integers from 0 to V - 1, E (V, D), y (B, T, D). (1) is the product of a one-hot matrix with E, without
the zeros; in Bengio et al. 2003, it is the first layer of a language model.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.initializers import uniform
from minilstm.layers.base import Layer, zero_padding
from minilstm.layers.dropout import dropout_mask
from minilstm.tools.validate import check_arrays, check_input, check_number, check_positive, check_tokens


class EmbeddingCache(NamedTuple):
    """What :func:`embedding_backward` needs."""

    x: Array  # (B, T), a copy: backward must find the same ids
    E: Array  # (V, D), for its shape
    m: Array  # (V, 1)
    lengths: Lengths  # (B,) or None


def embedding_forward(x: Array, E: Array, lengths: Lengths, m: Array) -> tuple[Array, EmbeddingCache]:
    """Look up (1): token ids x (B, T) to y (B, T, D), with the mask m (V, 1). Cost: B T D copies."""
    y = zero_padding(E[x] * m[x], lengths)  # (1), (B, T, D)
    return y, EmbeddingCache(x, E, m, lengths)


def embedding_backward(dy: Array, cache: EmbeddingCache) -> tuple[None, Arrays]:
    """Add up (1'): dy (B, T, D) to dE (V, D). Ids have no gradient. Cost: B T D additions."""
    x, E, m, lengths = cache
    dE = np.zeros_like(E)  # (V, D)
    np.add.at(dE, x, zero_padding(dy, lengths) * m[x])  # (1'); dE[x] += ... would count a repeated word once
    return None, {"E": dE}


class Embedding(Layer):
    """Turn token ids into vectors: (B, T) to (B, T, D). This is the first layer of every text model.

    Args:
        input_dim: V, the size of the vocabulary. Ids from 0 to V - 1 are valid; others raise a ValueError.
        output_dim: D, the size of a vector.
        mask_zero: id 0 is not a word. ``fit``, ``predict`` and ``evaluate`` then drop zeros wherever they occur.
        input_length: T, where all texts have one fixed length; Flatten needs to know it.
        dropout: the fraction of words to hide during training, from 0 up to but not including 1.

    Parameters: E (V, D) uniform in ±0.05.
    """

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
        self.input_dim, self.output_dim = check_positive("Embedding", input_dim=input_dim, output_dim=output_dim)
        check_positive("Embedding", **({} if input_length is None else {"input_length": input_length}))
        self.mask_zero, self.input_length = mask_zero, input_length
        self.dropout = check_number("dropout", dropout, 0, 1, inclusive=True)
        self.build_length = None if mask_zero else input_length  # with zeros dropped, lengths differ after all

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make E for samples of shape (T,); the output is (T, D)."""
        if len(shape_in) != 1:
            raise ValueError(f"Embedding: a sample has shape {shape_in}, expected (T,): token ids. Put it first")
        self.params = {"E": uniform(rng, (self.input_dim, self.output_dim), dtype)}
        return (shape_in[0], self.output_dim)

    def draw_mask(self, train: bool, rng: Rng) -> Array:
        """Draw m (V, 1); ones where nothing is to be hidden."""
        return dropout_mask((self.input_dim, 1), self.dropout if train else 0, self.params["E"].real.dtype, rng)

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Any, Any]:
        """Look up the vectors of the token ids x (B, T)."""
        (E,) = check_input(self, x, lengths, "B T", "E", kind="iu")
        x = zero_padding(x, lengths).astype(np.int64)  # (B, T), a copy
        check_tokens(x, len(E))
        return embedding_forward(x, E, lengths, self.draw_mask(train, rng))

    def backward(self, dy: Array, cache: EmbeddingCache) -> tuple[None, Arrays]:
        """Compute the gradient of E."""
        check_arrays("Embedding", cache.E.dtype, dy=(dy, (*cache.x.shape, cache.E.shape[1])))
        return embedding_backward(dy, cache)
