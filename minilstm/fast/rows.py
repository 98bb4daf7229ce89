"""Unique rows: a batch of text in which every distinct word is kept once.

A batch of 32 reviews has some 6,000 positions, but only some 700 different words. What depends on a word alone, such as
its vector, or the product of its vector with a matrix, need be computed only once for each word::

    (1)  x[b, t] = table[index[b, t]]                 table (N, ...), index (B, T)
    (2)  x[b, t] W = (table W)[index[b, t]]           N products instead of B T
    (2') dtable[n] = Σ dx[b, t] over all b, t with index[b, t] = n

The twin of Embedding hands UniqueRows of vectors to the next twin if that begins with a product, as LSTM and Conv1D do.
The gradient takes the same way back: the gradient of UniqueRows is UniqueRows, and that of the embedding matrix is a
:class:`RowGradient`, the few rows of it that are not zero.

Equation (1) describes arrays too: there every position has a row of its own, so a twin has one code for both. An index
of -1 represents padding, a row of zeros that is never read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minilstm.arrays import Array


@dataclass(frozen=True)
class UniqueRows:
    """An array (B, T, D) in which equal vectors are kept once: x[b, t] = table[index[b, t]]."""

    table: Array  # (N, D)
    index: Array  # (B, T), int64; -1 at padded steps

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return (*self.index.shape, *self.table.shape[1:])

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, steps: Any) -> UniqueRows:  # rearrange steps, as ``flip`` does
        return UniqueRows(self.table, self.index[steps])

    def __add__(self, other: UniqueRows) -> UniqueRows:  # of the same words
        return UniqueRows(self.table + other.table, self.index)

    def to_array(self) -> Array:
        """Return the array (B, T, D), with zeros at padded steps."""
        table = np.concatenate([self.table, np.zeros_like(self.table, shape=(1, *self.table.shape[1:]))])  # (N+1, D)
        return table[self.index]


@dataclass(frozen=True)
class RowGradient:
    """The gradient of a matrix (V, D) of which only some rows were used; that of all others is 0."""

    index: Array  # (N,): which rows, each once, rising
    rows: Array  # (N, D): their gradients

    def __add__(self, other: RowGradient) -> RowGradient:  # the gradient of another shard
        index = np.union1d(self.index, other.index)  # (N,)
        rows = np.zeros((len(index), self.rows.shape[1]), self.rows.dtype)  # (N, D)
        for part in (self, other):
            rows[np.searchsorted(index, part.index)] += part.rows
        return RowGradient(index, rows)
