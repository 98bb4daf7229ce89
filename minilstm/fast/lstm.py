"""The twins of LSTM and Bidirectional.

x W + b in (1) needs no earlier step, so it is computed for all vectors beforehand: a table P (N, 4H) with a row for
each distinct word (``rows.py``), or for each of B T positions of an array. The loop over time reads, at step t of batch
row b, the row index[t, b] of P. Backward sums the dz of a word in dP, which (1') takes in place of dz.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array, Arrays, Lengths, Rng
from minilstm.fast import kernels
from minilstm.fast.rows import UniqueRows
from minilstm.fast.twin import Twin, takes_rows
from minilstm.layers import bidirectional, lstm

ROWS_PER_BLOCK = 512  # of dz, batch rows times steps: as many as stay in the processor's cache


class FastLSTMCache(NamedTuple):
    """What :func:`lstm_backward` needs. Time comes first, so that one step is one block of memory."""

    table: Array  # (N, D): the vectors read, x ⊙ m_x
    index: Array  # type: ignore[assignment]  # hides tuple.index
    # (T, B): which of them at each step
    words: Array | None  # (B, T): the index of x where it was UniqueRows
    gates: Array  # (T, B, 4H): i, f, g, o of every step
    h: Array  # (T+1, B, H): h[t] is the state before step t
    c: Array  # (T+1, B, H): c[t] is the cell before step t
    m_x: Any  # (B, 1, D), or 1 without dropout
    m_h: Array  # (B, H)
    lengths: Array  # (B,)
    W: Array  # (D, 4H)
    U: Array  # (H, 4H)
    phi: int  # φ, by its number in kernels.ACTIVATIONS
    sigma: int  # σ, likewise


def lstm_forward(
    x: Array | UniqueRows,
    W: Array,
    U: Array,
    b: Array,
    h0: Array,
    c0: Array,
    lengths: Lengths = None,
    activation: str | None = "tanh",
    recurrent_activation: str | None = "sigmoid",
    masks: tuple[Any, Any] = (1, 1),
) -> tuple[tuple[Array, Array, Array], FastLSTMCache]:
    """Twin of ``layers.lstm.lstm_forward``. Cost: 4 N D H + 4 B T H² multiply-adds for N distinct words."""
    phi, sigma = kernels.number_of(activation), kernels.number_of(recurrent_activation)
    (B, T, D), H = x.shape, len(U)
    lstm.check_arrays(
        "LSTM", W.dtype, W=(W, (D, 4 * H)), U=(U, (H, 4 * H)), b=(b, (4 * H,)), h0=(h0, (B, H)), c0=(c0, (B, H))
    )
    full, lengths = lengths is None, np.full(B, T) if lengths is None else lengths.copy()  # (B,)
    m_x, m_h = masks
    m_h = np.ascontiguousarray(np.broadcast_to(np.asarray(m_h, U.dtype), (B, H)))  # (B, H)
    hides = not isinstance(m_x, int)
    beyond = isinstance(x, UniqueRows) and full and (x.index < 0).any()  # padding is to be read as zeros
    if isinstance(x, UniqueRows) and (hides or beyond or len(x.table) == 0):  # each position hides its own part
        x = x.to_array()  # (B, T, D)
    if isinstance(x, UniqueRows):
        table, index, words = x.table, np.ascontiguousarray(x.index.T), x.index  # (N, D), (T, B), (B, T)
    else:
        x = lstm.zero_padding(x, lengths) * m_x if hides else lstm.zero_padding(x, lengths)  # (B, T, D)
        table = np.ascontiguousarray(x.swapaxes(0, 1)).reshape(T * B, D)  # (T*B, D), in the order of reading
        index, words = np.arange(T * B).reshape(T, B), None  # (T, B)
    P = table @ W  # (1) but for its second term, (N, 4H)
    P += b
    gates, h, c = kernels.lstm_steps_forward(P, index, U, h0, c0, m_h, lengths, phi, sigma)
    cache = FastLSTMCache(table, index, words, gates, h, c, m_x, m_h, lengths, W, U, phi, sigma)
    return (h[1:].swapaxes(0, 1), h[-1], c[-1]), cache


def lstm_backward(dy: Array | None, dh_T: Array, dc_T: Array, cache: FastLSTMCache) -> tuple[Any, Arrays, Array, Array]:
    """Twin of ``layers.lstm.lstm_backward``; ``dy`` may be None where only the last state was used.

    The steps are undone in blocks, the last one first: the gradients of the weights are sums over steps and rows, so a
    few products for each block, made while its dz is still in the processor's cache.
    """
    table, index, words, gates, h, c, m_x, m_h, lengths, W, U, phi, sigma = cache
    (T, B), H = index.shape, len(U)
    if dy is not None:
        lstm.check_arrays("LSTM", U.dtype, dy=(dy, (B, T, H)))
    lstm.check_arrays("LSTM", U.dtype, dh=(dh_T, (B, H)), dc=(dc_T, (B, H)))
    dy = np.empty((B, 0, H), U.dtype) if dy is None else dy  # (B, T, H) or no steps
    dy = np.ascontiguousarray(dy.swapaxes(0, 1))  # (T, B, H)
    hides = not isinstance(m_x, int)
    h = h * m_h if (m_h != 1).any() else h  # (T+1, B, H), what the gates saw
    dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(U[0])  # (D, 4H), (H, 4H), (4H,)
    dtable, dP = np.empty_like(table), np.zeros((0 if words is None else len(table), 4 * H), U.dtype)  # (N, D), (N, 4H)

    def unproject(dP: Array, some: slice) -> None:
        """Undo P = x W + b for some rows of x."""
        dtable[some] = dP @ W.T  # (1')
        dW[...] += table[some].T @ dP  # (1')
        db[...] += dP.sum(axis=0)  # (1')

    dh, dc = np.ascontiguousarray(dh_T), np.ascontiguousarray(dc_T)  # (B, H) each
    UT = np.ascontiguousarray(U.T)  # (4H, H)
    S = max(1, ROWS_PER_BLOCK // max(1, B))
    for t in reversed(range(0, T, S)):
        steps = slice(t, t + S)
        dz, dh, dc = kernels.lstm_steps_backward(
            dy[steps], dh, dc, gates[steps], c[t : t + S + 1], UT, m_h, lengths - t, phi, sigma, lstm.TINY
        )
        dz_rows = dz.reshape(-1, 4 * H)  # (S*B, 4H)
        dU += h[:-1][steps].reshape(-1, H).T @ dz_rows  # (1')
        if words is None:
            unproject(dz_rows, slice(t * B, (t + S) * B))
        else:
            kernels.scatter_rows(dP, dz, index[steps])
    grads = {"W": dW, "U": dU, "b": db}
    if words is not None:
        unproject(dP, slice(None))
        return UniqueRows(dtable, words), grads, dh, dc
    dx = dtable.reshape(T, B, len(W)).swapaxes(0, 1)  # (B, T, D)
    return (dx * m_x if hides else dx), grads, dh, dc


class FastLSTM(Twin):
    """Reads arrays or UniqueRows; the gradient of either is of the same kind."""

    takes_rows = True

    def forward(
        self, x: Any, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Array, FastLSTMCache]:
        """Read x (B, T, D)."""
        layer, (W, U, b) = self.layer, (self.layer.params[name] for name in "WUb")
        rows = isinstance(x, UniqueRows)
        lstm.check_input(layer, x.table[None] if rows else x, None if rows else lengths, "B T D", "W U b")
        B, _, D = x.shape
        zeros, masks = np.zeros((B, layer.units), U.dtype), layer.draw_masks(B, D, train, rng)  # (B, H)
        x = flip_any(x, lengths) if layer.go_backwards else x
        (y, h_T, _), cache = lstm_forward(
            x, W, U, b, zeros, zeros, lengths, layer.activation, layer.recurrent_activation, masks
        )
        return (y if layer.return_sequences else h_T), cache  # (B, T, H) or (B, H)

    def backward(self, dy: Array, cache: FastLSTMCache) -> tuple[Any, Arrays]:
        """Give dx and the gradients of W, U, b."""
        layer, zeros = self.layer, np.zeros_like(cache.h[0])  # (B, H)
        dx, grads, _, _ = (
            lstm_backward(dy, zeros, zeros, cache) if layer.return_sequences else lstm_backward(None, dy, zeros, cache)
        )
        return (flip_any(dx, cache.lengths) if layer.go_backwards else dx), grads


def flip_any(x: Any, lengths: Lengths) -> Any:
    """Reverse the rows of an array or of UniqueRows."""
    return UniqueRows(x.table, lstm.flip(x.index, lengths)) if isinstance(x, UniqueRows) else lstm.flip(x, lengths)


class FastBidirectionalCache(NamedTuple):
    """What :meth:`FastBidirectional.backward` needs."""

    f: Array  # (B, H) or (B, T, H)
    r: Array  # the same
    f_cache: Any
    r_cache: Any
    lengths: Lengths  # (B,) or None


class FastBidirectional(Twin):
    """Merges what the runners of its two LSTMs give; one of your own, among them, is given arrays."""

    def __init__(self, layer: Any, runner: Callable[[Any], Any]) -> None:
        super().__init__(layer, runner)
        self.lstm_f, self.lstm_r = runner(layer.layer), runner(layer.reverse)
        self.takes_rows = takes_rows(self.lstm_f) and takes_rows(self.lstm_r)

    def forward(
        self, x: Any, lengths: Lengths = None, train: bool = False, rng: Rng = None
    ) -> tuple[Array, FastBidirectionalCache]:
        """Compute y from x (B, T, D)."""
        f, f_cache = self.lstm_f.forward(x, lengths, train, rng)
        r, r_cache = self.lstm_r.forward(flip_any(x, lengths), lengths, train, rng)
        r = bidirectional.flip(r, lengths) if r.ndim == 3 else r
        return bidirectional.merge_forward(f, r, self.layer.merge_mode), FastBidirectionalCache(
            f, r, f_cache, r_cache, lengths
        )

    def backward(self, dy: Array, cache: FastBidirectionalCache) -> tuple[Any, Arrays]:
        """Give dx and the gradients of both LSTMs' parameters."""
        f, r, f_cache, r_cache, lengths = cache
        df, dr = bidirectional.merge_backward(dy, f, r, self.layer.merge_mode)
        dx_r, grads_r = self.lstm_r.backward(bidirectional.flip(dr, lengths) if r.ndim == 3 else dr, r_cache)
        dx_f, grads_f = self.lstm_f.backward(df, f_cache)
        grads = bidirectional.both(grads_f, grads_r)
        if isinstance(dx_f, UniqueRows):
            return UniqueRows(dx_f.table + dx_r.table, dx_f.index), grads
        return dx_f + bidirectional.flip(dx_r, lengths), grads
