"""Attributions: how much each word adds to the logit, by four methods that do not agree.

For the vectors x_t of T words and the logit L(x_1 .. x_T)::

    (1)  leave_one_out_t         = L(all words) - L(all words but t)
    (2)  gradient_x_input_t      = x_t · ∂L/∂x_t
    (3)  integrated_gradients_t  = x_t · mean of ∂L/∂x_t at α x, over α from 0 to 1
    (4)  memory_t                = Σ_j A_t[j] i_t[j] g_t[j],   A_t = r_t + f_{t+1} ⊙ A_{t+1}

(1) is an experiment, but two words that say the same thing hide each other: leaving out either of them changes nothing.
(2) uses the slope at the whole text. An LSTM forgets, so the slope fades towards early words, and a saturated gate has
none. Its sum means nothing.
(3) sums to L(x) - L(0), where every word has the vector 0, up to the error of a mean over 50 midpoints
(Sundararajan, Taly & Yan 2017).
(4) expands the sum in the cell of the last LSTM whose steps are words. Equation (3) of ``layers/lstm.py`` gives exactly

    (5)  c_T = Σ_t (Π_{s>t} f_s) ⊙ i_t ⊙ g_t

so each part of c_T belongs to one word. r_t = ∂L/∂h_t ⊙ (h_t - o_t φ(0)) / c_t, with the gradient from the layers above
alone, says how much each unit of c_t counts. If these layers are linear, the sum is L minus the logit with empty cells.
What the gates owe to earlier words is not credited to those: (4) says which word wrote, not which one decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from minilstm.activations import get_activation
from minilstm.arrays import Array, Arrays, Lengths
from minilstm.explain.reader import STEPS, Reader
from minilstm.explain.states import Run, States
from minilstm.layers import Activation, AveragePooling1D, Dense, Dropout, Flatten, GlobalAveragePooling1D
from minilstm.layers.bidirectional import merge_forward
from minilstm.training import forward

NAMES = ("leave_one_out", "gradient_x_input", "integrated_gradients", "memory")
POINTS = 50  # of (3)
LINEAR = (Dropout, AveragePooling1D, GlobalAveragePooling1D, Flatten)


def leave_one_out(reader: Reader, ids: Array, target: int) -> Array:
    """Run the model without each of N words in turn (1): (N,)."""
    texts = [ids, *(np.delete(ids, n) for n in range(len(ids)))]
    whole, *parts = reader.logits(texts)[:, target]
    return whole - np.array(parts)  # (1), (N,)


def integrated_gradients(reader: Reader, x: Array, lengths: Lengths, target: int) -> tuple[Array, float]:
    """Average the gradient from the vector 0 to x (1, T, D) by the midpoint rule (3): (T,), and the expected sum."""
    layers, mean = reader.layers[1:], np.zeros(x.shape[1:])  # (T, D)
    alphas, size = (np.arange(POINTS) + 0.5) / POINTS, max(1, STEPS // x.shape[1])
    for part in np.split(alphas, range(size, POINTS, size)):
        repeated = None if lengths is None else np.repeat(lengths, len(part))  # (B,)
        y, caches = forward(layers, part[:, None, None] * x, repeated)  # y (B, K)
        dx = np.zeros_like(y)
        dx[:, target] = 1
        for layer, cache in zip(reversed(layers), reversed(caches), strict=True):
            dx, _ = layer.backward(dx, cache)  # at last (B, T, D)
        mean += dx.sum(axis=0) / POINTS
    ends = [forward(layers, alpha * x, lengths)[0][0, target] for alpha in (0, 1)]
    return (x[0] * mean).sum(axis=1), ends[1] - ends[0]  # (3), (T,)


def memory_account(f: Array, i: Array, g: Array) -> Array:
    """Compute, from its gates, what each step of an LSTM wrote that is still in c_T, the terms of (5): (T, H)."""
    kept = np.cumprod(np.concatenate([f[1:], np.ones_like(f[:1])])[: len(f)][::-1], axis=0)[::-1]  # Π f_s, (T, H)
    return kept * i * g  # (5), (T, H)


def memory(s: States) -> Array:
    """Run (4) over the states of one LSTM, in the order of reading: (T,)."""
    cache, T = s.cache, s.cache.lengths[0]
    phi_0 = cache.phi.forward(np.zeros(1))
    slope = cache.phi.backward(np.ones(1), phi_0)  # φ'(0); o φ'(0) is the limit of the quotient where c is 0
    A, out = 0, np.zeros(T)
    for t in reversed(range(T)):
        c, o = cache.c[t + 1, 0], cache.o[t, 0]  # (H,) each
        zero = c == 0
        per_c = np.where(zero, o * slope, (cache.h[t + 1, 0] - o * phi_0) / np.where(zero, 1, c))  # (H,)
        A = s.dy[t] * per_c + (cache.f[t + 1, 0] * A if t + 1 < T else 0)  # (4), (H,)
        out[t] = (A * cache.i[t, 0] * cache.g[t, 0]).sum()  # (4)
    return out


def emptied(run: Run, lstms: Sequence[States]) -> Array:
    """Compute the output of an LSTM or Bidirectional with every c_t replaced by 0, just before (4) of lstm.py."""
    h = []
    for s in lstms:
        every = (s.cache.o * s.cache.phi.forward(np.zeros(1))).swapaxes(0, 1)  # (1, T, H)
        last = every[:, : s.cache.lengths[0]][:, -1:].sum(axis=1)  # (1, H), 0 for a text without words
        h.append(every if run.y.ndim == 3 else last)
    if len(h) == 1:
        return h[0]
    h[1] = h[1][:, ::-1] if run.y.ndim == 3 else h[1]
    return merge_forward(h[0], h[1], run.layer.merge_mode)


def is_linear(layer: Any) -> bool:
    """Tell whether the output of a layer is a linear function of its input, up to a constant."""
    if type(layer) in (Dense, Activation):
        return get_activation(layer.activation).name == "linear"
    return type(layer) in LINEAR


def attribute(
    reader: Reader, ids: Array, dx: Array, lengths: Lengths, target: int, runs: Sequence[Run], lstms: Sequence[States]
) -> tuple[Arrays, dict[str, tuple[float, float]]]:
    """Compute all attributions of one text (T,), and for those with a known sum, the sum and what it should be."""
    T, x = len(dx), runs[0].y  # (1, T, D)
    out: Arrays = {"leave_one_out": np.zeros(T)}
    out["leave_one_out"][T - len(ids) :] = leave_one_out(reader, ids, target)
    out["gradient_x_input"] = (x[0, :T] * dx).sum(axis=1)  # (2), (T,)
    found, expected = integrated_gradients(reader, x, lengths, target)
    out["integrated_gradients"] = found[:T]
    checks = {"integrated_gradients": (float(found.sum()), float(expected))}
    if of_words := [s.layer_index for s in lstms if s.words]:
        n = of_words[-1]
        last, above = [s for s in lstms if s.layer_index == n], reader.layers[n + 1 :]
        out["memory"] = sum((memory(s)[:: -1 if s.backwards else 1] for s in last), np.zeros(T))
        if all(map(is_linear, above)) and getattr(runs[n].layer, "merge_mode", "") != "mul":
            empty = forward(above, emptied(runs[n], last), runs[n].lengths)[0][0, target]
            checks["memory"] = (float(out["memory"].sum()), float(runs[-1].y[0, target] - empty))
    return out, checks


def rank_correlations(attributions: Arrays) -> dict[tuple[str, str], float]:
    """Compute Spearman's coefficient for each pair; NaN where all numbers of one are equal."""
    from scipy.stats import rankdata  # only now, since it takes long to load

    ranks = {name: rankdata(a) for name, a in attributions.items()}
    pairs = {}
    for a, b in combinations(ranks, 2):
        constant = np.ptp(ranks[a]) == 0 or np.ptp(ranks[b]) == 0 if len(ranks[a]) else True
        pairs[a, b] = np.nan if constant else float(np.corrcoef(ranks[a], ranks[b])[0, 1])
    return pairs
