"""Checks of arguments: each error names what came, what was expected, and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
T = TypeVar("T")


def check_tuple(symbol: str, value: Any, parts: str) -> tuple[Any, ...]:
    """Return ``value``, or raise a TypeError unless it is a tuple (or list) of the parts named."""
    if not isinstance(value, (tuple, list)) or len(value) != len(parts.split(", ")):
        raise TypeError(f"{symbol} must be ({parts}), got {type(value).__name__} {value!r:.60}")
    return tuple(value)


def check_choice(symbol: str, value: Any, *choices: str) -> None:
    """Raise a ValueError unless ``value`` is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{symbol}={value!r} is unknown; choose one of {', '.join(map(repr, choices))}")


def check_positive(who: str, **numbers: int) -> None:
    """Raise unless every number given is an integer from 1 to 2**63 - 1; the message names its symbol."""
    for symbol, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise TypeError(f"{who}: {symbol} must be an integer, got {number!r}")
        if number < 1:
            raise ValueError(f"{who}: {symbol} must be at least 1, got {number}")
        if number >= 2**63:
            raise ValueError(f"{who}: {symbol} must be below 2**63, got {number}")


def check_number(symbol: str, number: Any, low: float = 0.0, high: float = math.inf, inclusive: bool = False) -> float:
    """Return a number between ``low``, itself allowed if ``inclusive``, and ``high``; raise otherwise."""
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
        raise TypeError(f"{symbol} must be a number, got {number!r}")
    if not (low <= number < high and (inclusive or number > low)):
        above = f"{low:g} {'<=' if inclusive else '<'} {symbol}"
        raise ValueError(f"{symbol} is {number}, expected {above} < {high:g}")
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError(f"{symbol} is an integer too large for floating point") from error


def make_rng(seed: int | None) -> np.random.Generator:
    """Make a generator of random numbers from a seed of the user's.

    Raises:
        ValueError: ``seed`` is neither an integer of at least 0 nor None.
    """
    if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ValueError(f"seed is {seed!r}, expected an integer of at least 0, or None for chance")
    return np.random.default_rng(seed)


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


def as_sequence(symbol: str, x: Any) -> Any:
    """Turn tables and columns of other libraries into arrays; raise unless the result has a length and an order."""
    if hasattr(x, "to_numpy"):
        x = x.to_numpy()
    if hasattr(x, "toarray"):
        raise TypeError(f"{symbol} is a sparse {type(x).__name__}, expected an array; write {symbol}.toarray()")
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{symbol} is a masked array, whose mask would be ignored; use {symbol}.filled() or leave rows out"
        )
    refused = isinstance(x, (str, bytes, Mapping, type, np.generic))
    if refused or not hasattr(x, "__getitem__") or not hasattr(x, "__len__"):
        wanted = "a list of lists of token ids" if symbol == "x" else "a list"
        raise TypeError(f"{symbol} is a {type(x).__name__}, expected {wanted} or an array")
    if isinstance(x, np.ndarray) and x.ndim == 0:
        raise ValueError(f"{symbol} is a single number, expected an array with one row a sample")
    if isinstance(x, np.ndarray):
        return np.asarray(x)  # a matrix would keep its two axes whatever one takes of it
    if isinstance(x, Sequence) and not isinstance(x, (list, tuple)):
        return list(x)  # a deque cannot be cut in two
    return x


def as_array(symbol: str, x: Any) -> Array:
    """Make an array, or raise a ValueError where rows differ in length."""
    try:
        return np.asarray(as_sequence(symbol, x))
    except ValueError as error:
        raise ValueError(f"{symbol} is not an array of numbers: {error}") from error


def as_finite(symbol: str, x: Array, dtype: np.dtype[Any]) -> Array:
    """Convert to ``dtype``, or raise a ValueError where something is not finite, or would not be."""
    with np.errstate(over="ignore"):
        x = x.astype(dtype)
    if not np.isfinite(x).all():
        raise ValueError(f"{symbol} holds NaN, infinity or what is too large for {dtype}; see np.isfinite({symbol})")
    return x


def check_steps(who: str, shape_in: Any) -> tuple[int | None, int]:
    """Return T and D of a sample (T, D); raise a ValueError where it has no time axis or D is not known."""
    D = shape_in[1] if isinstance(shape_in, (tuple, list)) and len(shape_in) == 2 else None
    if not isinstance(D, (int, np.integer)) or D < 0:
        raise ValueError(
            f"{who}: a sample has shape {shape_in}, expected (T, D) with D known: a vector for every step. "
            "If the layer before is an LSTM, give that one return_sequences=True"
        )
    return shape_in[0], int(D)


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a model; raise a ValueError unless it is float32 or float64."""
    name = np.dtype(dtype).name if isinstance(dtype, (type, np.dtype)) else dtype
    if not isinstance(name, str) or name not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype}, expected 'float32' or 'float64'")
    return np.dtype(name)


def check_metrics(metrics: Any) -> None:
    """Raise unless ``metrics`` is None or a list of nothing but "accuracy"."""
    if metrics is not None and not isinstance(metrics, (list, tuple)):
        raise TypeError(f"metrics is {metrics!r}, expected a list; write metrics=['accuracy']")
    for metric in metrics or []:
        if not isinstance(metric, str) or metric not in ("accuracy", "acc"):
            raise ValueError(f"metrics: {metric!r} is unknown; choose 'accuracy'")


def check_weights(params: Mapping[str, Array], weights: Any) -> list[Array]:
    """Return copies of the arrays in ``weights``; raise unless there is one of the right shape for each parameter."""
    if not isinstance(weights, (list, tuple)):
        raise TypeError(f"set_weights: got a {type(weights).__name__}, expected a list as get_weights gives it")
    arrays = [np.array(as_array("set_weights", w)) for w in weights]
    if [a.shape for a in arrays] != [p.shape for p in params.values()]:
        wanted = {name: p.shape for name, p in params.items()}
        raise ValueError(f"set_weights: got shapes {[a.shape for a in arrays]}, expected {wanted}")
    if any(a.dtype.kind not in "fiu" for a in arrays):
        raise TypeError(f"set_weights: got arrays of {[str(a.dtype) for a in arrays]}, expected numbers")
    return arrays
