"""Bidirectional: one LSTM reads the text forwards, another backwards.

Forward::

    (1)  f = LSTM_f(x)                          as it stands
    (2)  r = LSTM_r(flip(x))                    the last word first; with all states, flipped back: r = flip(r)
    (3)  y = [f r]  or  f + r  or  (f + r)/2  or  f ⊙ r          merge_mode concat, sum, ave, mul

Without ``return_sequences`` f and r are the last states: f has read the last word last, r the first word. With it, f_t
and r_t meet at word t, the one knowing all before it, the other all behind. ``flip`` reverses within each row's length,
so that r never starts in the padding.

Backward::

    (3') [df dr] = dy  or  df = dr = dy  or  df = dr = dy/2  or  df = dy ⊙ r, dr = dy ⊙ f
    (2') dx += flip(dx_r), with dr = flip(dr) first if all states were flipped back
    (1') dx += dx_f

Shapes: x (B, T, D), f and r (B, H) or (B, T, H), y the same, or with 2H for concat.

Source: Schuster & Paliwal 1997; with LSTMs Graves & Schmidhuber 2005.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.layer import Array, Arrays, Layer, Lengths, Shape, Words, flip
from minilstm.layers.lstm import LSTM, LSTMCache
from minilstm.tools.checks import check_arrays, check_choice


def merge_forward(f: Array, r: Array, merge_mode: str) -> Array:
    """Run (3)."""
    if merge_mode == "concat":
        return np.concatenate([f, r], axis=-1)  # (B, 2H) or (B, T, 2H)
    if merge_mode == "mul":
        return f * r  # (B, H) or (B, T, H)
    return (f + r) / (2 if merge_mode == "ave" else 1)  # (B, H) or (B, T, H)


def merge_backward(dy: Array, f: Array, r: Array, merge_mode: str) -> tuple[Array, Array]:
    """Undo (3): dy to df and dr."""
    if merge_mode == "concat":
        df, dr = np.split(dy, 2, axis=-1)  # (3'), (B, H) or (B, T, H) each
        return df, dr
    if merge_mode == "mul":
        return dy * r, dy * f  # (3')
    dy = dy / (2 if merge_mode == "ave" else 1)  # (3')
    return dy, dy


class BidirectionalCache(NamedTuple):
    """What :meth:`Bidirectional.backward` needs."""

    f: Array  # (B, H) or (B, T, H)
    r: Array  # the same
    f_cache: LSTMCache
    r_cache: LSTMCache
    lengths: Lengths  # (B,) or None


class Bidirectional(Layer):
    """Read in both directions: (B, T, D) to (B, 2H), or (B, T, 2H) if the LSTM gives all states.

    Args:
        layer: the LSTM to read with; a second one with the same settings and weights of its own reads backwards.
        merge_mode: "concat", "sum", "ave" or "mul": what becomes of the two. All but the first give H numbers, not 2H.

    Parameters: those of the two LSTMs, "forward.W" to "backward.b".

    Raises:
        TypeError: ``layer`` is no LSTM.
        ValueError: an unknown ``merge_mode``, or an LSTM with ``return_state``, ``go_backwards`` or weights.
    """

    reads_words = True

    def __init__(self, layer: LSTM, merge_mode: str = "concat") -> None:
        if not isinstance(layer, LSTM):
            raise TypeError(f"Bidirectional: layer is {layer!r}, expected an LSTM, as in Bidirectional(LSTM(32))")
        if layer.return_state or layer.go_backwards or layer.params:
            raise ValueError(f"Bidirectional: {layer!r} must be new, without return_state and go_backwards")
        check_choice("merge_mode", merge_mode, "concat", "sum", "ave", "mul")
        self.layer, self.reverse, self.merge_mode = copy.copy(layer), copy.copy(layer), merge_mode
        super().__init__()  # sets params, by which each of the two gets a dict of its own

    @property
    def params(self) -> Arrays:
        """The parameters of both LSTMs; a new dict at each call: write into its arrays, or set params as a whole."""
        both = ("forward", self.layer), ("backward", self.reverse)
        return {f"{run}.{name}": p for run, lstm in both for name, p in lstm.params.items()}

    @params.setter
    def params(self, params: Arrays) -> None:
        for run, lstm in (("forward", self.layer), ("backward", self.reverse)):
            lstm.params = {n.removeprefix(f"{run}."): p for n, p in params.items() if n.startswith(f"{run}.")}

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make the parameters of both for samples of shape (T, D)."""
        self.layer.build(d_in, rng, dtype)
        *T, H = self.reverse.build(d_in, rng, dtype)
        return (*T, 2 * self.layer.units if self.merge_mode == "concat" else H)

    def forward(
        self, x: Array | Words, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, BidirectionalCache]:
        """Compute y from x (B, T, D)."""
        f, f_cache = self.layer.forward(x, lengths, train, rng)  # (1)
        r, r_cache = self.reverse.forward(flip(x, lengths), lengths, train, rng)  # (2)
        r = flip(r, lengths) if self.layer.return_sequences else r  # (2)
        return merge_forward(f, r, self.merge_mode), BidirectionalCache(f, r, f_cache, r_cache, lengths)  # (3)

    def backward(self, dy: Array, cache: BidirectionalCache) -> tuple[Array | Words, Arrays]:
        """Give dx and the gradients of both LSTMs' parameters."""
        f, r, f_cache, r_cache, lengths = cache
        width = 2 * f.shape[-1] if self.merge_mode == "concat" else f.shape[-1]
        check_arrays("Bidirectional", f.dtype, dy=(dy, (*f.shape[:-1], width)))
        df, dr = merge_backward(dy, f, r, self.merge_mode)  # (3')
        dr = flip(dr, lengths) if self.layer.return_sequences else dr  # (2')
        dx_r, r_grads = self.reverse.backward(dr, r_cache)
        dx_f, f_grads = self.layer.backward(df, f_cache)
        grads = {**{f"forward.{n}": g for n, g in f_grads.items()}, **{f"backward.{n}": g for n, g in r_grads.items()}}
        return dx_f + flip(dx_r, lengths), grads  # (2'), (1')

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """As the LSTM's."""
        return self.layer.out_lengths(lengths)
