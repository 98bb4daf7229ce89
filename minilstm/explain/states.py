"""One run of a text through the layers, the LSTMs in it, and the gradients that reach each of their states.

``lstm_backward`` returns the gradients of the parameters, of x, and of the state before the first step. The states in
between are the initial states of shorter texts: run on a single step, the function turns the gradients that reach h_t
and c_t into those that reach h_{t-1} and c_{t-1}, along the two paths of (0'). What c_t receives from both, dc_t after
(4'), comes back unchanged if the forget gate of that step is replaced by 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array, Arrays, Lengths
from minilstm.layers import LSTM, Activation, Bidirectional, Dense, Dropout, Embedding, lstm
from minilstm.layers.base import flip
from minilstm.layers.bidirectional import BidirectionalCache, merge_backward
from minilstm.layers.lstm import LSTMCache


class Run(NamedTuple):
    """What one layer computed."""

    layer: Any
    y: Array  # (1, ...)
    cache: Any
    lengths: Lengths  # (1,), of y; None without a time axis, or where it is full


def run(layers: Sequence[Any], x: Array, lengths: Lengths) -> Iterator[Run]:
    """Pass x through the layers, as ``minilstm.training.forward`` does, and yield what each of them computed."""
    for layer in layers:
        x, cache = layer.forward(x, lengths)
        lengths = layer.out_lengths(lengths)
        yield Run(layer, x, cache, lengths)


def gradients(layers: Sequence[Any], caches: Sequence[Any], dy: Array) -> list[Array]:
    """Pass dy (B, K) back through the layers: the gradient of each layer's output, those of the vectors first."""
    dys = [dy]
    for layer, cache in zip(reversed(layers[1:]), reversed(caches[1:]), strict=True):
        dys.append(layer.backward(dys[-1], cache)[0])
    return dys[::-1]


class States(NamedTuple):
    """One LSTM's run over the text, its steps in the order of reading."""

    name: str  # such as "lstm" or "bidirectional.backward"
    layer_index: int  # of its layer, which may be a Bidirectional
    cache: LSTMCache
    dy: Array  # (T, H), the gradient that reaches each h_t from the layers above
    backwards: bool  # whether its first step is the last word
    words: bool  # whether its steps are words, and not windows of them


def states(runs: Sequence[Run], dys: Sequence[Array]) -> Iterator[States]:
    """Find the LSTMs among the layers, also those in a Bidirectional."""
    backwards, words = False, True
    for n, (r, dy) in enumerate(zip(runs, dys, strict=True)):
        words = words and isinstance(r.layer, (Embedding, Dropout, Dense, Activation, LSTM, Bidirectional))
        if isinstance(r.cache, LSTMCache):
            backwards = backwards != r.layer.go_backwards
            yield States(r.layer.name, n, r.cache, every_step(dy, r.cache), backwards, words)
        elif isinstance(r.cache, BidirectionalCache):
            f, h, lengths = r.cache.f_cache, r.cache.r_cache, r.cache.lengths
            df, dr = merge_backward(dy, r.cache.f, r.cache.r, r.layer.merge_mode)
            dr = flip(dr, lengths) if dr.ndim == 3 else dr
            yield States(f"{r.layer.name}.forward", n, f, every_step(df, f), backwards, words)
            yield States(f"{r.layer.name}.backward", n, h, every_step(dr, h), not backwards, words)


def every_step(dy: Array, cache: LSTMCache) -> Array:
    """Spread the gradient of an LSTM's output over its T steps: (1, T, H), or (1, H) of the last state, to (T, H)."""
    T = cache.lengths[0]
    if dy.ndim == 3:
        return dy[0, :T]
    steps = np.zeros((T, dy.shape[1]))
    steps[-1:] = dy[0]
    return steps


def arrays_of(s: States) -> Arrays:
    """Collect gates, states and their gradients, (T, H) each, in the order of reading."""
    cache, T = s.cache, s.cache.lengths[0]
    arrays = {key: getattr(cache, key)[:T, 0] for key in "ifgo"}
    arrays |= {key: getattr(cache, key)[1 : T + 1, 0] for key in "ch"}
    arrays |= {f"{key}_prev": getattr(cache, key)[:T, 0] for key in "ch"}
    dh, dc = np.zeros((2, 1, len(cache.U)))  # (1, H) each
    rows: dict[str, list[Array]] = {"dh": [], "dc": [], "dh_path": [], "dc_path": []}
    for t in reversed(range(T)):
        now, dy = slice(t, t + 1), s.dy[None, t : t + 1]  # dy (1, 1, H)
        alone = {key: getattr(cache, key)[now] for key in "ifgo"} | {"x": cache.x[:, now], "lengths": np.ones(1, int)}
        step = cache._replace(h=cache.h[t : t + 2], c=cache.c[t : t + 2], **alone)
        kept = lstm.lstm_backward(dy, dh, dc, step._replace(f=np.ones_like(step.f)))[3]  # dc_t ⊙ 1
        for key, row in (("dh", dh + dy[0]), ("dc", kept), ("dh_path", dh), ("dc_path", dc)):
            rows[key].append(row[0])
        _, _, dh, dc = lstm.lstm_backward(dy, dh, dc, step)
    return arrays | {key: np.reshape(row[::-1], (T, len(cache.U))) for key, row in rows.items()}
