"""Bidirectional: one LSTM reads the text forwards, another one backwards.

Forward::

    (1)  f = LSTM_f(x)                          reads the text as it is
    (2)  r = LSTM_r(flip(x))                    reads the last word first; if it returns all states, r = flip(r)
    (3)  y = [f r]  or  f + r  or  (f + r)/2  or  f ⊙ r          merge_mode concat, sum, ave, mul

Without ``return_sequences``, f and r are the last states: f has read the last word last, r the first word. With it, f_t
and r_t meet at word t: f_t has read everything up to it, r_t everything from there on. So y[:, -1] then does not hold
the last states: its r has read only the last word. ``flip`` reverses within each row's length, so that r never starts
in the padding.

Backward::

    (3') [df dr] = dy  or  df = dr = dy  or  df = dr = dy/2  or  df = dy ⊙ r, dr = dy ⊙ f
    (2') dx += flip(dx_r), with dr = flip(dr) first if all states were flipped back
    (1') dx += dx_f

Shapes: x (B, T, D), f and r (B, H) or (B, T, H), y the same, or with 2H for concat.
Sources: Schuster & Paliwal 1997; with LSTMs Graves & Schmidhuber 2005.
"""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.layers.base import Layer, flip
from minilstm.layers.lstm import LSTM
from minilstm.tools.validate import check_arrays, check_choice


class BidirectionalCache(NamedTuple):
    """What :func:`bidirectional_backward` needs."""

    f: Array  # (B, H) or (B, T, H)
    r: Array  # the same
    f_cache: Any  # of the LSTM that reads forwards
    r_cache: Any
    lengths: Lengths  # (B,) or None


def merge_forward(f: Array, r: Array, merge_mode: str) -> Array:
    """Run (3): f and r (B, H) or (B, T, H) to y, with 2H for concat."""
    if merge_mode == "concat":
        return np.concatenate([f, r], axis=-1)
    if merge_mode == "mul":
        return f * r
    return (f + r) / (2 if merge_mode == "ave" else 1)


def merge_backward(dy: Array, f: Array, r: Array, merge_mode: str) -> Sequence[Array]:
    """Undo (3): dy to df and dr, in the shapes of f and r."""
    if merge_mode == "concat":
        return np.split(dy, 2, axis=-1)
    if merge_mode == "mul":
        return dy * r, dy * f
    return [dy / (2 if merge_mode == "ave" else 1)] * 2


def bidirectional_forward(
    x: Array, lstm_f: Layer, lstm_r: Layer, lengths: Lengths, merge_mode: str, train: bool = False, rng: Rng = None
) -> tuple[Array, BidirectionalCache]:
    """Run (1) to (3): x (B, T, D) to y. Cost: that of the two LSTMs."""
    f, f_cache = lstm_f.forward(x, lengths, train, rng)  # (1)
    r, r_cache = lstm_r.forward(flip(x, lengths), lengths, train, rng)  # (2)
    r = flip(r, lengths) if r.ndim == 3 else r  # (2)
    return merge_forward(f, r, merge_mode), BidirectionalCache(f, r, f_cache, r_cache, lengths)  # (3)


def bidirectional_backward(
    dy: Array, cache: BidirectionalCache, lstm_f: Layer, lstm_r: Layer, merge_mode: str
) -> tuple[Array, Arrays, Arrays]:
    """Undo (3) to (1): dy to dx and the gradients of each LSTM's parameters."""
    f, r, f_cache, r_cache, lengths = cache
    df, dr = merge_backward(dy, f, r, merge_mode)  # (3')
    dr = flip(dr, lengths) if r.ndim == 3 else dr  # (2')
    dx_r, grads_r = lstm_r.backward(dr, r_cache)
    dx_f, grads_f = lstm_f.backward(df, f_cache)
    return dx_f + flip(dx_r, lengths), grads_f, grads_r  # (2'), (1')


class Bidirectional(Layer):
    """Read in both directions: (B, T, D) to (B, 2H), or to (B, T, 2H) if the LSTM returns all states.

    Args:
        layer: the LSTM to read with, new and without ``return_state`` and ``go_backwards``; a second one with the same
            settings and weights of its own reads backwards.
        merge_mode: how the two are combined: "concat", "sum", "ave" or "mul". All but the first give H numbers, not 2H.

    Parameters: those of the two LSTMs, "forward.W" to "backward.b".
    """

    gates = LSTM.gates

    def __init__(self, layer: LSTM, merge_mode: str = "concat") -> None:
        if not isinstance(layer, LSTM):
            raise TypeError(f"Bidirectional: layer is {layer!r}, expected an LSTM, as in Bidirectional(LSTM(32))")
        if layer.return_state or layer.go_backwards or layer.params:
            raise ValueError(f"Bidirectional: {layer!r} must be new, without return_state and go_backwards")
        check_choice("merge_mode", merge_mode, "concat", "sum", "ave", "mul")
        self.layer, self.reverse, self.merge_mode = copy.copy(layer), copy.copy(layer), merge_mode
        super().__init__()  # sets params, which gives each of the two a dict of its own

    @property
    def params(self) -> Arrays:
        """The parameters of both LSTMs, in a new dict at each call: write into its arrays, or set params as a whole."""
        return both(self.layer.params, self.reverse.params)

    @params.setter
    def params(self, params: Arrays) -> None:
        for run, lstm in (("forward", self.layer), ("backward", self.reverse)):
            lstm.params = {n.removeprefix(f"{run}."): p for n, p in params.items() if n.startswith(f"{run}.")}

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make the parameters of both for samples of shape (T, D)."""
        self.layer.build(shape_in, rng, dtype)
        *T, H = self.reverse.build(shape_in, rng, dtype)
        return (*T, 2 * self.layer.units if self.merge_mode == "concat" else H)

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Compute y from x (B, T, D)."""
        return bidirectional_forward(x, self.layer, self.reverse, lengths, self.merge_mode, train, rng)

    def backward(self, dy: Array, cache: BidirectionalCache) -> tuple[Array, Arrays]:
        """Compute dx and the gradients of both LSTMs' parameters."""
        *rest, H = cache.f.shape
        shape = (*rest, 2 * H if self.merge_mode == "concat" else H)
        check_arrays("Bidirectional", cache.f.dtype, dy=(dy, shape))
        dx, grads_f, grads_r = bidirectional_backward(dy, cache, self.layer, self.reverse, self.merge_mode)
        return dx, both(grads_f, grads_r)

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Return what the LSTM returns."""
        return self.layer.out_lengths(lengths)


def both(forward: Arrays, backward: Arrays) -> Arrays:
    """Name the arrays of the two LSTMs "forward.W" to "backward.b"."""
    return {f"forward.{n}": a for n, a in forward.items()} | {f"backward.{n}": a for n, a in backward.items()}
