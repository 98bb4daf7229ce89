"""Batches: which samples are processed together, and how texts of different lengths become one array.

A batch is padded to its longest text, and every padded step is wasted. So texts of similar length are put into a batch
together: shuffle all, sort within pools of 50 batches, shuffle the batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from minilstm.arrays import Array

BATCHES_PER_POOL = 50  # sorted by length together: more saves padding, fewer mixes better
ROWS_PER_SHARD = 16  # at least, and twice as many in batches of 64 rows or more


def pad_batch(texts: Sequence[Array]) -> tuple[Array, Array]:
    """Put B texts of token ids into one array, padded on the right: x (B, T) and their lengths (B,)."""
    lengths = np.array([len(text) for text in texts])  # (B,)
    x = np.zeros((len(texts), max(1, lengths.max())), np.int64)  # (B, T)
    for b, text in enumerate(texts):
        x[b, : lengths[b]] = text
    return x, lengths


def batches(lengths: Array, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[Array]:
    """Yield row numbers, a batch at a time: similar lengths together, in random order if ``rng`` is given."""
    N = len(lengths)
    if rng is None:
        order = np.argsort(lengths, kind="stable")  # (N,)
    else:
        order = rng.permutation(N)  # (N,)
        pools = [order[n : n + BATCHES_PER_POOL * batch_size] for n in range(0, N, BATCHES_PER_POOL * batch_size)]
        order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    starts = np.arange(0, N, batch_size)
    for n in starts if rng is None else rng.permutation(starts):
        yield order[n : n + batch_size]


def shards(lengths: Array, rows: Array) -> list[Array]:
    """Split the rows of a batch into shards of similar work, each with its longest row first.

    The number of threads plays no part here, so it changes no result.
    """
    rows = rows[np.argsort(-lengths[rows], kind="stable")]  # (B,)
    S = max(1, min(len(rows) // ROWS_PER_SHARD, max(2, len(rows) // (2 * ROWS_PER_SHARD))))
    return [rows[s::S] for s in range(S)]
