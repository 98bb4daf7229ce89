"""The contract of a layer, and the errors that keep it.

A layer owns its parameters and nothing else. What it computes depends on its arguments alone::

    d_out = layer.build(d_in, rng, dtype)             # makes layer.params: {"W": ..., ...}
    y, cache = layer.forward(x, lengths, train, rng)
    dx, grads = layer.backward(dy, cache)             # grads has the keys of layer.params
    lengths = layer.out_lengths(lengths)

The cache holds all that backward needs. It is returned, never hidden on ``self``, so it can be looked at, and
two threads may run one layer on two halves of a batch: the sum of their gradients is the gradient of the batch.

Symbols, the same in every file: B batch, T time, D input features, H hidden units, V vocabulary. Lower case
names are activations, upper case names are weights. ``dy`` is the gradient of the loss with respect to ``y``.

**Padding.** Rows of a batch differ in length, so they are padded on the right to the longest, and ``lengths`` (B,)
says where each ends. ``lengths=None`` means that every row is full. Two rules hold for every layer:

1. ``forward`` never reads a padded step. So no result depends on what stands there.
2. ``backward`` is the exact derivative of ``forward``. With rule 1, padded inputs get a gradient of exactly zero.

An output may share memory with the cache: do not write into it. The functions at the end of this file only word error
messages; skip them at first.
"""

from __future__ import annotations

import inspect
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = dict[str, Array]
Lengths: TypeAlias = npt.NDArray[np.int64] | None
Shape: TypeAlias = tuple[int | None, ...]
"""The shape of one sample, without the batch axis; None where it varies: ``(None, D)``, ``(H,)``."""


class Layer:
    """Base of all layers: what a layer has to offer, and nothing more.

    Attributes:
        params: the learned arrays by name. Empty until :meth:`build`, and for layers that learn nothing.
        name: what tables and messages call this layer. A model gives each of its layers a name of its own.
    """

    def __init__(self) -> None:
        self.params: Arrays = {}
        self.name = type(self).__name__.lower()

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make ``self.params`` for samples of shape ``d_in``, and return the shape of one output sample.

        Raises:
            ValueError: where ``d_in`` does not fit this layer.
        """
        raise NotImplementedError(f"{type(self).__name__}.build is missing: it makes params and returns d_out")

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Any, Any]:
        """Compute the output ``y`` of a batch ``x``, and the cache for :meth:`backward`.

        ``train`` and ``rng`` matter only to layers that behave differently while training, such as Dropout.
        """
        raise NotImplementedError(f"{type(self).__name__}.forward is missing: it returns (y, cache)")

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Arrays]:
        """From ``dy``, the gradient with respect to ``y``, compute ``dx`` and the gradients of the parameters.

        ``dx`` is None where the input is token ids, which have no gradient.
        """
        raise NotImplementedError(f"{type(self).__name__}.backward is missing: it returns (dx, grads)")

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Give the lengths of the output rows; None where the output has no time axis."""
        return lengths

    def __repr__(self) -> str:
        """Write the call that makes this layer; arguments kept by their own names, usual ones left out."""
        told = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name, parameter.default)
            if parameter.default is parameter.empty:
                told.append("..." if value is parameter.empty else repr(value))
            elif value != parameter.default:
                told.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(told)})"


def live_steps(lengths: Array, T: int) -> npt.NDArray[np.bool_]:
    """Tell words from padding: a mask (B, T), True where step t of row b lies within its length."""
    return np.arange(T) < lengths[:, None]  # (B, T)


def zero_padding(x: Array, lengths: Lengths) -> Array:
    """Copy ``x`` (B, T, ...) with zeros at its padded steps; ``x`` itself where nothing is padded."""
    T = x.shape[1]
    if lengths is None or np.all(lengths == T):
        return x
    x = x.copy()  # (B, T, ...)
    x[~live_steps(lengths, T)] = 0
    return x


def check_input(layer: Layer, x: Array, lengths: Lengths, axes: str, last: int | None = None, kind: str = "fc") -> None:
    """Raise unless ``x`` is as a layer wants it; the first line of every ``forward``.

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
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{who}: x is a {type(x).__name__}, expected an array {expected}; use np.asarray(x)")
    if x.ndim != len(names) or (last is not None and x.shape[-1] != last):
        raise ValueError(f"{who}: x has shape {x.shape}, expected {expected}")
    if x.dtype.kind not in kind:
        wanted = "token ids, an integer array" if kind == "iu" else "floating-point numbers"
        raise TypeError(f"{who}: x is {x.dtype}, expected {wanted} {expected}; convert it with x.astype")
    for name, p in layer.params.items():
        if p.dtype != x.dtype and kind != "iu":
            raise TypeError(
                f"{who}: x is {x.dtype}, but {name} is {p.dtype}; "
                f"convert it with x.astype(np.{p.dtype}), or build the layer with dtype {x.dtype}"
            )
    if len(names) > 1 and names[1] == "T":
        check_lengths(who, lengths, *x.shape[:2])


def check_lengths(who: str, lengths: Lengths, B: int, T: int) -> None:
    """Raise unless ``lengths`` is None or holds B whole numbers from 0 to T."""
    if lengths is None:
        return
    if not isinstance(lengths, np.ndarray) or lengths.dtype.kind not in "iu":
        raise TypeError(f"{who}: lengths must be an integer array ({B},) or None, got {lengths!r}")
    if lengths.shape != (B,):
        raise ValueError(f"{who}: lengths has shape {lengths.shape}, expected ({B},), one for each row of x")
    if B and (lengths.min() < 0 or lengths.max() > T):
        raise ValueError(
            f"{who}: lengths go from {lengths.min()} to {lengths.max()}, expected 0 to T = {T}; "
            "a length counts the steps of a row before its padding"
        )


def check_built(layer: Layer, *names: str) -> list[Array]:
    """Return the named parameters, or raise a ValueError where the layer has not been built."""
    if not layer.params:
        raise ValueError(
            f"{type(layer).__name__}: no parameters yet; call build(d_in, rng, dtype) first, or add it to a model"
        )
    return [layer.params[name] for name in names]


def check_positive(who: str, **numbers: int) -> None:
    """Raise unless every number given is a whole number of at least 1; the message names its symbol."""
    for symbol, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise TypeError(f"{who}: {symbol} must be a whole number, got {number!r}")
        if number < 1:
            raise ValueError(f"{who}: {symbol} must be at least 1, got {number}")
