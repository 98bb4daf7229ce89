"""Arrays from what the user gave: lists, arrays, and the tables and columns of other libraries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array


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
    except (ValueError, np.ma.MAError) as error:
        raise ValueError(f"{symbol} is not an array of numbers: {error}") from error


def as_finite(symbol: str, x: Array, dtype: np.dtype[Any]) -> Array:
    """Convert to ``dtype``, or raise a ValueError where something is not finite, or would not be."""
    with np.errstate(over="ignore"):
        x = x.astype(dtype)
    if not np.isfinite(x).all():
        raise ValueError(f"{symbol} holds NaN, infinity or what is too large for {dtype}; see np.isfinite({symbol})")
    return x


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
