"""The twin of Embedding: looks up each distinct word once, and gives only those rows of the gradient that are not 0."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array, Lengths, Rng
from minilstm.fast import kernels
from minilstm.fast.optimizers import FastOptimizer
from minilstm.fast.rows import RowGradient, UniqueRows
from minilstm.fast.twin import Twin, takes_rows
from minilstm.layers import embedding


class FastEmbeddingCache(NamedTuple):
    """What :meth:`FastEmbedding.backward` needs."""

    ids: Array  # (N,): the distinct words, rising
    index: Array  # type: ignore[assignment]  # hides tuple.index
    # (B, T): which of them is where, -1 at padded steps
    m: Array  # (N, 1)
    shape: tuple[int, int]  # of E


class FastEmbedding(Twin):
    """Token ids to UniqueRows, or to an array where the next runner takes no rows."""

    def connect(self, following: Any, stepper: Any) -> None:
        """Hand on rows where they are taken."""
        self.rows_out, self.row_gradient = takes_rows(following), isinstance(stepper, FastOptimizer)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Any, FastEmbeddingCache]:
        """Look up the vectors of token ids x (B, T). Cost: B T + V steps, and N D copies."""
        E = self.layer.params["E"]
        embedding.check_input(self.layer, x, lengths, "B T", "E", kind="iu")
        embedding.check_tokens(embedding.zero_padding(x, lengths), len(E))  # the kernel relies on it
        full = np.full(len(x), x.shape[1]) if lengths is None else lengths  # (B,)
        ids, index = kernels.distinct(np.ascontiguousarray(x, np.int64), full, len(E))  # (N,), (B, T)
        m = self.layer.draw_mask(train, rng)[ids]  # (N, 1)
        y = UniqueRows(E[ids] * m, index)  # (N, D)
        return (y if self.rows_out else y.to_array()), FastEmbeddingCache(ids, index, m, E.shape)

    def backward(self, dy: Any, cache: FastEmbeddingCache) -> tuple[None, dict[str, Any]]:
        """Give the gradient of E, as a RowGradient where the optimiser's runner takes one."""
        ids, index, m, (V, D) = cache
        if isinstance(dy, UniqueRows):
            rows = dy.table  # (N, D)
        else:
            dtype = self.layer.params["E"].dtype
            embedding.check_arrays("Embedding", dtype, dy=(dy, (*index.shape, D)))
            rows = np.zeros((len(ids), D), dtype)  # (N, D)
            kernels.scatter_rows(rows, np.ascontiguousarray(dy), index)
        rows = rows * m  # (N, D)
        if self.row_gradient:
            return None, {"E": RowGradient(ids, rows)}
        dE = np.zeros((V, D), rows.dtype)  # (V, D)
        dE[ids] = rows
        return None, {"E": dE}
