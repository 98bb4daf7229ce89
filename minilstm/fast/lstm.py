"""The twins of LSTM and Bidirectional.

x W + b in (1) needs no earlier step, so it is computed for all vectors beforehand: a table P (N, 4H) with a row for
each distinct word (``rows.py``), or for each of the B T positions of an array. The loop over time reads, at step t of
batch row b, the row index[t, b] of P. Backward sums the dz of a word in dP, which replaces dz in (1').
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minilstm.arrays import Array, Arrays, Lengths, Rng
from minilstm.fast import kernels
from minilstm.fast.rows import UniqueRows
from minilstm.fast.threads import memory
from minilstm.fast.twin import Cache, Twin, takes_rows
from minilstm.layers import bidirectional, lstm

ROWS_PER_BLOCK = 512  # of dz, batch rows times steps: as many as stay in the processor's cache


class FastLSTM(Twin):
    """Reads an array or UniqueRows; the gradient of either is of the same kind.

    Cost: 4 N D H + 4 B T H² multiply-adds for N distinct words, and twice as many backward.
    """

    takes_rows = True

    def forward(self, x: Any, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Cache]:
        """Read x (B, T, D). In the cache, time comes first, so that one step is one block of memory."""
        layer, words = self.layer, isinstance(x, UniqueRows)
        W, U, b = lstm.check_input(layer, x.table[None] if words else x, None if words else lengths, "B T D", "W U b")
        (B, T, D), H = x.shape, layer.units
        phi, sigma = map(kernels.number_of, (layer.activation, layer.recurrent_activation))
        lstm.check_arrays("LSTM", W.dtype, W=(W, (D, 4 * H)), U=(U, (H, 4 * H)), b=(b, (4 * H,)))
        m_x, m_h = layer.draw_masks(B, D, train, rng)
        m_h = np.ascontiguousarray(np.broadcast_to(np.asarray(m_h, U.dtype), (B, H)))  # (B, H)
        hides = not isinstance(m_x, int)
        if words and hides:  # dropout hides other features of a word in each text
            x, words = x.to_array(), False  # (B, T, D)
        x = lstm.flip(x, lengths) if layer.go_backwards else x
        n = np.full(B, T) if lengths is None else lengths.copy()  # (B,)
        if words:
            table, index = x.table, np.ascontiguousarray(x.index.T)  # (N, D), (T, B)
        else:
            x = lstm.zero_padding(x, n) * m_x if hides else lstm.zero_padding(x, n)  # (B, T, D)
            table = np.ascontiguousarray(x.swapaxes(0, 1)).reshape(T * B, D)  # (T*B, D), in the order of reading
            index = np.arange(T * B).reshape(T, B)  # (T, B)
        P = table @ W  # (1) but for its second term, (N, 4H)
        P += b
        gates, c = np.split(memory(4 * T * B * H + (T + 1) * B * H, U.dtype), [4 * T * B * H])
        gates, c, h = gates.reshape(T, B, 4 * H), c.reshape(T + 1, B, H), np.empty((T + 1, B, H), U.dtype)
        kernels.lstm_steps_forward(gates, h, c, P, index, U, m_h, n, phi, sigma)
        y = h[1:].swapaxes(0, 1) if layer.return_sequences else h[-1]  # (B, T, H) or (B, H)
        return y, (table, index, words, gates, h, c, m_x, m_h, n, W, U, phi, sigma)

    def backward(self, dy: Array, cache: Cache) -> tuple[Any, Arrays]:
        """Compute dx and the gradients of W, U, b.

        The steps are undone in blocks, the last one first: the gradients of the weights are sums over steps and rows,
        so a few products for each block, made while its dz is still in the processor's cache.
        """
        table, index, words, gates, h, c, m_x, m_h, n, W, U, phi, sigma = cache
        layer, (T, B), H = self.layer, index.shape, len(U)
        lstm.check_arrays("LSTM", U.dtype, dy=(dy, (B, T, H) if layer.return_sequences else (B, H)))
        dhc = np.zeros((2, B, H), U.dtype)  # dh and dc after the last step
        if layer.return_sequences:
            dy = np.ascontiguousarray(dy.swapaxes(0, 1))  # (T, B, H)
        else:
            dhc[0] = dy
            dy = np.empty((0, B, H), U.dtype)  # (0, B, H): nothing flows in at a step
        h = h * m_h if (m_h != 1).any() else h  # (T+1, B, H), what the gates saw
        dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(U[0])  # (D, 4H), (H, 4H), (4H,)
        dtable, dP = np.empty_like(table), np.zeros((len(table) if words else 0, 4 * H), U.dtype)  # (N, D), (N, 4H)

        def unproject(dP: Array, some: slice) -> None:
            """Undo P = x W + b for some rows of x."""
            dtable[some] = dP @ W.T  # (1')
            dW[...] += table[some].T @ dP  # (1')
            db[...] += dP.sum(axis=0)  # (1')

        UT = np.ascontiguousarray(U.T)  # (4H, H)
        S = max(1, ROWS_PER_BLOCK // max(1, B))
        for t in reversed(range(0, T, S)):
            steps = slice(t, t + S)
            dz = kernels.lstm_steps_backward(
                dy[steps], dhc, gates[steps], c[t : t + S + 1], UT, m_h, n - t, phi, sigma, lstm.TINY
            )
            dz_rows = dz.reshape(-1, 4 * H)  # (S*B, 4H)
            dU += h[:-1][steps].reshape(-1, H).T @ dz_rows  # (1')
            if words:
                kernels.scatter_rows(dP, dz, index[steps])
            else:
                unproject(dz_rows, slice(t * B, (t + S) * B))
        if words:
            unproject(dP, slice(None))
            dx: Any = UniqueRows(dtable, index.T)
        else:
            dx = dtable.reshape(T, B, len(W)).swapaxes(0, 1)  # (B, T, D)
            dx = dx if isinstance(m_x, int) else dx * m_x
        return (lstm.flip(dx, n) if layer.go_backwards else dx), {"W": dW, "U": dU, "b": db}


class FastBidirectional(Twin):
    """Runs the textbook with the runners of its two LSTMs; one of your own, among them, is given arrays."""

    def __init__(self, layer: Any, runner: Callable[[Any], Any]) -> None:
        super().__init__(layer, runner)
        self.runners = runner(layer.layer), runner(layer.reverse)
        self.takes_rows = all(map(takes_rows, self.runners))

    def forward(self, x: Any, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Compute y from x (B, T, D)."""
        return bidirectional.bidirectional_forward(x, *self.runners, lengths, self.layer.merge_mode, train, rng)

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Arrays]:
        """Compute dx and the gradients of both LSTMs' parameters."""
        *rest, H = cache.f.shape
        width = 2 * H if self.layer.merge_mode == "concat" else H
        bidirectional.check_arrays("Bidirectional", cache.f.dtype, dy=(dy, (*rest, width)))
        dx, grads_f, grads_r = bidirectional.bidirectional_backward(dy, cache, *self.runners, self.layer.merge_mode)
        return dx, bidirectional.both(grads_f, grads_r)
