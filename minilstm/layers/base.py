"""The layer interface and the padding rules.

A layer owns its parameters and nothing else. What it computes depends on its arguments alone::

    shape_out = layer.build(shape_in, rng, dtype)     # makes layer.params: {"W": ..., ...}
    y, cache = layer.forward(x, lengths, train, rng)
    dx, grads = layer.backward(dy, cache)             # grads has the keys of layer.params
    lengths = layer.out_lengths(lengths)

The cache holds everything that backward needs. It is returned, never hidden on ``self``, so you can look into it, and
two threads may run one layer on two halves of a batch: the sum of their gradients is the gradient of the batch.

Symbols, the same in every file: B batch, T time, D input features, H hidden units, V vocabulary. Lower-case names are
activations, upper-case names are weights. ``dy`` is the gradient of the loss with respect to ``y``.

**Padding.** The rows of a batch differ in length, so they are padded on the right to the longest, and ``lengths`` (B,)
says where each one ends. ``lengths=None`` means that every row is full. Two rules hold for every layer:

1. ``forward`` never reads a padded step, so no result depends on what the padding contains.
2. ``backward`` is the exact derivative of ``forward``. With rule 1, padded inputs get a gradient of exactly zero.

A cache may share memory with x, y and lengths, and dx with dy: do not write into them before ``backward`` is done.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape


class Layer:
    """Base class of all layers.

    Attributes:
        params: the learned arrays by name. Empty until :meth:`build`, and for layers that learn nothing.
        name: what tables and messages call this layer. A model gives each of its layers a name of its own.
        gates: what the equal parts of the last axis of each parameter belong to, for messages.
    """

    gates: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.params: Arrays = {}
        self.name = type(self).__name__.lower()

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make ``self.params`` for samples of shape ``shape_in``, and return the shape of one output sample.

        The default is for layers that learn nothing and keep the shape.

        Raises:
            ValueError: ``shape_in`` does not fit this layer.
        """
        return shape_in

    def forward(self, x: Any, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Any, Any]:
        """Compute the output ``y`` of a batch ``x``, and the cache for :meth:`backward`.

        ``train`` and ``rng`` matter only to layers that behave differently during training, such as Dropout.
        """
        raise NotImplementedError(f"{type(self).__name__}.forward is missing: it returns (y, cache)")

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Arrays]:
        """From ``dy``, the gradient with respect to ``y``, compute ``dx`` and the gradients of the parameters.

        ``dx`` is None where the input is token ids, which have no gradient.
        """
        raise NotImplementedError(f"{type(self).__name__}.backward is missing: it returns (dx, grads)")

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Return the lengths of the output rows; None where the output has no time axis."""
        return lengths

    def __repr__(self) -> str:
        """Write the call that makes this layer, without the arguments that have their default values."""
        arguments = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name, parameter.default)
            if parameter.default is parameter.empty:
                arguments.append("..." if value is parameter.empty else repr(value))
            elif repr(value) != repr(parameter.default):
                arguments.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(arguments)})"


def padding_mask(lengths: Array, T: int) -> npt.NDArray[np.bool_]:
    """Tell words from padding: a mask (B, T), True where step t of row b lies within its length."""
    return np.arange(T) < lengths[:, None]  # (B, T)


def zero_padding(x: Array, lengths: Lengths) -> Array:
    """Copy ``x`` (B, T, ...) with zeros at its padded steps; return ``x`` itself where nothing is padded."""
    T = x.shape[1]
    if lengths is None or np.all(lengths == T):
        return x
    x = x.copy(order="K")  # (B, T, ...), in the same memory order
    x[~padding_mask(lengths, T)] = 0
    return x


def flip(x: Array, lengths: Lengths) -> Array:
    """Reverse each row of ``x`` (B, T, ...) within its length; the padding stays on the right. Its own inverse."""
    if lengths is None:
        return x[:, ::-1]  # (B, T, ...)
    t, n = np.arange(x.shape[1]), lengths[:, None]  # (T,), (B, 1)
    return x[np.arange(len(x))[:, None], np.where(t < n, n - 1 - t, t)]  # (B, T, ...)


FLOATS = ("float32", "float64", "complex64", "complex128")  # the complex ones are those of gradient checks
UNSUPPORTED = (np.ma.MaskedArray, np.matrix)  # arrays that do not compute as arrays do


def check_input(layer: Layer, x: Any, lengths: Lengths, axes: str, params: str = "", kind: str = "fc") -> list[Array]:
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
