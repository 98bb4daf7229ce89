"""The loops of the twins, compiled by numba.

Read the textbook function first: a kernel makes the same steps, one row at a time, in the order that a processor likes.
It trusts its arguments: its callers check shapes, dtypes and indices. What makes the loops fast, each measured:

- Subnormal numbers (below 1e-38 in float32) are many times slower than others, and a gradient that vanishes over
  300 steps is full of them. ``_flush`` gives 0 for what is too small to matter; the textbook does the same.
- The C library's tanh is a call per number. ``_tanh`` is one formula without branches, so that eight float32
  numbers go through it at once.
- The product of each step is SciPy's BLAS, called from within the loop (``_product``): no Python between two steps.
- The flags let the compiler reorder sums, but not assume that no NaN occurs: a NaN must stay visible.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.fast.compiled import compiled

ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear")  # by their numbers; a kernel takes no function


def number_of(activation: str | None) -> int:
    """Return the number of an activation; raise a ValueError if the kernels lack it, as it was changed in the layer."""
    if (activation or "linear") not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r} is unknown; choose one of {', '.join(map(repr, ACTIVATIONS))}")
    return ACTIVATIONS.index(activation or "linear")


TANH32 = (
    *(1.0, 0.1338102902501837, 0.003495592051129885, 2.060914293626219e-05, 1.3354737971834289e-08),
    *(0.4671434462389317, 0.025876997377849622, 0.0003285641065701077, 7.776591196874711e-07),
)
TANH64 = tuple(n / 34459425 for n in (34459425, 4729725, 135135, 990, 1, 16216200, 945945, 13860, 45))


@compiled
def _tanh(x: Array, a: float) -> None:
    """Replace x by a tanh(a x) + 1 - a: tanh for a = 1, the sigmoid for a = 1/2.

    tanh u = num/den with polynomials in s = u². In float32 they were fitted up to u = 9, where tanh rounds to 1; the
    error is at most 4e-7 of tanh, and 1 may come out as 1.0000002. In float64 it is Lambert's continued
    fraction, cut off after its ninth denominator, 17, at u/8, and then tanh 2u = 2 tanh u / (1 + tanh² u) thrice; the
    error is at most 2e-15. Doubling num/den gives 2 num den / (den² + num²), so one division serves for all.
    """
    cast, double = x.dtype.type, x.itemsize == 8
    coef = TANH64 if double else TANH32
    n0, n1, n2, n3, n4 = cast(coef[0]), cast(coef[1]), cast(coef[2]), cast(coef[3]), cast(coef[4])
    d1, d2, d3, d4 = cast(coef[5]), cast(coef[6]), cast(coef[7]), cast(coef[8])
    scale, limit = (cast(a / 8), cast(19 / 8)) if double else (cast(a), cast(9))
    one, two, a_f, rest = cast(1), cast(2), cast(a), cast(1 - a)
    for j in range(x.size):
        u = scale * x[j]
        u = limit if u > limit else u
        u = -limit if u < -limit else u
        s = u * u
        num = u * (n0 + s * (n1 + s * (n2 + s * (n3 + s * n4))))
        den = one + s * (d1 + s * (d2 + s * (d3 + s * d4)))
        if double:
            num, den = two * num * den, den * den + num * num
            num, den = two * num * den, den * den + num * num
            num, den = two * num * den, den * den + num * num
        x[j] = a_f * (num / den) + rest


@compiled
def _activate(x: Array, activation: int) -> None:
    """Replace the row x by its activation, called by its number in ``ACTIVATIONS``."""
    zero = x.dtype.type(0)
    if activation == 0:  # tanh
        _tanh(x, 1.0)
    elif activation == 1:  # sigmoid
        _tanh(x, 0.5)
    elif activation == 2:  # relu
        for j in range(x.size):
            x[j] = zero if x[j] <= zero else x[j]


@compiled
def _slope_of(activation: int, f: Any) -> tuple[Any, Any, Any, Any]:
    """Give the numbers by which ``_slope`` computes the derivative of an activation."""
    if activation == 0:  # tanh
        return f(1), f(0), f(-1), f(-np.inf)
    if activation == 1:  # sigmoid
        return f(0), f(1), f(-1), f(-np.inf)
    return f(1), f(0), f(0), f(0) if activation == 2 else f(-np.inf)  # relu, linear


@compiled
def _slope(y: Any, slope: tuple[Any, Any, Any, Any]) -> Any:
    """Compute an activation's derivative by way of its output y: a + b y + c y², but 0 where y is at most ``low``."""
    a, b, c, low = slope
    return a - a if y <= low else a + y * (b + c * y)


@compiled
def _flush(x: Any, tiny: Any) -> Any:
    """Give x, or 0 where it is smaller than ``tiny``."""
    return x - x if abs(x) < tiny else x


@compiled
def _product(out: Array, A: Array, M: Array) -> None:
    """Put A M into ``out``, eight rows at a time: so small a product OpenBLAS does without rearranging M first."""
    for r in range(0, A.shape[0], 8):
        np.dot(A[r : r + 8], M, out[r : r + 8])


@compiled
def _add_row(out: Array, m: Array) -> None:
    """Add the row m to ``out``."""
    for j in range(m.size):
        out[j] += m[j]


@compiled
def _rows_with_step(lengths: Array, t: int) -> int:
    """Count the rows up to the last that has a step t; all after it can be left out."""
    n = lengths.size
    while n and t >= lengths[n - 1]:
        n -= 1
    return n


@compiled
def lstm_steps_forward(
    gates: Array, h: Array, c: Array, P: Array, index: Array, U: Array, m_h: Array, lengths: Array, phi: int, sigma: int
) -> None:
    """Run (1) to (4): from P (N, 4H), whose row index[t, b] batch row b reads at step t, to gates, h and c.

    The gates are (T, B, 4H), h and c (T+1, B, H); h[t] is the state before step t.
    """
    (T, B), H = index.shape, U.shape[0]
    h[0], c[0] = 0, 0
    h_seen = np.empty((B, H), P.dtype)  # (B, H)
    for t in range(T):
        n = _rows_with_step(lengths, t)
        for r in range(n):
            for j in range(H):
                h_seen[r, j] = h[t, r, j] * m_h[r, j]
        _product(gates[t, :n], h_seen[:n], U)
        for r in range(B):
            if t >= lengths[r]:
                h[t + 1, r], c[t + 1, r] = h[t, r], c[t, r]
                gates[t, r] = 0
                continue
            _add_row(gates[t, r], P[index[t, r]])
            _activate(gates[t, r, : 2 * H], sigma)
            _activate(gates[t, r, 2 * H : 3 * H], phi)
            _activate(gates[t, r, 3 * H :], sigma)
            i, f, g, o = (gates[t, r, :H], gates[t, r, H : 2 * H], gates[t, r, 2 * H : 3 * H], gates[t, r, 3 * H :])
            c_prev, c_t, h_t = c[t, r], c[t + 1, r], h[t + 1, r]
            for j in range(H):
                c_t[j] = f[j] * c_prev[j] + i[j] * g[j]
            h_t[:] = c_t
            _activate(h_t, phi)
            for j in range(H):
                h_t[j] *= o[j]


@compiled
def lstm_steps_backward(
    dy: Array, dhc: Array, gates: Array, c: Array, UT: Array, m_h: Array, n: Array, phi: int, sigma: int, tiny: float
) -> Array:
    """Run (0') to (2'): from dy (T, B, H) to dz (T, B, 4H), for rows of lengths n (B,).

    dhc (2, B, H) are dh and dc after the steps, replaced by those before them. ``dy`` may have no steps at all: then
    nothing else flows in. UT (4H, H) is U transposed, in the order in which the products read it. Numbers below
    ``tiny`` become 0.
    """
    (T, B), H = gates.shape[:2], UT.shape[1]
    dz, dh, dc = np.empty_like(gates), dhc[0], dhc[1]  # (T, B, 4H), (B, H) each
    dh_prev, phi_c = np.empty((B, H), UT.dtype), np.empty(H, UT.dtype)  # (B, H), (H,)
    slope_phi, slope_sigma = _slope_of(phi, UT.dtype.type), _slope_of(sigma, UT.dtype.type)
    tiny = UT.dtype.type(tiny)
    for t in range(T - 1, -1, -1):
        for r in range(B):
            if dy.shape[0]:
                _add_row(dh[r], dy[t, r])
            if t >= n[r]:
                dz[t, r] = 0
                continue
            i, f, g, o = (gates[t, r, :H], gates[t, r, H : 2 * H], gates[t, r, 2 * H : 3 * H], gates[t, r, 3 * H :])
            dz_i, dz_f, dz_g, dz_o = dz[t, r, :H], dz[t, r, H : 2 * H], dz[t, r, 2 * H : 3 * H], dz[t, r, 3 * H :]
            c_prev, dh_r, dc_r = c[t, r], dh[r], dc[r]
            phi_c[:] = c[t + 1, r]
            _activate(phi_c, phi)
            for j in range(H):
                dz_o[j] = _flush(dh_r[j] * phi_c[j] * _slope(o[j], slope_sigma), tiny)
            for j in range(H):
                dc_r[j] += dh_r[j] * o[j] * _slope(phi_c[j], slope_phi)
            for j in range(H):
                dz_i[j] = _flush(dc_r[j] * g[j] * _slope(i[j], slope_sigma), tiny)
            for j in range(H):
                dz_g[j] = _flush(dc_r[j] * i[j] * _slope(g[j], slope_phi), tiny)
            for j in range(H):
                dz_f[j] = _flush(dc_r[j] * c_prev[j] * _slope(f[j], slope_sigma), tiny)
            for j in range(H):
                dc_r[j] = _flush(dc_r[j] * f[j], tiny)
        rows = _rows_with_step(n, t)
        _product(dh_prev[:rows], dz[t, :rows], UT)
        for r in range(rows):
            if t < n[r]:
                for j in range(H):
                    dh[r, j] = _flush(dh_prev[r, j] * m_h[r, j], tiny)
    return dz


@compiled
def distinct(x: Array, lengths: Array, V: int) -> tuple[Array, Array]:
    """Find the distinct ids, rising, (N,), in x (B, T) with ids below V, and which of them is where, (B, T), or -1."""
    number = np.full(V, -1)  # (V,): of each id among the ids
    for b in range(x.shape[0]):
        for t in range(lengths[b]):
            number[x[b, t]] = 0
    ids = np.flatnonzero(number == 0)  # (N,)
    for n in range(ids.size):
        number[ids[n]] = n
    index = np.full(x.shape, -1)  # (B, T)
    for b in range(x.shape[0]):
        for t in range(lengths[b]):
            index[b, t] = number[x[b, t]]
    return ids, index


@compiled
def scatter_rows(drows: Array, dy: Array, index: Array) -> None:
    """Add each dy[b, t] to the row index[b, t] of drows (N, D), in place; -1 is nothing."""
    for b in range(index.shape[0]):
        for t in range(index.shape[1]):
            if index[b, t] >= 0:
                _add_row(drows[index[b, t]], dy[b, t])


@compiled
def conv1d_windows_forward(P: Array, at: Array, b: Array, n_windows: Array, activation: int) -> Array:
    """Add up what each window sees and apply the activation: from P (N, K, F) to y (B, T_out, F).

    at (B, T_out, K) tells which row of P a tap of a window sees, -1 for none; batch row r has n_windows[r] windows.
    """
    B, T, K = at.shape
    y = np.zeros((B, T, b.size), P.dtype)  # (B, T_out, F)
    for r in range(B):
        for t in range(n_windows[r]):
            y[r, t] = b
            for k in range(K):
                if at[r, t, k] >= 0:
                    _add_row(y[r, t], P[at[r, t, k], k])
            _activate(y[r, t], activation)
    return y


@compiled
def conv1d_windows_backward(
    dP: Array, db: Array, dy: Array, y: Array, at: Array, n_windows: Array, activation: int
) -> None:
    """Undo :func:`conv1d_windows_forward`: add to dP (N, K, F) and db (F,), in place."""
    dz, slope = np.empty(db.size, dy.dtype), _slope_of(activation, dy.dtype.type)  # (F,)
    for r in range(n_windows.size):
        for t in range(n_windows[r]):
            some = False
            for j in range(dz.size):
                dz[j] = dy[r, t, j] * _slope(y[r, t, j], slope)
                some |= dz[j] != 0
            if not some:  # as often before a global maximum, which hears of one window only
                continue
            _add_row(db, dz)
            for k in range(at.shape[2]):
                if at[r, t, k] >= 0:
                    _add_row(dP[at[r, t, k], k], dz)


@compiled
def rmsprop_rows(p: Array, v: Array, at: Array, g: Array, rate: float, rho: float, epsilon: float) -> None:
    """Make one step of RMSprop, where g (N, D) is the gradient of the rows ``at`` (N,) of p, and 0 that of others."""
    f = p.dtype.type
    rate_f, rho_f, new, epsilon_f = f(rate), f(rho), f(1 - rho), f(epsilon)
    for n in range(v.shape[0]):
        v_n = v[n]
        for j in range(v_n.size):
            v_n[j] *= rho_f
    for n in range(at.size):
        p_n, v_n, g_n = p[at[n]], v[at[n]], g[n]
        for j in range(g_n.size):
            v_n[j] += new * g_n[j] * g_n[j]
            p_n[j] -= rate_f * g_n[j] / np.sqrt(v_n[j] + epsilon_f)


@compiled
def number_words(text: Array) -> tuple[Array, Array, Array, Array]:
    """Twin of ``text.number_words``: a hash table with linear probing, so a word is in the first free slot."""
    most = np.count_nonzero(text >= 254)  # words or texts end
    seen = np.empty((most, 5), np.int64)  # (most, 5): start, end, texts, last text, hash; side by side in memory
    places, ends = np.empty(most, np.int64), np.empty(most, np.int64)  # (most,) each
    table = np.full(1 << 12, -1)
    N = P = D = start = code = 0
    for end in range(text.size):
        byte: Any = np.int64(text[end])
        if byte < 254:
            code = ((code ^ byte) * 16777619) & 0xFFFFFFFF  # FNV-1a, which tells like words apart well
            continue
        if end > start:
            slot = code & (table.size - 1)
            while table[slot] >= 0 and not _same(text, seen[table[slot]], start, end, code):
                slot = (slot + 1) & (table.size - 1)
            if table[slot] < 0:
                table[slot] = N
                seen[N, 0], seen[N, 1], seen[N, 2], seen[N, 3], seen[N, 4] = start, end, 0, -1, code
                N += 1
            places[P] = table[slot]
            word = seen[places[P]]
            word[2] += word[3] != D
            word[3] = D
            P += 1
            if 3 * table.size < 4 * N:  # keep a quarter of it empty
                table = np.full(4 * table.size, -1)
                for n in range(N):
                    slot = seen[n, 4] & (table.size - 1)
                    while table[slot] >= 0:
                        slot = (slot + 1) & (table.size - 1)
                    table[slot] = n
        if byte == 254:
            ends[D] = P
            D += 1
        start, code = end + 1, 0
    words = np.full(np.sum(seen[:N, 1] - seen[:N, 0]) + N, 255, np.uint8)
    at = 0
    for n in range(N):
        size = seen[n, 1] - seen[n, 0]
        words[at : at + size] = text[seen[n, 0] : seen[n, 1]]
        at += size + 1
    return words, seen[:N, 2].copy(), places[:P].copy(), ends[:D].copy()


@compiled
def _same(text: Array, word: Array, start: int, end: int, code: int) -> bool:
    """Tell whether a seen word is that from ``start`` to ``end``, with the hash ``code``."""
    if word[4] != code or word[1] - word[0] != end - start:
        return False
    k = 0
    while k < end - start and text[word[0] + k] == text[start + k]:
        k += 1
    return k == end - start


@compiled
def max_pool_windows_forward(rows: Array, at: Array) -> tuple[Array, Array]:
    """Find the largest that each window sees, y (B, T_out, D), and in which row of ``rows`` (N, D) it is.

    at (B, T_out, K) tells which rows a window sees, -1 for none. The first of ties wins, and NaN over all.
    """
    B, T, K = at.shape
    y = np.zeros((B, T, rows.shape[1]), rows.dtype)  # (B, T_out, D)
    at_max = np.full(y.shape, -1, at.dtype)  # (B, T_out, D)
    for b in range(B):
        for t in range(T):
            some = False
            for k in range(K):
                n = at[b, t, k]
                if n >= 0 and not some:
                    y[b, t], at_max[b, t], some = rows[n], n, True
                elif n >= 0:
                    x, largest, where = rows[n], y[b, t], at_max[b, t]
                    for j in range(x.size):
                        larger = (x[j] > largest[j]) | (x[j] != x[j])  # the second is NaN
                        largest[j] = x[j] if larger else largest[j]
                        where[j] = n if larger else where[j]
    return y, at_max


@compiled
def max_pool_windows_backward(dy: Array, at_max: Array, N: int) -> Array:
    """Undo :func:`max_pool_windows_forward`: the gradient of ``rows`` (N, D)."""
    B, T, D = dy.shape
    drows = np.zeros((N, D), dy.dtype)  # (N, D)
    for b in range(B):
        for t in range(T):
            for j in range(D):
                if at_max[b, t, j] >= 0:
                    drows[at_max[b, t, j], j] += dy[b, t, j]
    return drows
