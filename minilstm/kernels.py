"""The numba twins of the hot loops.

Every kernel here replaces one plain NumPy function, named in its docstring. The plain function is the specification:
the same arguments, the same results up to rounding, and a test compares each pair on random input. Read the plain
function first; a kernel is the same steps, one row at a time and in the order that a processor likes.

A kernel runs instead of its twin unless the environment says ``MINILSTM_NUMBA=0``, or the code runs inside
``with use_numba(False)``. Complex numbers always take the plain path: only the gradient check has them.

What makes the loops fast, each measured:

- Subnormal numbers (below 1e-38 in float32) are many times slower than others, and a gradient that vanishes over
  300 steps is full of them. ``_flush`` writes 0 for what is too small to matter; the plain twins do the same.
- The C library's tanh is a call per number. ``_tanh`` is one formula without branches, so that eight float32
  numbers go through it at once.
- ``_add_product`` works on four rows and four columns at a time, so that each number loaded is used four times.
- The flags let the compiler reorder sums, but not assume that no NaN occurs: a NaN must stay visible.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

from minilstm.layer import Array

F = TypeVar("F", bound=Callable[..., Any])


class Pair(NamedTuple):
    """A plain function and its kernel."""

    plain: Callable[..., Any]
    kernel: Any


PAIRS: dict[str, Pair] = {}
"""Every pair by the name of the plain function; the tests compare the two halves of each."""

_enabled = os.environ.get("MINILSTM_NUMBA", "1").lower() not in ("0", "off", "no", "false")
_enabled = (
    _enabled and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
)  # what is not compiled is slower than its plain twin


class use_numba:  # noqa: N801 - reads as a statement
    """Run the kernels (True) or their plain twins (False) from now on, in all threads; or within a ``with`` block.

    There is one switch for the whole process: do not use it from several threads at once.
    """

    def __init__(self, on: bool) -> None:
        global _enabled
        if not isinstance(on, bool):
            raise TypeError(f"use_numba takes True or False, got {on!r}")
        self.before, _enabled = _enabled, on

    def __enter__(self) -> None:
        """Begin the block; the switch was made already."""

    def __exit__(self, *_: object) -> None:
        """End the block: as before it."""
        global _enabled
        _enabled = self.before


def twin(kernel: Any) -> Callable[[F], F]:
    """Mark a plain function as the specification of ``kernel``, which from then on runs in its place."""

    def pair(plain: F) -> F:
        @functools.wraps(plain)
        def run(first: Array, *others: Any) -> Any:
            if _enabled and first.dtype.char in "fdl":  # float32, float64, int64
                return kernel(first, *others)
            return plain(first, *others)

        PAIRS[plain.__name__] = Pair(plain, kernel)
        return cast(F, run)

    return pair


def must_compile() -> bool:
    """Tell whether the kernels are still to be compiled on this machine, which takes some seconds, once."""
    return _enabled and not all(
        pair.kernel.signatures
        or list(Path(pair.kernel.stats.cache_path or ".").glob(f"*.{pair.kernel.__name__}-*.nbi"))
        for pair in PAIRS.values()
    )


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with numba at the first call; keep the result on disk where a folder for it can be written."""
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no folder it may write to
        return numba.njit(**options)(function)


@compiled
def _tanh(x: Array) -> None:
    """Replace x by tanh(x): Lambert's continued fraction at x/8, then tanh 2u = 2 tanh u / (1 + tanh² u) thrice.

    Cut off after its ninth denominator, 17, the fraction is n/d with the polynomials below. Doubling n/d gives
    2nd / (d² + n²), so one division serves for all. Beyond ±19 tanh is ±1 in double precision. The error is at most
    2e-15 of the result in float64 and 4e-7 in float32, where 1 may come out as 1.0000001.
    """
    f = x.dtype.type
    limit, eighth, one, two = f(19), f(0.125), f(1), f(2)
    n1, n2, n3 = f(4729725 / 34459425), f(135135 / 34459425), f(990 / 34459425)
    n4, d4 = f(1 / 34459425), f(45 / 34459425)
    d1, d2, d3 = f(16216200 / 34459425), f(945945 / 34459425), f(13860 / 34459425)
    for j in range(x.size):
        u = x[j]
        u = limit if u > limit else u
        u = -limit if u < -limit else u
        u = u * eighth
        s = u * u
        n = u * (one + s * (n1 + s * (n2 + s * (n3 + s * n4))))
        d = one + s * (d1 + s * (d2 + s * (d3 + s * d4)))
        n, d = two * n * d, d * d + n * n
        n, d = two * n * d, d * d + n * n
        n, d = two * n * d, d * d + n * n
        x[j] = n / d


@compiled
def _activate(x: Array, activation: int) -> None:
    """Replace the row x by its activation, called by its number in ``activations.ACTIVATIONS``."""
    half, one, zero = x.dtype.type(0.5), x.dtype.type(1), x.dtype.type(0)
    if activation == 0:  # tanh
        _tanh(x)
    elif activation == 1:  # sigmoid
        for j in range(x.size):
            x[j] *= half
        _tanh(x)
        for j in range(x.size):
            x[j] = half * (one + x[j])
    elif activation == 2:  # relu
        for j in range(x.size):
            x[j] = zero if x[j] <= zero else x[j]


@compiled
def _activate_backward(dy: Array, y: Array, activation: int) -> None:
    """Replace the row dy by dx, given the output row y."""
    one, zero = y.dtype.type(1), y.dtype.type(0)
    if activation == 0:  # tanh
        for j in range(y.size):
            dy[j] *= one - y[j] * y[j]
    elif activation == 1:  # sigmoid
        for j in range(y.size):
            dy[j] *= y[j] * (one - y[j])
    elif activation == 2:  # relu
        for j in range(y.size):
            dy[j] = zero if y[j] <= zero else dy[j]


@compiled
def _flush(x: Array, tiny: float) -> None:
    """Replace what is smaller than ``tiny`` in the row x by 0."""
    tiny, zero = x.dtype.type(tiny), x.dtype.type(0)
    for j in range(x.size):
        x[j] = zero if abs(x[j]) < tiny else x[j]


@compiled
def _add_product(out: Array, A: Array, M: Array) -> None:
    """Add A M to ``out``, in blocks of 4 rows and 4 terms of the sum."""
    B, K = A.shape
    N = M.shape[1]
    B4, K4 = B - B % 4, K - K % 4
    for r in range(0, B4, 4):
        o0, o1, o2, o3 = out[r], out[r + 1], out[r + 2], out[r + 3]
        for k in range(0, K4, 4):
            m0, m1, m2, m3 = M[k], M[k + 1], M[k + 2], M[k + 3]
            a00, a01, a02, a03 = A[r, k], A[r, k + 1], A[r, k + 2], A[r, k + 3]
            a10, a11, a12, a13 = A[r + 1, k], A[r + 1, k + 1], A[r + 1, k + 2], A[r + 1, k + 3]
            a20, a21, a22, a23 = A[r + 2, k], A[r + 2, k + 1], A[r + 2, k + 2], A[r + 2, k + 3]
            a30, a31, a32, a33 = A[r + 3, k], A[r + 3, k + 1], A[r + 3, k + 2], A[r + 3, k + 3]
            for j in range(N):
                x0, x1, x2, x3 = m0[j], m1[j], m2[j], m3[j]
                o0[j] += a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
                o1[j] += a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
                o2[j] += a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
                o3[j] += a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
        for k in range(K4, K):
            for q in range(r, r + 4):
                _add_row(out[q], A[q, k], M[k])
    for r in range(B4, B):
        for k in range(K):
            _add_row(out[r], A[r, k], M[k])


@compiled
def _add_row(out: Array, a: Any, m: Array) -> None:
    """Add the row a m to ``out``."""
    for j in range(m.size):
        out[j] += a * m[j]


@compiled
def _live_rows(lengths: Array, t: int) -> int:
    """Count the rows up to the last that has a step t; all behind it can be left out."""
    n = lengths.size
    while n and t >= lengths[n - 1]:
        n -= 1
    return n


@compiled
def lstm_steps_forward(
    P: Array,
    at: Array,
    U: Array,
    h0: Array,
    c0: Array,
    m_h: Array,
    lengths: Array,
    activation: int,
    recurrent_activation: int,
) -> tuple[Array, Array, Array]:
    """Twin of ``layers.lstm.lstm_steps_forward``."""
    T, B = at.shape
    H = U.shape[0]
    gates = np.empty((T, B, 4 * H), P.dtype)  # (T, B, 4H)
    h = np.empty((T + 1, B, H), P.dtype)  # (T+1, B, H)
    c = np.empty((T + 1, B, H), P.dtype)  # (T+1, B, H)
    h[0], c[0] = h0, c0
    for t in range(T):
        n = _live_rows(lengths, t)
        for r in range(n):
            if t < lengths[r]:
                gates[t, r] = P[at[t, r]]
            else:
                gates[t, r] = 0
        _add_product(gates[t, :n], h[t, :n] * m_h[:n], U)
        for r in range(B):
            if t >= lengths[r]:
                h[t + 1, r], c[t + 1, r] = h[t, r], c[t, r]
                gates[t, r] = 0
                continue
            _activate(gates[t, r, : 2 * H], recurrent_activation)
            _activate(gates[t, r, 2 * H : 3 * H], activation)
            _activate(gates[t, r, 3 * H :], recurrent_activation)
            i, f, g, o = (gates[t, r, :H], gates[t, r, H : 2 * H], gates[t, r, 2 * H : 3 * H], gates[t, r, 3 * H :])
            c_prev, c_t, h_t = c[t, r], c[t + 1, r], h[t + 1, r]
            for j in range(H):
                c_t[j] = f[j] * c_prev[j] + i[j] * g[j]
            h_t[:] = c_t
            _activate(h_t, activation)
            for j in range(H):
                h_t[j] *= o[j]
    return gates, h, c


@compiled
def lstm_steps_backward(
    dy: Array,
    dh_T: Array,
    dc_T: Array,
    gates: Array,
    c: Array,
    U: Array,
    m_h: Array,
    lengths: Array,
    activation: int,
    recurrent_activation: int,
    tiny: float,
) -> tuple[Array, Array, Array]:
    """Twin of ``layers.lstm.lstm_steps_backward``."""
    T, B = gates.shape[:2]
    H = U.shape[0]
    UT = np.ascontiguousarray(U.T)  # (4H, H)
    dz = np.zeros_like(gates)  # (T, B, 4H)
    dh, dc = dh_T.copy(), dc_T.copy()  # (B, H) each
    phi_c, dphi_c = np.empty(H, U.dtype), np.empty(H, U.dtype)  # (H,) each
    for t in range(T - 1, -1, -1):
        for r in range(B):
            if dy.shape[0]:
                dh[r] += dy[t, r]
            if t >= lengths[r]:
                continue
            i, f, g, o = (gates[t, r, :H], gates[t, r, H : 2 * H], gates[t, r, 2 * H : 3 * H], gates[t, r, 3 * H :])
            di, df, dg, do = dz[t, r, :H], dz[t, r, H : 2 * H], dz[t, r, 2 * H : 3 * H], dz[t, r, 3 * H :]
            c_prev, dh_r, dc_r = c[t, r], dh[r], dc[r]
            phi_c[:] = c[t + 1, r]
            _activate(phi_c, activation)
            for j in range(H):
                do[j] = dh_r[j] * phi_c[j]
            for j in range(H):
                dphi_c[j] = dh_r[j] * o[j]
            _activate_backward(dphi_c, phi_c, activation)
            for j in range(H):
                dc_r[j] += dphi_c[j]
            for j in range(H):
                di[j] = dc_r[j] * g[j]
                dg[j] = dc_r[j] * i[j]
            for j in range(H):
                df[j] = dc_r[j] * c_prev[j]
            for j in range(H):
                dc_r[j] *= f[j]
            _activate_backward(dz[t, r, : 2 * H], gates[t, r, : 2 * H], recurrent_activation)
            _activate_backward(dg, g, activation)
            _activate_backward(do, o, recurrent_activation)
            _flush(dz[t, r], tiny)
            _flush(dc_r, tiny)
            dh[r] = 0
        n = _live_rows(lengths, t)
        _add_product(dh[:n], dz[t, :n], UT)
        for r in range(B):
            if t < lengths[r]:
                dh[r] *= m_h[r]
            _flush(dh[r], tiny)
    return dz, dh, dc


@compiled
def distinct(x: Array, lengths: Array, V: int) -> tuple[Array, Array]:
    """Twin of ``words.distinct``."""
    number = np.full(V, -1)  # (V,): of each id among the ids
    for b in range(x.shape[0]):
        for t in range(lengths[b]):
            number[x[b, t]] = 0
    N = 0
    for v in range(V):
        if number[v] == 0:
            number[v] = N
            N += 1
    ids = np.empty(N, np.int64)  # (N,)
    for v in range(V):
        if number[v] >= 0:
            ids[number[v]] = v
    index = np.full(x.shape, -1)  # (B, T)
    for b in range(x.shape[0]):
        for t in range(lengths[b]):
            index[b, t] = number[x[b, t]]
    return ids, index


@compiled
def sum_rows(P: Array, at: Array) -> Array:
    """Twin of ``words.sum_rows``."""
    B, T, K = at.shape
    y = np.zeros((B, T, P.shape[2]), P.dtype)  # (B, T, F)
    for b in range(B):
        for t in range(T):
            for k in range(K):
                if at[b, t, k] >= 0:
                    _add_row(y[b, t], P.dtype.type(1), P[at[b, t, k], k])
    return y


@compiled
def scatter_rows(dy: Array, at: Array, N: int) -> Array:
    """Twin of ``words.scatter_rows``."""
    B, T, K = at.shape
    dP = np.zeros((N, K, dy.shape[2]), dy.dtype)  # (N, K, F)
    for b in range(B):
        for t in range(T):
            for k in range(K):
                if at[b, t, k] >= 0:
                    _add_row(dP[at[b, t, k], k], dy.dtype.type(1), dy[b, t])
    return dP
