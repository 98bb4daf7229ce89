"""Errors that say what came, what was expected, and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from minilstm.layer import Array, Layer, Lengths, Shape, Words

T = TypeVar("T")
ODD = (np.ma.MaskedArray, np.matrix)  # arrays that compute otherwise than arrays do
FLOATS = ("float32", "float64", "complex64", "complex128")  # the latter two are those of gradient checks


def check_input(
    layer: Layer, x: Array | Words, lengths: Lengths, axes: str, last: int | None = None, kind: str = "fc"
) -> None:
    """Raise unless ``x`` is as a layer wants it.

    Args:
        layer: whose parameters' dtype x must have, unless x is token ids.
        x: what came.
        lengths: what came with it.
        axes: what x should have, such as "B T D".
        last: the size that the last axis should have; None for any.
        kind: "fc" for floating-point numbers (and complex ones, in a gradient check), "iu" for token ids.

    Raises:
        TypeError: x is no array, or of another dtype.
        ValueError: another number of axes or features, or ``lengths`` that do not fit x.
    """
    who = type(layer).__name__
    names = axes.split()
    expected = f"({', '.join(names[:-1])}, {names[-1] if last is None else last})"
    if not isinstance(x, (np.ndarray, Words) if layer.reads_words else np.ndarray) or isinstance(x, ODD):
        raise TypeError(f"{who}: x is a {type(x).__name__}, expected an array {expected}; use np.asarray(x)")
    if len(x.shape) != len(names) or (last is not None and x.shape[-1] != last):
        raise ValueError(f"{who}: x has shape {x.shape}, expected {expected}")
    if x.dtype.kind not in kind or (kind != "iu" and x.dtype not in FLOATS):
        wanted = "token ids, an integer array" if kind == "iu" else "float32 or float64"
        raise TypeError(f"{who}: x is {x.dtype}, expected {wanted} {expected}; convert it with x.astype")
    for name, p in layer.params.items():
        if p.dtype != x.dtype and kind != "iu":
            raise TypeError(
                f"{who}: x is {x.dtype}, but {name} is {p.dtype}; "
                f"convert it with x.astype(np.{p.dtype}), or build the layer with dtype {x.dtype}"
            )
    if isinstance(x, Words):
        check_arrays(who, np.int64, index=(x.index, x.shape[:2]))
        if x.index.size and not -1 <= x.index.min() <= x.index.max() < len(x.rows):
            raise ValueError(f"{who}: Words with index {x.index.min()} to {x.index.max()}, but {len(x.rows)} rows")
    if len(names) > 1 and names[1] == "T":
        check_lengths(who, lengths, *x.shape[:2])


def check_lengths(who: str, lengths: Lengths, B: int, T: int) -> None:
    """Raise unless ``lengths`` is None or holds B whole numbers from 0 to T."""
    if lengths is None:
        return
    if not isinstance(lengths, np.ndarray) or isinstance(lengths, np.ma.MaskedArray) or lengths.dtype != np.int64:
        raise TypeError(
            f"{who}: lengths must be an int64 array ({B},) or None, got {lengths!r}; use np.asarray(..., int)"
        )
    if lengths.shape != (B,):
        raise ValueError(f"{who}: lengths has shape {lengths.shape}, expected ({B},), one for each row of x")
    if B and (lengths.min() < 0 or lengths.max() > T):
        raise ValueError(
            f"{who}: lengths go from {lengths.min()} to {lengths.max()}, expected 0 to T = {T}; "
            "a length counts the steps of a row before its padding"
        )


def check_arrays(who: str, dtype: npt.DTypeLike, **arrays: tuple[Any, tuple[int, ...]]) -> None:
    """Raise unless every ``symbol=(array, shape)`` is an array of this shape and dtype. Kernels rely on it."""
    for symbol, (array, shape) in arrays.items():
        if not isinstance(array, np.ndarray) or isinstance(array, ODD):
            raise TypeError(f"{who}: {symbol} is a {type(array).__name__}, expected an array {shape} of {dtype}")
        if array.shape != shape:
            raise ValueError(f"{who}: {symbol} has shape {array.shape}, expected {shape}")
        if array.dtype != dtype:
            raise TypeError(f"{who}: {symbol} is {array.dtype}, expected {dtype}; convert it with {symbol}.astype")


def check_tuple(symbol: str, value: Any, parts: str) -> tuple[Any, ...]:
    """Return ``value``, or raise a TypeError unless it is a tuple (or list) of the parts named."""
    if not isinstance(value, (tuple, list)) or len(value) != len(parts.split(", ")):
        raise TypeError(f"{symbol} must be ({parts}), got {type(value).__name__} {value!r:.60}")
    return tuple(value)


def check_tokens(x: Array, V: int) -> None:
    """Raise a ValueError where an id lies outside 0 to V - 1; NumPy would read negative ones from the end."""
    if x.size and (x.min() < 0 or x.max() >= V):
        worst = x.min() if x.min() < 0 else x.max()
        raise ValueError(
            f"Embedding: token {worst} is outside 0 to {V - 1}, the vocabulary of input_dim={V}; "
            f"use Tokenizer(num_words={V}), or an Embedding with a larger input_dim"
        )


def check_built(layer: Layer, *names: str) -> list[Array]:
    """Return the named parameters, or raise a ValueError where the layer has not been built."""
    if not layer.params:
        raise ValueError(
            f"{type(layer).__name__}: no parameters yet; call build(d_in, rng, dtype) first, or add it to a model"
        )
    return [layer.params[name] for name in names]


def check_steps(who: str, d_in: Shape) -> tuple[int | None, int]:
    """Return T and D of a sample (T, D), or raise a ValueError where it has no time axis or D is not known."""
    D = d_in[1] if isinstance(d_in, (tuple, list)) and len(d_in) == 2 else None
    if not isinstance(D, (int, np.integer)) or D < 0:
        raise ValueError(
            f"{who}: a sample has shape {d_in}, expected (T, D) with D known: a vector for every step. "
            "If the layer before is an LSTM, give that one return_sequences=True"
        )
    return d_in[0], int(D)


def check_choice(symbol: str, value: Any, *choices: str) -> None:
    """Raise a ValueError unless ``value`` is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{symbol}={value!r} is unknown; choose one of {', '.join(map(repr, choices))}")


def check_positive(who: str, **numbers: int) -> None:
    """Raise unless every number given is a whole number from 1 to 2**63 - 1; the message names its symbol."""
    for symbol, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise TypeError(f"{who}: {symbol} must be a whole number, got {number!r}")
        if number < 1:
            raise ValueError(f"{who}: {symbol} must be at least 1, got {number}")
        if number >= 2**63:
            raise ValueError(f"{who}: {symbol} must be below 2**63, got {number}")


def check_number(symbol: str, number: Any, low: float = 0.0, high: float = math.inf, low_too: bool = False) -> float:
    """Return a number between ``low``, itself allowed if ``low_too``, and ``high``; raise otherwise."""
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
        raise TypeError(f"{symbol} must be a number, got {number!r}")
    if not (low <= number < high and (low_too or number > low)):
        above = f"{low:g} {'<=' if low_too else '<'} {symbol}"
        raise ValueError(f"{symbol} is {number}, expected {above} < {high:g}")
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError(f"{symbol} is a whole number too large for floating point") from error


def make_rng(seed: int | None) -> np.random.Generator:
    """Make a generator of random numbers from a seed of the user's.

    Raises:
        ValueError: ``seed`` is neither a whole number of at least 0 nor None.
    """
    if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ValueError(f"seed is {seed!r}, expected a whole number of at least 0, or None for chance")
    return np.random.default_rng(seed)


def check_same(who: str, wanted: Any, came: Any) -> None:
    """Raise unless both are dicts, with the same keys."""
    for symbol, things in (("params", wanted), (who, came)):
        if not isinstance(things, Mapping):
            raise TypeError(f"{symbol} is a {type(things).__name__}, expected a dict of arrays by name")
    if set(wanted) != set(came):
        raise ValueError(f"{who} has {sorted(map(str, came))}, expected the keys of params, {sorted(map(str, wanted))}")


def by_name(symbol: str, value: Any, table: Mapping[str, Callable[[], T]], kind: type[T]) -> T:
    """Make what ``value`` names in ``table``, whatever its case; an object of the right kind passes through.

    Raises:
        ValueError: there is none of that name; the message lists those there are.
        TypeError: neither a name nor such an object.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{symbol}={value!r} is neither a name nor of kind {kind.__name__}; try {next(iter(table))!r}")
    check_choice(symbol, value.lower(), *table)
    return table[value.lower()]()


def check_truth(p: Array, y: Array) -> None:
    """Raise unless p is floating-point, and y of its shape, and of its dtype unless a gradient check made p complex."""
    if not isinstance(p, np.ndarray) or isinstance(p, ODD) or p.dtype not in FLOATS or not p.ndim or not p.size:
        came = f"{p.dtype} {p.shape}" if isinstance(p, np.ndarray) else f"a {type(p).__name__}"
        raise TypeError(f"loss: predictions are {came}, expected an array (B, K) of float32 or float64, not empty")
    check_arrays("loss", p.dtype if p.dtype.kind == "f" else getattr(y, "dtype", p.real.dtype), y=(y, p.shape))


def check_probabilities(p: Array, activation: str, loss: str) -> None:
    """Raise a ValueError unless p lies within 0 and 1 and, after a softmax, its rows add up to 1."""
    remedy = f"give the last layer activation={activation!r}, or use the loss {loss}(from_logits=True)"
    if p.size and (p.real.min() < 0 or p.real.max() > 1):
        came = f"predictions go from {p.real.min():.3g} to {p.real.max():.3g}"
        raise ValueError(f"{came}, expected probabilities from 0 to 1; {remedy}")
    if activation == "softmax" and p.size and np.abs(p.real.sum(axis=-1) - 1).max() > 1e-3:
        raise ValueError(f"predictions of a row add up to {p.real.sum(axis=-1).max():.3g}, expected 1; {remedy}")
