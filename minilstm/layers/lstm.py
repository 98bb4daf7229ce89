"""LSTM: a memory cell that gates decide to keep, to write and to show.

One step, for a batch of rows (lower case: activations, upper case: weights; φ is ``activation``, tanh by default,
σ is ``recurrent_activation``, sigmoid by default; ⊙ multiplies elementwise)::

    (1)  z_t = x_t W + h_{t-1} U + b            all four gates in one product; z = [z_i z_f z_g z_o]
    (2)  i_t = σ(z_i)                           input gate: how much of the candidate to write
         f_t = σ(z_f)                           forget gate: how much of the old cell to keep
         g_t = φ(z_g)                           candidate: what to write
         o_t = σ(z_o)                           output gate: how much of the cell to show
    (3)  c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t        the cell: a sum, so that gradients survive
    (4)  h_t = o_t ⊙ φ(c_t)                     the output y_t, and what the next step sees

Backward runs the steps in reverse. h_t reaches the loss as the output y_t and by way of z_{t+1}; c_t by way of
c_{t+1} and of h_t. So two roads lead back to each step, (0'); then each numbered line is undone in turn::

    (0') dh_t = dy_t + dz_{t+1} Uᵀ,  dc_t = dc_{t+1} ⊙ f_{t+1}      from outside after the last step: dh_T, dc_T
    (4') do_t = dh_t ⊙ φ(c_t),   dc_t += φ'(c_t) ⊙ dh_t ⊙ o_t
    (3') di_t = dc_t ⊙ g_t,  df_t = dc_t ⊙ c_{t-1},  dg_t = dc_t ⊙ i_t,  and dc_t ⊙ f_t for (0')
    (2') dz_i = σ'(z_i) ⊙ di_t, likewise f and o;  dz_g = φ'(z_g) ⊙ dg_t
    (1') dx_t = dz_t Wᵀ,  dW = Σ_t x_tᵀ dz_t,  dU = Σ_t h_{t-1}ᵀ dz_t,  db = Σ_t dz_t

The end of (3') is why LSTMs work: where f is near 1, the gradient of the cell passes back unchanged. In a plain
recurrent net every step multiplies it by a matrix and a slope, and after 50 steps it has vanished, or exploded.

How it is computed: x W + b in (1) needs no earlier step, so it is made for all vectors beforehand: a table P (N, 4H)
of N = B T rows, or with Words (``words.py``) of one row for each of N distinct words. The loop over time then reads, at
step t of batch row b, the row at[t, b] of P. Backward sums the dz of a word up in dP, which (1') takes in place of dz.

Shapes: x (B, T, D), W (D, 4H), U (H, 4H), b (4H,), each gate, h_t and c_t (B, H). At a padded step h and c are
carried on unchanged, so the last column of y is always the state after the last word.

While training with dropout, x_t in (1) becomes x_t ⊙ m_x and h_{t-1} becomes h_{t-1} ⊙ m_h, and in (0') and (1') their
gradients get the same factor. The masks m_x (B, D) and m_h (B, H) hide a random part, the same at every step (Gal &
Ghahramani 2016). Only what the gates see of h is hidden; the cell itself is not.

Sources: Hochreiter & Schmidhuber 1997 (the cell); Gers, Schmidhuber & Cummins 2000 (the forget gate); Graves &
Schmidhuber 2005 (the exact gradient through all steps). The forget part of b starts at 1, so that a new cell
remembers (Jozefowicz, Zaremba & Sutskever 2015).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm import kernels
from minilstm.activations import ACTIVATIONS, get_activation
from minilstm.initializers import glorot_uniform, orthogonal
from minilstm.layer import Array, Arrays, Layer, Lengths, Shape, Words, flip, zero_padding
from minilstm.layers.dropout import dropout_mask
from minilstm.tools.checks import (
    check_arrays,
    check_built,
    check_input,
    check_lengths,
    check_number,
    check_positive,
    check_steps,
    check_tuple,
)
from minilstm.words import scatter_rows

PIECE = 512  # rows times steps that backward works on at a time


def lstm_forward(
    x: Array | Words,
    W: Array,
    U: Array,
    b: Array,
    h0: Array,
    c0: Array,
    lengths: Lengths = None,
    activation: str | None = "tanh",
    recurrent_activation: str | None = "sigmoid",
    masks: tuple[Array, Array] | None = None,
) -> tuple[tuple[Array, Array, Array], LSTMCache]:
    """Run equations (1) to (4) over all steps: from x (B, T, D) to y (B, T, H) and the last h and c (B, H).

    The share of x in (1) needs no earlier step, so it is one product for all steps, or for Words one for each distinct
    word. What is left of (1) to (4) is the loop over time, in :func:`lstm_steps_forward`. Cost: 4 B T H (D + H)
    multiply-adds, 4 N D H + 4 B T H² for N distinct words; the cache keeps B T (D + 6H) numbers.
    """
    phi, sigma = get_activation(activation).number, get_activation(recurrent_activation).number
    (B, T, D), H = x.shape, len(U)
    check_arrays(
        "LSTM", x.dtype, W=(W, (D, 4 * H)), U=(U, (H, 4 * H)), b=(b, (4 * H,)), h0=(h0, (B, H)), c0=(c0, (B, H))
    )
    check_lengths("LSTM", lengths, B, T)
    lengths = np.full(B, T) if lengths is None else lengths.copy()  # (B,)
    m_x, m_h = masks or (None, np.ones((B, H), b.real.dtype))  # (B, D) or None, (B, H)
    if isinstance(x, Words) and (m_x is not None or len(x.rows) == 0):  # each place hides its own part; no word at all
        x = x.spread()  # (B, T, D)
    x = x if m_x is None else x * m_x[:, None]
    rows, at = by_step(x, lengths)  # (N, D), (T, B)
    P = rows @ W  # (1) but for its second term, (N, 4H)
    P += b
    gates, h, c = lstm_steps_forward(P, at, U, h0, c0, m_h, lengths, phi, sigma)
    y = h[1:].swapaxes(0, 1)  # (B, T, H)
    words = x.index if isinstance(x, Words) else None
    return (y, h[-1], c[-1]), LSTMCache(rows, at, words, gates, h, c, m_x, m_h, lengths, W, U, phi, sigma)


def by_step(x: Array | Words, lengths: Array) -> tuple[Array, Array]:
    """Make a table of vectors, rows (N, D), and tell which of them row b reads at step t: at (T, B).

    In Words every distinct word has one row. In an array (B, T, D) every place has, in the order of reading.
    """
    if isinstance(x, Words):
        return x.rows, np.ascontiguousarray(x.index.T)
    B, T, D = x.shape
    rows = np.ascontiguousarray(zero_padding(x, lengths).swapaxes(0, 1))  # (T, B, D)
    return rows.reshape(T * B, D), np.arange(T * B).reshape(T, B)


@kernels.twin(kernels.lstm_steps_forward)
def lstm_steps_forward(
    P: Array, at: Array, U: Array, h0: Array, c0: Array, m_h: Array, lengths: Array, phi: int, sigma: int
) -> tuple[Array, Array, Array]:
    """Loop over time: from P (N, 4H), where step t of row b reads the row at[t, b], to gates, h and c.

    The gates are (T, B, 4H), h and c (T+1, B, H). h[0] and c[0] are the initial state, so h[t] is h_{t-1} of the
    equations, the state before step t. While numba is on, a kernel runs in place of this function; to change or debug
    it, set MINILSTM_NUMBA=0.
    """
    act, gate = ACTIVATIONS[phi].forward, ACTIVATIONS[sigma].forward
    T, B, H = len(at), *h0.shape
    gates = np.empty((T, B, 4 * H), P.dtype)  # (T, B, 4H)
    h = np.empty((T + 1, B, H), P.dtype)  # (T+1, B, H)
    c = np.empty((T + 1, B, H), P.dtype)  # (T+1, B, H)
    h[0], c[0] = h0, c0
    for t in range(T):
        live = (t < lengths)[:, None]  # (B, 1)
        z_i, z_f, z_g, z_o = np.split(P[at[t]] + (h[t] * m_h) @ U, 4, axis=1)  # (1), (B, H) each
        i, f, g, o = gate(z_i), gate(z_f), act(z_g), gate(z_o)  # (2), (B, H) each
        c_t = f * c[t] + i * g  # (3), (B, H)
        h_t = o * act(c_t)  # (4), (B, H)
        gates[t] = np.where(live, np.concatenate([i, f, g, o], axis=1), 0)
        c[t + 1] = np.where(live, c_t, c[t])
        h[t + 1] = np.where(live, h_t, h[t])
    return gates, h, c


def lstm_backward(dy: Array | None, dh_T: Array, dc_T: Array, cache: LSTMCache) -> tuple[Any, Arrays, Array, Array]:
    """Undo :func:`lstm_forward`: from the gradients of y, of the last h and the last c to dx, grads, dh0 and dc0.

    ``dy`` is (B, T, H), or None where only the last state was used. The steps are undone in pieces, the last one first:
    the gradients of the weights are sums over steps and rows, so a few products for each piece, made while its dz is
    still in the processor's cache. Cost: about twice that of forward.
    """
    rows, at, words, gates, h, c, m_x, m_h, lengths, W, U, phi, sigma = cache
    (T, B), H = at.shape, len(U)
    if dy is not None:
        check_arrays("LSTM", U.dtype, dy=(dy, (B, T, H)))
    check_arrays("LSTM", U.dtype, dh=(dh_T, (B, H)), dc=(dc_T, (B, H)))
    dy = np.empty((B, 0, H), U.dtype) if dy is None else dy  # (B, T, H) or no steps
    dy = np.ascontiguousarray(dy.swapaxes(0, 1))  # (T, B, H)
    h = h if m_x is None else h * m_h  # (T+1, B, H), what the gates saw
    dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(U[0])  # (D, 4H), (H, 4H), (4H,)
    drows, dP = np.empty_like(rows), np.zeros((0 if words is None else len(rows), 4 * H), U.dtype)  # (N, D), (N, 4H)

    def unproject(dP: Array, some: slice) -> None:
        """Undo P = x W + b for some rows of x: dP (N, 4H) to their share of drows, dW and db."""
        drows[some] = dP @ W.T  # (1')
        dW[...] += rows[some].T @ dP  # (1')
        db[...] += dP.sum(axis=0)  # (1')

    dh, dc = np.ascontiguousarray(dh_T), np.ascontiguousarray(dc_T)  # (B, H) each
    UT, tiny = np.ascontiguousarray(U.T), float(np.finfo(U.dtype).tiny) * 1e8  # (4H, H)
    S = max(1, PIECE // max(1, B))
    for t in reversed(range(0, T, S)):
        steps = slice(t, t + S)
        dz, dh, dc = lstm_steps_backward(
            dy[steps], dh, dc, gates[steps], c[t : t + S + 1], UT, m_h, lengths - t, phi, sigma, tiny
        )
        dz_rows = dz.reshape(-1, 4 * H)  # (S*B, 4H)
        dU += h[:-1][steps].reshape(-1, H).T @ dz_rows  # (1')
        if words is None:
            unproject(dz_rows, slice(t * B, (t + S) * B))
        else:
            scatter_rows(dP, dz, at[steps])
    grads = {"W": dW, "U": dU, "b": db}
    if words is not None:
        unproject(dP, slice(None))
        return Words(drows, words), grads, dh, dc
    dx = drows.reshape(T, B, len(W)).swapaxes(0, 1)  # (B, T, D)
    return (dx if m_x is None else dx * m_x[:, None]), grads, dh, dc


@kernels.twin(kernels.lstm_steps_backward)
def lstm_steps_backward(
    dy: Array,
    dh_T: Array,
    dc_T: Array,
    gates: Array,
    c: Array,
    UT: Array,
    m_h: Array,
    lengths: Array,
    phi: int,
    sigma: int,
    tiny: float,
) -> tuple[Array, Array, Array]:
    """Loop backwards over time: from dy (T, B, H), dh_T and dc_T (B, H) to dz (T, B, 4H), dh0 and dc0 (B, H).

    UT (4H, H) is U transposed, in the order in which the products read it.

    ``dy`` may have no steps at all: then only dh_T and dc_T flow in. At a padded step dh and dc pass through
    unchanged, as h and c did. Numbers below ``tiny`` become 0: see :mod:`minilstm.kernels` on subnormals.
    """
    act, dact, dgate = ACTIVATIONS[phi].forward, ACTIVATIONS[phi].backward, ACTIVATIONS[sigma].backward
    dz = np.zeros_like(gates)  # (T, B, 4H)
    dh, dc = dh_T, dc_T  # (B, H) each
    for t in reversed(range(len(gates))):
        live = (t < lengths)[:, None]  # (B, 1)
        dh = dh + dy[t] if len(dy) else dh  # (0'), (B, H)
        i, f, g, o = np.split(gates[t], 4, axis=1)  # (B, H) each
        phi_c = act(c[t + 1])  # (B, H), once more rather than kept: a tanh costs less than B T H numbers
        do = dh * phi_c  # (4'), (B, H)
        dc_t = dc + dact(dh * o, phi_c)  # (4'), (B, H)
        di, df, dg = dc_t * g, dc_t * c[t], dc_t * i  # (3'), (B, H) each
        dz_t = np.concatenate([dgate(di, i), dgate(df, f), dact(dg, g), dgate(do, o)], axis=1)  # (2'), (B, 4H)
        dz[t] = flush(np.where(live, dz_t, 0), tiny)
        dc = np.where(live, flush(dc_t * f, tiny), dc)  # (0') of the step before, (B, H)
        dh = flush(np.where(live, dz[t] @ UT * m_h, dh), tiny)  # (0') of the step before, (B, H)
    return dz, dh, dc


def flush(x: Array, tiny: float) -> Array:
    """Replace numbers too small to matter by 0."""
    return np.where(np.abs(x) < tiny, np.zeros_like(x), x)


class LSTMCache(NamedTuple):
    """What :func:`lstm_backward` needs. Time comes first, so that one step is one block of memory."""

    rows: Array  # (N, D): the vectors read, x ⊙ m_x
    at: Array  # (T, B): which of them at each step
    words: Array | None  # (B, T): the index of x where it was Words
    gates: Array  # (T, B, 4H): i, f, g, o of every step
    h: Array  # (T+1, B, H): h[t] is the state before step t
    c: Array  # (T+1, B, H): c[t] is the cell before step t
    m_x: Array | None  # (B, D), None without dropout
    m_h: Array  # (B, H)
    lengths: Array  # (B,)
    W: Array  # (D, 4H)
    U: Array  # (H, 4H)
    phi: int  # φ, by its number in activations.ACTIVATIONS
    sigma: int  # σ, likewise


class LSTM(Layer):
    """Read a sequence step by step and remember: (B, T, D) to (B, H), or (B, T, H) with all states.

    Args:
        units: H, the size of the state.
        activation: φ, "tanh" unless told otherwise, "sigmoid", "relu" or "linear".
        recurrent_activation: σ, of the same choice, "sigmoid" unless told otherwise.
        return_sequences: give the state after every step (B, T, H), as a second LSTM on top needs it.
        go_backwards: read from the last word to the first; the states come in the order of reading.
        dropout: the share of x to hide while training.
        recurrent_dropout: the share of h to hide while training.
        return_state: give ``(y, h, c)`` with the last h and c, (B, H) each. :meth:`backward` then takes
            ``(dy, dh, dc)``. Together with ``initial_state`` a long text can be read in pieces.

    Parameters: W (D, 4H) Glorot uniform, U (H, 4H) orthogonal, b (4H,) zero but for the forget gate, which starts
    at 1. Gates stand in the order i, f, g, o, as in Keras and PyTorch.

    Raises:
        TypeError: ``units`` is no whole number.
        ValueError: ``units`` below 1, an unknown activation.
    """

    reads_words = True

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        recurrent_activation: str | None = "sigmoid",
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positive("LSTM", units=units)
        get_activation(activation, elementwise=True)
        get_activation(recurrent_activation, "recurrent_activation", elementwise=True)
        self.units, self.activation, self.recurrent_activation = int(units), activation, recurrent_activation
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.dropout = check_number("dropout", dropout, 0, 1, low_too=True)
        self.recurrent_dropout = check_number("recurrent_dropout", recurrent_dropout, 0, 1, low_too=True)

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make W, U and b for samples of shape (T, D); the output is (T, H) or (H,)."""
        (T, D), H = check_steps("LSTM", d_in), self.units
        b = np.zeros(4 * H, dtype)  # (4H,)
        b[H : 2 * H] = 1
        self.params = {
            "W": glorot_uniform(rng, D, 4 * H, (D, 4 * H), dtype),
            "U": orthogonal(rng, (H, 4 * H), dtype),
            "b": b,
        }
        return (T, H) if self.return_sequences else (H,)

    def forward(
        self,
        x: Array | Words,
        lengths: Lengths = None,
        train: bool = False,
        rng: np.random.Generator | None = None,
        initial_state: tuple[Array, Array] | None = None,
    ) -> tuple[Any, LSTMCache]:
        """Read x (B, T, D) from ``initial_state`` (h0, c0), (B, H) each, zeros unless given."""
        W, U, b = check_built(self, "W", "U", "b")
        check_input(self, x, lengths, "B T D", len(W))
        (B, _, D), H = x.shape, self.units
        x = flip(x, lengths) if self.go_backwards else x  # (B, T, D)
        zeros = np.zeros((B, H), U.dtype)  # (B, H)
        masks = None
        if train and (self.dropout or self.recurrent_dropout):
            m_x = dropout_mask((B, D), self.dropout, U.real.dtype, rng)  # (B, D)
            masks = m_x, dropout_mask((B, H), self.recurrent_dropout, U.real.dtype, rng)  # (B, D), (B, H)
        h0, c0 = (zeros, zeros) if initial_state is None else check_tuple("initial_state", initial_state, "h0, c0")
        (y, h_T, c_T), cache = lstm_forward(
            x, W, U, b, h0, c0, lengths, self.activation, self.recurrent_activation, masks
        )
        y = y if self.return_sequences else h_T  # (B, T, H) or (B, H)
        return ((y, h_T, c_T) if self.return_state else y), cache

    def backward(self, dy: Any, cache: LSTMCache) -> tuple[Array | Words, Arrays]:
        """Give dx (B, T, D) and the gradients of W, U, b.

        The gradients of h0 and c0 are left out: over a text read in pieces this is truncated backpropagation, nothing
        flows into the piece before. :func:`lstm_backward` gives them.
        """
        zeros = np.zeros_like(cache.h[0])  # (B, H)
        dy, dh_T, dc_T = check_tuple("dy", dy, "dy, dh, dc") if self.return_state else (dy, zeros, zeros)
        if not self.return_sequences:
            check_arrays("LSTM", zeros.dtype, dy=(dy, zeros.shape), dh=(dh_T, zeros.shape))
            dy, dh_T = None, dh_T + dy
        dx, grads, _, _ = lstm_backward(dy, dh_T, dc_T, cache)
        return (flip(dx, cache.lengths) if self.go_backwards else dx), grads

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Keep the lengths with ``return_sequences``; a single state has no time axis."""
        return lengths if self.return_sequences else None
