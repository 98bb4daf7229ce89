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
Every layer raises a TypeError for an argument of the wrong type, and a ValueError for one that is out of range or
unknown, or that does not fit the others.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.keras.arguments import Hinted
from minilstm.tools.validate import call_of


class Layer(metaclass=Hinted):
    """Base class of all layers.

    Attributes:
        params: the learned arrays by name. Empty until :meth:`build`, and for layers that learn nothing.
        trainable: set it to False to keep the parameters as they are during ``fit``.
        name: what tables and messages call this layer. A model gives each of its layers a name of its own.
        gates: names for the equal parts of each parameter's last axis, used in messages.
    """

    trainable = True
    gates: tuple[str, ...] = ()
    __repr__ = call_of

    def __init__(self) -> None:
        self.params: Arrays = {}
        self.name = type(self).__name__.lower()

    def build(self, shape_in: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Shape:
        """Make ``self.params`` for samples of shape ``shape_in``; return the shape of one output sample. The default is
        for layers that learn nothing and keep the shape.
        """
        return shape_in

    def forward(self, x: Any, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Any, Any]:
        """Compute the output ``y`` of a batch ``x``, and the cache for :meth:`backward`. ``train`` and ``rng`` matter
        only to layers that behave differently during training, such as Dropout.
        """
        raise NotImplementedError(f"{type(self).__name__}.forward is missing: it returns (y, cache)")

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Arrays]:
        """Compute ``dx``, None where x is token ids, and the gradients of the parameters from ``dy``."""
        raise NotImplementedError(f"{type(self).__name__}.backward is missing: it returns (dx, grads)")

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """Return the lengths of the output rows; None where the output has no time axis."""
        return lengths


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
    """Reverse each row of ``x`` (B, T, ...) within its length; padding stays on the right. A second flip undoes it."""
    if lengths is None:
        return x[:, ::-1]  # (B, T, ...)
    t, n = np.arange(x.shape[1]), lengths[:, None]  # (T,), (B, 1)
    return x[np.arange(len(x))[:, None], np.where(t < n, n - 1 - t, t)]  # (B, T, ...)
