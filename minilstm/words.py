"""Words: a batch of text in which every distinct word is kept once.

A batch of 32 reviews has some 6,000 places, but only some 700 different words. What depends on a word alone, such as
its vector, or the product of its vector with a matrix, need be computed once for each word and not for each place::

    (1)  x[b, t] = rows[index[b, t]]                  Words: rows (N, ...), index (B, T)
    (2)  x[b, t] W = (rows W)[index[b, t]]            N products instead of B T
    (2') drows[n] = Σ dx[b, t] over all b, t with index[b, t] = n

Training hands a batch to the model as Words of ids. Embedding makes them Words of vectors, and the layers that begin
with a product, LSTM and Conv1D, take these; to any other layer the model gives ``spread()``, the array. A gradient
takes the same way back: the gradient of Words is Words, and that of the embedding matrix is :class:`RowGradient`, the
few rows of it that are not zero. Given arrays, layers take and return arrays, as everywhere.

(1) covers arrays too: there every place has a row of its own. So a layer has one code for both. An index of -1 means
"nothing", a row of zeros: padding is never read.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm import kernels
from minilstm.layer import Array, Lengths, Words, live_steps, zero_padding
from minilstm.tools.checks import check_tokens


class RowGradient(NamedTuple):
    """The gradient of a matrix (V, D) of which only some rows were used; that of all others is 0."""

    at: Array  # (N,): which rows, each once
    rows: Array  # (N, D): their gradients


def add_up(parts: Sequence[Any]) -> Any:
    """Add up what the shards of a batch give: numbers, arrays, or the gradients of one embedding matrix."""
    if not isinstance(parts[0], RowGradient):
        return functools.reduce(np.add, parts)
    at = np.unique(np.concatenate([part.at for part in parts]))  # (N,)
    rows = np.zeros((len(at), parts[0].rows.shape[1]), parts[0].rows.dtype)  # (N, D)
    for part in parts:
        rows[np.searchsorted(at, part.at)] += part.rows
    return RowGradient(at, rows)


@kernels.twin(kernels.distinct)
def distinct(x: Array, lengths: Array, V: int) -> tuple[Array, Array]:  # noqa: ARG001 - its twin needs V
    """Find the distinct ids, rising, (N,), in x (B, T) with ids below V, and which of them stands where, (B, T)."""
    live = live_steps(lengths, x.shape[1])  # (B, T)
    index = np.full(x.shape, -1)  # (B, T)
    ids, index[live] = np.unique(x[live], return_inverse=True)  # (N,)
    return ids, index


def words_of(x: Array, lengths: Lengths, V: int) -> Words:
    """Turn a batch of token ids x (B, T) into Words of ids. Cost: B T + V steps."""
    B, T = x.shape
    check_tokens(x, V)
    return Words(*distinct(x.astype(np.int64), np.full(B, T) if lengths is None else lengths, V))


def table(x: Array | Words, lengths: Lengths) -> tuple[Array, Array]:
    """Give rows (N, D) and index (B, T) of (1), also for an array (B, T, D), with zeros for padded steps."""
    if isinstance(x, Words):
        return x.rows, x.index
    B, T, D = x.shape
    return zero_padding(x, lengths).reshape(B * T, D), np.arange(B * T).reshape(B, T)


@kernels.twin(kernels.scatter_rows)
def scatter_rows(drows: Array, dy: Array, index: Array) -> None:
    """Run (2'): add each dy[b, t] to the row index[b, t] of drows (N, D), in place; -1 is nothing."""
    some = index >= 0  # (B, T)
    np.add.at(drows, index[some], dy[some])
