"""How weights start: large enough that signals survive, small enough that they do not explode.

    (1) Glorot uniform   W uniform in ±a, a = sqrt(6 / (fan_in + fan_out))         [Glorot & Bengio 2010, eq. 16]
    (2) orthogonal       U = Q of a QR decomposition, signs of R made positive     [Saxe et al. 2014]
    (3) uniform          E uniform in ±0.05, Keras's start for embeddings

An LSTM's U (H, 4H) gets orthonormal rows: h U is exactly as long as h, and dz Uᵀ is never longer than dz, so at the
start U cannot make a gradient explode. U can make it fade, which the cell prevents: see (3') in ``layers/lstm.py``.
All three draw in float64 and round once, so a seed gives the same start in every dtype.
"""

import math

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """(1), a compromise: variance 1/fan_in would keep the size of activations, 1/fan_out that of gradients."""
    *taps, fan_in, fan_out = shape  # in a convolution, each of the K taps adds to both
    a = np.sqrt(6.0 / (math.prod(taps) * (fan_in + fan_out)))
    return rng.uniform(-a, a, shape).astype(dtype)


def orthogonal(rng: np.random.Generator, shape: tuple[int, int], dtype: npt.DTypeLike) -> Array:
    """(2): a matrix whose rows (or columns, whichever are fewer) are orthonormal, uniformly at random."""
    rows, columns = shape
    A = rng.standard_normal((max(shape), min(shape)))
    Q, R = np.linalg.qr(A)
    Q *= np.sign(np.diag(R))  # without it, Q is not uniform over the orthogonal matrices
    return np.ascontiguousarray(Q if rows >= columns else Q.T, dtype=dtype)


def uniform(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """(3)."""
    return rng.uniform(-0.05, 0.05, shape).astype(dtype)
