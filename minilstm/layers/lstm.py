"""LSTM: a memory cell whose gates decide what to keep, what to write and what to show.

One step, for a batch of rows (φ is ``activation``, tanh by default; σ is ``recurrent_activation``, sigmoid by default;
⊙ multiplies elementwise)::

    (1)  z_t = x_t W + h_{t-1} U + b            all four gates in one product; z = [z_i z_f z_g z_o]
    (2)  i_t = σ(z_i)                           input gate: how much of the candidate to write
         f_t = σ(z_f)                           forget gate: how much of the old cell to keep
         g_t = φ(z_g)                           candidate: what to write
         o_t = σ(z_o)                           output gate: how much of the cell to show
    (3)  c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t        the cell: a sum, so that gradients survive
    (4)  h_t = o_t ⊙ φ(c_t)                     the output y_t, and what the next step sees

Backward runs the steps in reverse. h_t reaches the loss as the output y_t and through z_{t+1}; c_t reaches it through
c_{t+1} and through h_t. So two paths lead back to each step, (0'); then each numbered line is undone in turn::

    (0') dh_t = dy_t + dz_{t+1} Uᵀ,  dc_t = dc_{t+1} ⊙ f_{t+1}      from outside after the last step: dh_T, dc_T
    (4') do_t = dh_t ⊙ φ(c_t),   dc_t += φ'(c_t) ⊙ dh_t ⊙ o_t
    (3') di_t = dc_t ⊙ g_t,  df_t = dc_t ⊙ c_{t-1},  dg_t = dc_t ⊙ i_t,  and dc_t ⊙ f_t for (0')
    (2') dz_i = σ'(z_i) ⊙ di_t, likewise f and o;  dz_g = φ'(z_g) ⊙ dg_t
    (1') dx_t = dz_t Wᵀ,  dW = Σ_t x_tᵀ dz_t,  dU = Σ_t h_{t-1}ᵀ dz_t,  db = Σ_t dz_t

The slopes are computed from the outputs, so z is not kept: σ'(z_i) is i_t (1 - i_t), ``sigma.backward(di, i[t])``.

dc_t ⊙ f_t is why LSTMs work: where f is near 1, the gradient of the cell passes back almost unchanged. In a plain
recurrent network every step multiplies it by a matrix and a slope, and after 50 steps it has vanished or exploded.
The forget part of b starts at 1, so that f starts near σ(1) = 0.73 and a new cell remembers: of the gradient,
0.73²⁰ = 0.2 % is left after 20 steps and 10⁻²⁷ after 200; with a bias of 0, only 0.5²⁰ = 0.0001 % and 10⁻⁶⁰.

Shapes: x (B, T, D), W (D, 4H), U (H, 4H), b (4H,), each gate, h_t and c_t (B, H). Padding follows a row's last word:
there h and c are carried over unchanged, so the last column of y is the state after the last word. In the backward pass
dz is 0 there, and dh and dc pass through.

During training with dropout, (1) sees x_t ⊙ m_x and h_{t-1} ⊙ m_h, and dx_t and dz_t Uᵀ get the same factors. The masks
m_x (B, 1, D) and m_h (B, H) hide a random part, the same at every step (Gal & Ghahramani 2016), from the gates only:
h_t as an output and c_t are not masked.

Sources: Hochreiter & Schmidhuber 1997 (the cell); Gers, Schmidhuber & Cummins 2000 (the forget gate); Graves &
Schmidhuber 2005 (the exact gradient through all steps); Jozefowicz, Zaremba & Sutskever 2015 (the forget bias).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minilstm.activations import Activation, get_activation
from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.initializers import glorot_uniform, orthogonal
from minilstm.layers.base import Layer, flip, zero_padding
from minilstm.layers.dropout import dropout_mask
from minilstm.tools.validate import check_arrays, check_input, check_number, check_positive, check_steps, check_tuple

TINY = 1e-30  # smaller numbers in a gradient become 0


class LSTMCache(NamedTuple):
    """What :func:`lstm_backward` needs. Time comes first, except in x. At padded steps the gates mean nothing."""

    x: Array  # (B, T, D), as the gates saw it: x ⊙ m_x
    i: Array  # (T, B, H): the input gate at every step
    f: Array  # (T, B, H): the forget gate
    g: Array  # (T, B, H): the candidate
    o: Array  # (T, B, H): the output gate
    h: Array  # (T+1, B, H): h[t] is the state before step t
    c: Array  # (T+1, B, H): c[t] is the cell before step t
    m_x: Any  # (B, 1, D), or 1 without dropout
    m_h: Any  # (B, H), or 1
    lengths: Array  # (B,)
    W: Array  # (D, 4H)
    U: Array  # (H, 4H)
    phi: Activation  # φ
    sigma: Activation  # σ


def lstm_forward(
    x: Array,
    W: Array,
    U: Array,
    b: Array,
    h0: Array,
    c0: Array,
    lengths: Lengths = None,
    activation: str | None = "tanh",
    recurrent_activation: str | None = "sigmoid",
    masks: tuple[Any, Any] = (1, 1),
) -> tuple[tuple[Array, Array, Array], LSTMCache]:
    """Run (1) to (4) over all steps: x (B, T, D) to y (B, T, H) and the last h and c (B, H). Cost: 4 B T H (D + H)
    multiply-adds; the cache keeps B T (D + 6H) numbers.
    """
    phi, sigma = get_activation(activation), get_activation(recurrent_activation)
    (B, T, _), H = x.shape, len(U)
    lengths = np.full(B, T) if lengths is None else lengths  # (B,)
    m_x, m_h = masks
    x = zero_padding(x, lengths) * m_x  # (B, T, D), so that whatever the padding holds, even NaN, stays out of dW
    i, f, g, o = np.zeros((4, T, B, H), x.dtype)  # (T, B, H) each
    h, c = np.zeros((2, T + 1, B, H), x.dtype)  # (T+1, B, H) each: h[t] is h_{t-1}, the state before step t
    h[0], c[0] = h0, c0
    for t in range(T):
        z = x[:, t] @ W + (h[t] * m_h) @ U + b  # (1), (B, 4H)
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)  # (B, H) each
        i[t], f[t], g[t], o[t] = sigma.forward(z_i), sigma.forward(z_f), phi.forward(z_g), sigma.forward(z_o)  # (2)
        c_t = f[t] * c[t] + i[t] * g[t]  # (3), (B, H)
        h_t = o[t] * phi.forward(c_t)  # (4), (B, H)
        mask = (t < lengths)[:, None]  # (B, 1): the rows that have a word at step t; the others stay as they are
        c[t + 1], h[t + 1] = np.where(mask, c_t, c[t]), np.where(mask, h_t, h[t])
    y = h[1:].swapaxes(0, 1)  # (B, T, H)
    return (y, h[T], c[T]), LSTMCache(x, i, f, g, o, h, c, m_x, m_h, lengths, W, U, phi, sigma)


def lstm_backward(dy: Array, dh_T: Array, dc_T: Array, cache: LSTMCache) -> tuple[Array, Arrays, Array, Array]:
    """Undo (4) to (1): dy, dh_T, dc_T to dx, the gradients of W, U and b, dh0 and dc0. Cost: twice that of forward."""
    x, i, f, g, o, h, c, m_x, m_h, lengths, W, U, phi, sigma = cache
    dx, dW, dU, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros_like(U[0])
    dh, dc = dh_T, dc_T  # (B, H) each
    for t in reversed(range(x.shape[1])):
        mask = (t < lengths)[:, None]  # (B, 1)
        dh = dh + dy[:, t]  # (0'), what comes from the output y_t, (B, H)
        phi_c = phi.forward(c[t + 1])  # (B, H), computed again rather than kept
        do, dc_t = dh * phi_c, dc + phi.backward(dh * o[t], phi_c)  # (4') undoes h_t = o φ(c_t), (B, H) each
        di, df, dg = dc_t * g[t], dc_t * c[t], dc_t * i[t]  # (3') undoes c_t = f c_{t-1} + i g, (B, H) each
        dz_i, dz_f, dz_o = sigma.backward(di, i[t]), sigma.backward(df, f[t]), sigma.backward(do, o[t])  # (2')
        dz = np.concatenate([dz_i, dz_f, phi.backward(dg, g[t]), dz_o], axis=1)  # (2'), (B, 4H)
        dz[~mask[:, 0]] = 0  # no word, no gradient
        # Below 1e-38 a float32 is subnormal: it has fewer digits, and many processors handle it slowly. A gradient that
        # vanishes is full of such numbers; left as they are, they make this loop 5 to 6 times slower. So they become 0.
        dz[np.abs(dz) < TINY], dc_t[np.abs(dc_t) < TINY] = 0, 0
        dx[:, t] = dz @ W.T  # (1') undoes z = x W + h_{t-1} U + b
        dW, dU, db = dW + x[:, t].T @ dz, dU + (h[t] * m_h).T @ dz, db + dz.sum(axis=0)  # (1'), a sum over all steps
        dh = np.where(mask, dz @ U.T * m_h, dh)  # (0') of the step before, the path through h, (B, H)
        dc = np.where(mask, dc_t * f[t], dc)  # (0') of it, the path through c: no matrix, only f, (B, H)
    return dx * m_x, {"W": dW, "U": dU, "b": db}, dh, dc


class LSTM(Layer):
    """Read a sequence step by step: (B, T, D) to the last state (B, H), or to all states (B, T, H).

    Args:
        units: H, the size of the state.
        activation: φ: "tanh", "sigmoid", "relu" or "linear"; None means "linear".
        recurrent_activation: σ, one of the same.
        return_sequences: return the state after every step (B, T, H), as a second LSTM on top requires.
        return_state: return ``(y, h, c)`` with the last h and c, (B, H) each. :meth:`backward` then takes
            ``(dy, dh, dc)``. Together with ``initial_state``, a long text can be read in pieces.
        go_backwards: read from the last word to the first; the states come in the order of reading.
        dropout: the fraction of x to hide during training.
        recurrent_dropout: the fraction of h to hide during training.

    Parameters: W (D, 4H) Glorot uniform, U (H, 4H) orthogonal, b (4H,) zero except for the forget gate, which starts
    at 1. The gates are in the order i, f, g, o, as in Keras and PyTorch.
    """

    gates = ("i", "f", "g", "o")  # for reports; the order itself is that of lstm_forward

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
        get_activation(activation, elementwise=True)
        get_activation(recurrent_activation, "recurrent_activation", elementwise=True)
        (self.units,) = check_positive("LSTM", units=units)
        self.activation, self.recurrent_activation = activation, recurrent_activation
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.dropout = check_number("dropout", dropout, 0, 1, inclusive=True)
        self.recurrent_dropout = check_number("recurrent_dropout", recurrent_dropout, 0, 1, inclusive=True)

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make W, U and b for samples of shape (T, D); the output is (T, H) or (H,)."""
        (T, D), H = check_steps("LSTM", shape_in), self.units
        b = np.zeros(4 * H, dtype)  # (4H,)
        b[H : 2 * H] = 1
        W, U = glorot_uniform(rng, (D, 4 * H), dtype), orthogonal(rng, (H, 4 * H), dtype)
        self.params = {"W": W, "U": U, "b": b}
        return (T, H) if self.return_sequences else (H,)

    def draw_masks(self, B: int, D: int, train: bool, rng: Rng) -> tuple[Any, Any]:
        """Draw m_x (B, 1, D) and m_h (B, H); each is 1 where nothing is to be hidden."""
        if not train or not (self.dropout or self.recurrent_dropout):
            return 1, 1
        dtype = self.params["b"].real.dtype
        m_x = dropout_mask((B, D), self.dropout, dtype, rng)[:, None]  # (B, 1, D)
        return m_x, dropout_mask((B, self.units), self.recurrent_dropout, dtype, rng)

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None, initial_state: Any = None
    ) -> tuple[Any, LSTMCache]:
        """Read x (B, T, D) from ``initial_state`` (h0, c0), (B, H) each, zeros by default."""
        W, U, b = check_input(self, x, lengths, "B T D", "W U b")
        (B, _, D), H = x.shape, self.units
        zeros = np.zeros((B, H), x.dtype)  # (B, H)
        h0, c0 = (zeros, zeros) if initial_state is None else check_tuple("initial_state", initial_state, "h0, c0")
        check_arrays("LSTM", x.dtype, U=(U, (H, 4 * H)), b=(b, (4 * H,)), h0=(h0, (B, H)), c0=(c0, (B, H)))
        masks = self.draw_masks(B, D, train, rng)
        x = flip(x, lengths) if self.go_backwards else x  # (B, T, D)
        (y, h_T, c_T), cache = lstm_forward(
            x, W, U, b, h0, c0, lengths, self.activation, self.recurrent_activation, masks
        )
        y = y if self.return_sequences else h_T  # (B, T, H) or (B, H)
        return ((y, h_T, c_T) if self.return_state else y), cache

    def backward(self, dy: Any, cache: LSTMCache) -> tuple[Array, Arrays]:
        """Compute dx (B, T, D) and the gradients of W, U, b. Those of h0 and c0 are left out: over a text read in
        pieces this is truncated backpropagation, in which no gradient flows into the piece before.
        """
        (B, T, _), H, dtype = cache.x.shape, self.units, cache.x.dtype
        zeros = np.zeros((B, H), dtype)  # (B, H)
        dy, dh_T, dc_T = check_tuple("dy", dy, "dy, dh, dc") if self.return_state else (dy, zeros, zeros)
        shape = (B, T, H) if self.return_sequences else (B, H)
        check_arrays("LSTM", dtype, dy=(dy, shape), dh=(dh_T, (B, H)), dc=(dc_T, (B, H)))
        if not self.return_sequences:  # y was h_T alone
            dy, dh_T = np.zeros((B, T, H), dtype), dh_T + dy  # (B, T, H), (B, H)
        dx, grads, _, _ = lstm_backward(dy, dh_T, dc_T, cache)
        return (flip(dx, cache.lengths) if self.go_backwards else dx), grads

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Keep the lengths with ``return_sequences``; a single state has no time axis."""
        return lengths if self.return_sequences else None
