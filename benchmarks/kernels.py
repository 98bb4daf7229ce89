"""Time every kernel, and compare it with a lower limit.

The limit is the time of the kernel's matrix products alone, computed by NumPy's BLAS on one thread; a kernel without
products has none. Times are medians in microseconds, on one thread, with arrays of the shapes used in training. For the
time of the textbook, see compare.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from minilstm.arrays import Array
from minilstm.data.cutting import WORD_END
from minilstm.data.text import TEXT_END
from minilstm.fast import kernels

EXAMPLES = """\
examples:
  python benchmarks/kernels.py                              all kernels, in about a minute
  python benchmarks/kernels.py --kernels scatter_rows --rows 16
"""


class Size(NamedTuple):
    """The sizes of the arrays, by the papers' symbols."""

    V: int
    T: int
    H: int
    F: int
    K: int


SIZES = {"tutorial": Size(1_000, 300, 100, 64, 3), "practical": Size(20_000, 400, 128, 128, 5)}

Products = list[tuple[Array, Array]]
"""Pairs of matrices to multiply."""


class Case(NamedTuple):
    """How to time a kernel: its arguments for B rows, and the matrix products that it needs."""

    arguments: Callable[[Size, int], tuple[Any, ...]]
    products: Callable[[Size, int], Products] | None = None


def draw(*shape: int) -> Array:
    """Draw random numbers of the magnitude found in training, in float32."""
    return 0.1 * np.random.default_rng(0).standard_normal(shape, np.float32)


def text(s: Size, B: int) -> tuple[Array, Array]:
    """Draw token ids (B, T) with realistic word frequencies, and lengths (B,) between half of T and T."""
    rng = np.random.default_rng(0)
    frequency = 1 / (10 + np.arange(s.V))  # (V,)
    x = rng.choice(s.V, (B, s.T), p=frequency / frequency.sum())  # (B, T)
    return x, np.sort(rng.integers(s.T // 2, s.T + 1, B))[::-1].copy()


def words(s: Size, B: int) -> tuple[int, Array]:
    """Count the distinct words, N, and find which of them is at each position: (B, T), -1 after the end."""
    ids, index = kernels.distinct(*text(s, B), s.V)
    return len(ids), index


def windows(s: Size, B: int) -> tuple[int, Array]:
    """Count the distinct words, and find the K words in each window of a convolution: (B, T_out, K)."""
    N, index = words(s, B)
    return N, np.lib.stride_tricks.sliding_window_view(index, s.K, axis=1).copy()


def forward(s: Size, B: int) -> tuple[Any, ...]:
    """Make the arguments of the LSTM's steps; 0 and 1 are the codes of tanh and sigmoid."""
    N, index = words(s, B)
    ones, index, lengths = np.ones((B, s.H), np.float32), np.ascontiguousarray(index.T), text(s, B)[1]
    gates, h, c = (np.empty(shape, np.float32) for shape in ((s.T, B, 4 * s.H), (s.T + 1, B, s.H), (s.T + 1, B, s.H)))
    return gates, h, c, draw(N, 4 * s.H), index, draw(s.H, 4 * s.H), ones, lengths, 0, 1


def backward(s: Size, B: int) -> tuple[Any, ...]:
    """Make the arguments of the backward steps of a layer that outputs its last state."""
    gates, _, c, _, _, U, ones, lengths, phi, sigma = arguments = forward(s, B)
    kernels.lstm_steps_forward(*arguments)
    no_steps, UT = np.empty((0, B, s.H), np.float32), np.ascontiguousarray(U.T)  # (0, B, H), (4H, H)
    return no_steps, draw(2, B, s.H), gates, c, UT, ones, lengths, phi, sigma, 1e-30


def spelt(s: Size, B: int) -> tuple[Array]:
    """Encode B texts of made-up words as bytes."""
    x, _ = text(s, B)
    lines = [WORD_END.join(b"word%d" % n for n in row) + TEXT_END for row in x]
    return (np.frombuffer(b"".join(lines), np.uint8),)


def added(s: Size, B: int) -> tuple[Any, ...]:
    """Make the gradient of an LSTM's input, which is summed for each word."""
    N, index = words(s, B)
    return draw(N, 4 * s.H), draw(*index.shape, 4 * s.H), index


def phrases(s: Size, B: int) -> tuple[Any, ...]:
    """Make the arguments of a convolution's windows; 2 is the code of relu."""
    N, index = windows(s, B)
    return draw(N, s.K, s.F), index, draw(s.F), np.full(B, index.shape[1]), 2


def phrases_back(s: Size, B: int) -> tuple[Any, ...]:
    """Make the arguments of the backward pass of :func:`phrases`."""
    P, index, b, n_windows, phi = arguments = phrases(s, B)
    y = kernels.conv1d_windows_forward(*arguments)
    return P, b, draw(*y.shape), y, index, n_windows, phi


def moved(s: Size, B: int) -> tuple[Any, ...]:
    """Make an embedding matrix, and the gradient of the rows used in a batch."""
    N, _ = words(s, B)
    return draw(s.V, s.H), draw(s.V, s.H) ** 2, np.arange(N), draw(N, s.H), 0.001, 0.9, 1e-7


def pairs(s: Size, B: int) -> tuple[Array, Array]:
    """Make the arguments of max pooling, two steps to a window."""
    return draw(B * s.T, s.F), np.arange(B * s.T, dtype=np.int32).reshape(B, -1, 2)


def pairs_back(s: Size, B: int) -> tuple[Any, ...]:
    """Make the arguments of the backward pass of :func:`pairs`."""
    y, at_max = kernels.max_pool_windows_forward(*pairs(s, B))
    return draw(*y.shape), at_max, B * s.T


CASES = {
    "number_words": Case(spelt),
    "distinct": Case(lambda s, B: (*text(s, B), s.V)),
    "scatter_rows": Case(added),
    "rmsprop_rows": Case(moved),
    "conv1d_windows_forward": Case(phrases),
    "conv1d_windows_backward": Case(phrases_back),
    "max_pool_windows_forward": Case(pairs),
    "max_pool_windows_backward": Case(pairs_back),
    "lstm_steps_forward": Case(forward, lambda s, B: [(draw(B, s.H), draw(s.H, 4 * s.H))] * s.T),
    "lstm_steps_backward": Case(backward, lambda s, B: [(draw(B, 4 * s.H), draw(4 * s.H, s.H))] * s.T),
}


def microseconds(function: Callable[[], Any], at_most: float = 0.5) -> float:
    """Time a function: the median of up to 50 calls within ``at_most`` seconds, after a first call that may compile."""
    function()
    times: list[float] = []
    while len(times) < 3 or (len(times) < 50 and sum(times) < at_most):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e6 * float(np.median(times))


def measure(name: str, size: Size, B: int) -> tuple[float, float | None]:
    """Time the kernel and its products alone, in microseconds; None if it has no products."""
    case, kernel = CASES[name], getattr(kernels, name)
    arguments = case.arguments(size, B)
    with threadpool_limits(1, "blas"):
        time_of_kernel = microseconds(lambda: kernel(*arguments))
        if case.products is None:
            return time_of_kernel, None
        products = case.products(size, B)
        return time_of_kernel, microseconds(lambda: [A @ M for A, M in products])


def main() -> None:
    """Print a table in Markdown, each line as soon as it is measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kernels", nargs="+", choices=sorted(CASES), default=list(CASES), help="kernels to time (default: all)"
    )
    parser.add_argument(
        "--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="sizes of the arrays (default: both)"
    )
    parser.add_argument(
        "--rows", nargs="+", type=int, default=[16, 32], metavar="B", help="rows in a batch (default: 16 32)"
    )
    config = parser.parse_args()
    print("| kernel | size | rows | kernel, µs | limit, µs | kernel / limit |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name in config.kernels:
        for size in config.sizes:
            for B in config.rows:
                kernel, limit = measure(name, SIZES[size], B)
                of_limit = ("", "") if limit is None else (f"{limit:,.0f}", f"{kernel / limit:.2f}")
                print(f"| {name} | {size} | {B} | {kernel:,.0f} | {of_limit[0]} | {of_limit[1]} |", flush=True)


if __name__ == "__main__":
    main()
