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

A cache may share memory with x, y and lengths, and dx with dy: do not write into them before ``backward`` is done.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = dict[str, Array]
Lengths: TypeAlias = npt.NDArray[np.int64] | None
Shape: TypeAlias = tuple[int | None, ...]
"""The shape of one sample, without the batch axis; None where it varies: ``(None, D)``, ``(H,)``."""


@dataclass(frozen=True)
class Words:
    """An array (B, T, ...) in which equal vectors are kept once: x[b, t] = rows[index[b, t]]; see ``words.py``.

    The gradient with respect to Words is Words too: each row is the sum over all its places.
    """

    rows: Array  # (N, ...)
    index: Array  # (B, T), int64; -1 at padded steps

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array that this stands for."""
        return (*self.index.shape, *self.rows.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the rows."""
        return self.rows.dtype

    def spread(self) -> Array:
        """Write the array out (B, T, ...), with zeros at padded steps."""
        return np.concatenate([self.rows, np.zeros_like(self.rows, shape=(1, *self.rows.shape[1:]))])[self.index]

    def __add__(self, other: Words) -> Words:
        """Add up two gradients."""
        return Words(self.rows + other.rows, self.index)


class Layer:
    """Base of all layers: what a layer has to offer, and nothing more.

    Attributes:
        params: the learned arrays by name. Empty until :meth:`build`, and for layers that learn nothing.
        name: what tables and messages call this layer. A model gives each of its layers a name of its own.
    """

    reads_words = False  # whether forward takes Words too; not inherited, so a layer of your own gets arrays

    def __init__(self) -> None:
        self.params: Arrays = {}
        self.name = type(self).__name__.lower()

    def build(self, d_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make ``self.params`` for samples of shape ``d_in``, and return the shape of one output sample.

        This one is for layers that learn nothing and keep the shape.

        Raises:
            ValueError: where ``d_in`` does not fit this layer.
        """
        return d_in

    def forward(
        self, x: Any, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
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
            elif repr(value) != repr(parameter.default):
                told.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(told)})"


def reads_words(layer: Layer) -> bool:
    """Tell whether the class of ``layer`` itself, not only one that it derives from, takes Words."""
    return bool(vars(type(layer)).get("reads_words"))


def live_steps(lengths: Array, T: int) -> npt.NDArray[np.bool_]:
    """Tell words from padding: a mask (B, T), True where step t of row b lies within its length."""
    return np.arange(T) < lengths[:, None]  # (B, T)


def flip(x: Any, lengths: Lengths) -> Any:
    """Reverse every row of ``x`` (B, T, ...) within its length; padding stays behind. Its own inverse."""
    if isinstance(x, Words):
        return Words(x.rows, flip(x.index, lengths))
    if lengths is None:
        return x[:, ::-1]  # (B, T, ...)
    T, n = np.arange(x.shape[1]), lengths[:, None]  # (T,), (B, 1)
    return x[np.arange(len(x))[:, None], np.where(n > T, n - 1 - T, T)]  # (B, T, ...)


def zero_padding(x: Array, lengths: Lengths) -> Array:
    """Copy ``x`` (B, T, ...) with zeros at its padded steps; ``x`` itself where nothing is padded."""
    T = x.shape[1]
    if lengths is None or np.all(lengths == T):
        return x
    x = x.copy(order="K")  # (B, T, ...), time first in memory where it was so
    x[~live_steps(lengths, T)] = 0
    return x
