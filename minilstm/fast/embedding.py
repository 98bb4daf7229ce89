"""The twin of Embedding: looks up each distinct word once, and returns only the rows of the gradient that are not 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilstm.arrays import Array, Lengths, Rng
from minilstm.fast import kernels
from minilstm.fast.optimizers import FastOptimizer
from minilstm.fast.rows import RowGradient, UniqueRows
from minilstm.fast.twin import Cache, Twin, takes_rows
from minilstm.layers import embedding


class FastEmbedding(Twin):
    """Turns token ids into UniqueRows, or into an array where the next runner takes no rows."""

    def connect(self, following: Any, stepper: Any) -> None:
        """Hand on rows where they are taken."""
        self.rows_out, self.row_gradient = takes_rows(following), isinstance(stepper, FastOptimizer)

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Any, Cache]:
        """Look up the vectors of token ids x (B, T). Cost: B T + V steps, and N D copies."""
        E = self.layer.params["E"]
        embedding.check_input(self.layer, x, lengths, "B T", "E", kind="iu")
        embedding.check_tokens(embedding.zero_padding(x, lengths), len(E))  # the kernel relies on it
        n = np.full(len(x), x.shape[1]) if lengths is None else lengths  # (B,)
        ids, index = kernels.distinct(np.ascontiguousarray(x, np.int64), n, len(E))  # (N,), (B, T), -1 at padded steps
        m = self.layer.draw_mask(train, rng)[ids]  # (N, 1)
        y = UniqueRows(E[ids] * m, index)  # (N, D)
        return (y if self.rows_out else y.to_array()), (ids, index, m)

    def backward(self, dy: Any, cache: Cache) -> tuple[None, dict[str, Any]]:
        """Compute the gradient of E, as a RowGradient where the optimiser's runner takes one."""
        (ids, index, m), E = cache, self.layer.params["E"]
        if isinstance(dy, UniqueRows):
            rows = dy.table  # (N, D)
        else:
            embedding.check_arrays("Embedding", E.dtype, dy=(dy, (*index.shape, E.shape[1])))
            rows = np.zeros((len(ids), E.shape[1]), E.dtype)  # (N, D)
            kernels.scatter_rows(rows, np.ascontiguousarray(dy), index)
        rows = rows * m  # (N, D)
        if self.row_gradient:
            return None, {"E": RowGradient(ids, rows)}
        dE = np.zeros_like(E)  # (V, D)
        dE[ids] = rows
        return None, {"E": dE}
