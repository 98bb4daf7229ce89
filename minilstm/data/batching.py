"""Batches: which samples are processed together, and how texts of different lengths become one array.

Texts of a batch are padded to the longest, and every padded step is wasted. So texts of similar length are put into a
batch together: shuffle all, sort within pools of 50 batches, shuffle the batches.

A batch is processed in shards, each an array of its own. A shard has at most STEPS_PER_SHARD steps, padding included,
unless a single text is longer. So short texts are not padded to a very long one, and each thread needs the memory of
STEPS_PER_SHARD steps, or of the longest text if that is more. Until the backward pass, an LSTM keeps about D + 6 H
numbers for each step: with D = 50 and H = 100 in float32, 260 MB for a text of 100,000 words.
"""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array, Lengths

BATCHES_PER_POOL = 50  # sorted by length together: more saves padding, fewer mixes better
ROWS_PER_SHARD = 16  # at least, and twice as many in batches of 64 rows or more, unless they are very long
STEPS_PER_SHARD = 1 << 17  # at most, with padding, such as 32 texts of 4,096 words; or one text, however long


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

    While they would have more than STEPS_PER_SHARD steps, the longest rows get a shard of their own, in which no row is
    shorter than half the longest. Shards do not depend on the number of threads, so neither do the results.
    """
    rows = rows[np.argsort(-lengths[rows], kind="stable")]  # (B,)
    parts: list[Array] = []
    while len(rows):
        B, T = len(rows), int(lengths[rows[0]])
        S = max(1, min(B // ROWS_PER_SHARD, max(2, B // (2 * ROWS_PER_SHARD))))
        if B == 1 or T * math.ceil(B / S) <= STEPS_PER_SHARD:
            return parts + [rows[s::S] for s in range(S)]
        similar = int(np.count_nonzero(2 * lengths[rows] >= T))
        n = max(1, min(similar, STEPS_PER_SHARD // T))
        parts, rows = [*parts, rows[:n]], rows[n:]
    return parts


class Shard(NamedTuple):
    """Some rows of a batch."""

    x: Array  # (B, T) or (B, ...)
    lengths: Lengths  # (B,) or None
    y: Array  # (B, K)


def tree_sum(parts: Sequence[Any], add: Callable[[Any, Any], Any] = operator.add) -> Any:
    """Add up what the shards give, in the order of a binary tree: 0 + 1, 2 + 3, ..., then their sums, and so on.

    Rounding depends on the order, so it is fixed: whoever adds a branch of the tree, the sum is the same bit for bit.
    """
    while len(parts) > 1:
        pairs = [parts[n : n + 2] for n in range(0, len(parts), 2)]
        parts = [add(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return parts[0]


def add_shards(one: tuple[Array, Any], other: tuple[Array, Any]) -> tuple[Array, dict[str, Any]]:
    """Add the sums and the gradients of two shards."""
    return one[0] + other[0], {name: g + other[1][name] for name, g in one[1].items()}
