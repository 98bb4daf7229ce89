"""Checks of arguments: each error names what came, what was expected, and what to do."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array

T = TypeVar("T")


def call_of(object_: Any) -> str:
    """Write the call that makes an object, without the arguments that have their default values."""
    arguments = []
    for name, parameter in inspect.signature(type(object_)).parameters.items():
        value = getattr(object_, name, parameter.default)
        if parameter.default is parameter.empty:
            arguments.append("..." if value is parameter.empty else repr(value))
        elif repr(value) != repr(parameter.default):
            arguments.append(f"{name}={value!r}")
    return f"{type(object_).__name__}({', '.join(arguments)})"


def alias(name: str) -> Any:
    """Make a property that reads and sets the attribute ``name``."""
    return property(lambda self: getattr(self, name), lambda self, value: setattr(self, name, value))


def check_tuple(symbol: str, value: Any, parts: str) -> tuple[Any, ...]:
    """Return ``value``, or raise a TypeError unless it is a tuple (or list) of the parts named."""
    if not isinstance(value, (tuple, list)) or len(value) != len(parts.split(", ")):
        raise TypeError(f"{symbol} must be ({parts}), got {type(value).__name__} {value!r:.60}")
    return tuple(value)


def check_choice(symbol: str, value: Any, *choices: str) -> None:
    """Raise a ValueError unless ``value`` is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{symbol}={value!r} is unknown; choose one of {', '.join(map(repr, choices))}")


def check_positive(who: str, **numbers: int) -> list[int]:
    """Return the numbers given; raise unless each is an integer from 1 to 2**63 - 1. The message names its symbol."""
    for symbol, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise TypeError(f"{who}: {symbol} must be an integer, got {number!r}")
        if number < 1:
            raise ValueError(f"{who}: {symbol} must be at least 1, got {number}")
        if number >= 2**63:
            raise ValueError(f"{who}: {symbol} must be below 2**63, got {number}")
    return list(map(int, numbers.values()))


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
    """Make a generator of random numbers; raise a ValueError unless ``seed`` is an integer of at least 0, or None."""
    if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ValueError(f"seed is {seed!r}, expected an integer of at least 0, or None for chance")
    return np.random.default_rng(seed)


def check_rng(rng: Any) -> np.random.Generator:
    """Return ``rng``; raise a ValueError unless it is a Generator, which dropout draws from during training."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"dropout: rng is {rng!r}; training needs one, such as np.random.default_rng(0)")
    return rng


def by_name(symbol: str, value: Any, table: Mapping[str, Callable[[], T]], kind: type[T]) -> T:
    """Make what ``value`` names in ``table``, whatever its case; an object of ``kind`` passes through."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{symbol}={value!r} is neither a name nor of kind {kind.__name__}; try {next(iter(table))!r}")
    check_choice(symbol, value.lower(), *table)
    return table[value.lower()]()


def as_float64(symbol: str, x: Any) -> Array:
    """Make a float64 array; raise a TypeError where there is something other than numbers, or a mask."""
    try:
        a = np.asarray(x)
    except (ValueError, np.ma.MAError) as error:
        raise TypeError(f"{symbol} must be an array of numbers: {error}") from error
    if isinstance(x, UNSUPPORTED) or a.dtype.kind not in "fiub":
        raise TypeError(f"{symbol} must be an array of numbers, got a {type(x).__name__} of {a.dtype}")
    return a.astype(np.float64)


def check_kind(symbol: str, value: Any, kind: type[Any]) -> None:
    """Raise a TypeError unless ``value`` is of ``kind``."""
    if not isinstance(value, kind):
        raise TypeError(f"{symbol} must be a {kind.__name__}, got {value!r:.60}")


def check_steps(who: str, shape_in: Any) -> tuple[int | None, int]:
    """Return T and D of a sample (T, D); raise a ValueError where it has no time axis or D is not known."""
    D = shape_in[1] if isinstance(shape_in, (tuple, list)) and len(shape_in) == 2 else None
    if not isinstance(D, (int, np.integer)) or D < 0:
        raise ValueError(
            f"{who}: a sample has shape {shape_in}, expected (T, D) with D known: a vector for every step. "
            "If the layer before is an LSTM, give that one return_sequences=True"
        )
    return shape_in[0], int(D)


def check_features(shape_in: Any) -> int:
    """Return D of a sample (D,) or (T, D); raise a ValueError where it is not known."""
    if len(shape_in) not in (1, 2) or shape_in[-1] is None:
        remedy = "after Flatten, give Embedding an input_length"
        raise ValueError(f"Dense: a sample has shape {shape_in}, expected (D,) or (T, D) with D known; {remedy}")
    return int(shape_in[-1])


def check_flat(shape_in: Any) -> tuple[int, int]:
    """Return T and D of a sample (T, D); raise a ValueError where one of them is not known."""
    if len(shape_in) != 2 or None in shape_in:
        remedy = "Give Embedding an input_length (no mask_zero) and pad texts to it with pad_sequences"
        other = "or use GlobalMaxPooling1D, which takes any length"
        raise ValueError(f"Flatten: a sample has shape {shape_in}, expected (T, D) with both known. {remedy}; {other}")
    return shape_in[0], shape_in[1]


def check_layers(layers: Any, empty: bool = True) -> Any:
    """Return ``layers``; raise a TypeError unless they are a list, and a ValueError where there is none but must be."""
    try:
        iter(layers)
    except TypeError:
        raise TypeError(f"layers is one {type(layers).__name__}, expected a list; write Sequential([...])") from None
    if not empty and not layers:
        raise ValueError("the model has no layers; add one, such as model.add(Embedding(1000, 50))")
    return layers


def check_new_layer(layers: Sequence[Any], layer: Any, kind: type[Any]) -> None:
    """Raise unless ``layer`` is of ``kind`` (TypeError), and can follow ``layers`` in a model (ValueError)."""
    name = type(layer).__name__
    if not isinstance(layer, kind):
        hint = f"; write {layer.__name__}(...)" if isinstance(layer, type) else ""
        raise TypeError(f"add: {layer!r} is not a Layer{hint}")
    if any(layer is other for other in layers):
        raise ValueError(f"add: this {name} is in the model already; make a second one")
    if getattr(layer, "return_state", False):
        raise ValueError("add: a layer with return_state=True gives three arrays; call layer.forward(x) by hand")
    if layer.params:
        raise ValueError(
            f"this {name} has weights already, as from another model, and would lose them; make a new one and give it "
            "copies of them with set_weights"
        )


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


FLOATS = ("float32", "float64", "complex64", "complex128")  # the complex ones are those of gradient checks
UNSUPPORTED = (np.ma.MaskedArray, np.matrix)  # arrays that do not compute as arrays do


def check_input(layer: Any, x: Any, lengths: Any, axes: str, params: str = "", kind: str = "fc") -> list[Array]:
    """Check a layer's input and return the layer's parameters.

    x must have the ``axes`` named, such as "B T D", with as many features as the last but one axis of the first of
    ``params``, such as "W U b". ``kind`` is "fc" for floating-point numbers, in their dtype, or "iu" for token ids.

    Raises:
        TypeError: x is not an array, or has another dtype.
        ValueError: x has another number of axes or features, ``lengths`` does not fit x, or the layer was not built.
    """
    who, names = type(layer).__name__, axes.split()
    if params and not layer.params:
        raise ValueError(f"{who}: no parameters yet; call build(shape_in, rng, dtype) first, or add it to a model")
    arrays = list(map(layer.params.__getitem__, params.split()))
    features = arrays[0].shape[-2] if arrays and kind != "iu" else None
    expected = f"({', '.join(names[:-1])}, {names[-1] if features is None else features})"
    if not isinstance(x, np.ndarray) or isinstance(x, UNSUPPORTED):
        raise TypeError(f"{who}: x is a {type(x).__name__}, expected an array {expected}; use np.asarray(x)")
    if x.ndim != len(names) or (features is not None and x.shape[-1] != features):
        raise ValueError(f"{who}: x has shape {x.shape}, expected {expected}")
    if x.dtype.kind not in kind or (kind != "iu" and x.dtype not in FLOATS):
        wanted = "token ids, an integer array" if kind == "iu" else "float32 or float64"
        raise TypeError(f"{who}: x is {x.dtype}, expected {wanted} {expected}; convert it with x.astype")
    if features is not None and arrays[0].dtype != x.dtype:
        p, remedy = arrays[0].dtype, f"or build the layer with dtype {x.dtype}"
        raise TypeError(f"{who}: x is {x.dtype}, but {params[0]} is {p}; convert it with x.astype(np.{p}), {remedy}")
    if lengths is None or names[1] != "T":
        return arrays
    B, T = x.shape[:2]
    if not isinstance(lengths, np.ndarray) or isinstance(lengths, UNSUPPORTED) or lengths.dtype != np.int64:
        wanted = f"an int64 array ({B},) or None"
        raise TypeError(f"{who}: lengths must be {wanted}, got {lengths!r}; use np.asarray(..., int)")
    if lengths.shape != (B,):
        raise ValueError(f"{who}: lengths has shape {lengths.shape}, expected ({B},), one for each row of x")
    if B and (lengths.min() < 0 or lengths.max() > T):
        span, remedy = f"{lengths.min()} to {lengths.max()}", "a length counts the steps of a row before its padding"
        raise ValueError(f"{who}: lengths go from {span}, expected 0 to T = {T}; {remedy}")
    return arrays


def check_arrays(who: str, dtype: npt.DTypeLike, **arrays: tuple[Any, tuple[int, ...]]) -> None:
    """Raise unless every ``symbol=(array, shape)`` is an array of this shape (ValueError) and dtype (TypeError)."""
    for symbol, (array, shape) in arrays.items():
        if not isinstance(array, np.ndarray) or isinstance(array, UNSUPPORTED):
            raise TypeError(f"{who}: {symbol} is a {type(array).__name__}, expected an array {shape} of {dtype}")
        if array.shape != shape:
            raise ValueError(f"{who}: {symbol} has shape {array.shape}, expected {shape}")
        if array.dtype != dtype:
            raise TypeError(f"{who}: {symbol} is {array.dtype}, expected {dtype}; convert it with {symbol}.astype")


def check_same(who: str, wanted: Any, got: Any) -> None:
    """Raise unless both are dicts, with the same keys."""
    for symbol, arrays in (("params", wanted), (who, got)):
        if not isinstance(arrays, Mapping):
            raise TypeError(f"{symbol} is a {type(arrays).__name__}, expected a dict of arrays by name")
    if set(wanted) != set(got):
        raise ValueError(f"{who} has {sorted(map(str, got))}, expected the keys of params, {sorted(map(str, wanted))}")


def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an optimiser; raise where a number is out of range: rates above 0, decays in [0, 1)."""
    checked = dict(settings)
    for symbol, number in settings.items():
        if symbol in ("learning_rate", "epsilon") or (symbol == "global_clipnorm" and number is not None):
            checked[symbol] = check_number(symbol, number)
        elif symbol in ("momentum", "rho", "beta_1", "beta_2"):
            checked[symbol] = check_number(symbol, number, 0, 1, inclusive=True)
    return checked


def check_gradients(params: Mapping[str, Array], grads: Mapping[str, Any]) -> None:
    """Raise a TypeError or a ValueError unless each parameter has a gradient of its shape and dtype."""
    check_same("grads", params, grads)
    for name, p in params.items():
        if p.dtype.kind not in "fc":
            raise TypeError(f"{name} is {p.dtype}, expected floating-point numbers; convert it with astype")
    for dtype in {p.dtype for p in params.values()}:
        check_arrays("gradients", dtype, **{n: (grads[n], p.shape) for n, p in params.items() if p.dtype == dtype})


def check_binary(y: Array) -> None:
    """Raise a ValueError unless all labels lie between 0 and 1."""
    if y.size and (y.min() < 0 or y.max() > 1):
        raise ValueError(f"y goes from {y.min()} to {y.max()}, expected 0 (negative) to 1 (positive)")


def check_classes(y: Array) -> None:
    """Raise a ValueError unless each row of labels (N, K) holds probabilities that sum to 1."""
    if y.size and (y.min() < 0 or np.abs(y.sum(axis=-1) - 1).max() > 1e-5):
        raise ValueError("y holds a row that is not a class: expected a single 1 among zeros, or class numbers (N,)")


def check_truth(p: Array, y: Array, axes: int = 0) -> None:
    """Raise unless p is floating-point, and y of its shape, and of its dtype unless a gradient check made p complex."""
    if not isinstance(p, np.ndarray) or isinstance(p, UNSUPPORTED) or p.dtype not in FLOATS or not p.ndim or not p.size:
        got = f"{p.dtype} {p.shape}" if isinstance(p, np.ndarray) else f"a {type(p).__name__}"
        raise TypeError(f"loss: predictions are {got}, expected an array (B, K) of float32 or float64, not empty")
    if axes and p.ndim != axes:
        raise ValueError(f"predictions have shape {p.shape}, expected (B, K): one row of probabilities for each sample")
    check_arrays("loss", p.dtype if p.dtype.kind == "f" else getattr(y, "dtype", p.real.dtype), y=(y, p.shape))


def check_probabilities(p: Array, activation: str, loss: str) -> None:
    """Raise a ValueError unless p lies within 0 and 1 and, after a softmax, each row sums to 1."""
    remedy = f"give the last layer activation={activation!r}, or use the loss {loss}(from_logits=True)"
    if p.size and (p.real.min() < 0 or p.real.max() > 1):
        got = f"predictions go from {p.real.min():.3g} to {p.real.max():.3g}"
        raise ValueError(f"{got}, expected probabilities from 0 to 1; {remedy}")
    if activation == "softmax" and p.size and np.abs(p.real.sum(axis=-1) - 1).max() > 1e-3:
        raise ValueError(f"predictions of a row sum to {p.real.sum(axis=-1).max():.3g}, expected 1; {remedy}")


def check_tokens(x: Array, V: int) -> None:
    """Raise a ValueError where an id lies outside 0 to V - 1; NumPy would read negative ones from the end."""
    if x.size and (x.min() < 0 or x.max() >= V):
        worst = x.min() if x.min() < 0 else x.max()
        raise ValueError(
            f"Embedding: token {worst} is outside 0 to {V - 1}, the vocabulary of input_dim={V}; "
            f"use Tokenizer(num_words={V}), or an Embedding with a larger input_dim"
        )
