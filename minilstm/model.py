"""Sequential: layers in a row, each fed with the output of the one before.

This file puts a model together. How it computes and how it learns is in :mod:`minilstm.training`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minilstm import training
from minilstm.arrays import Array, Lengths, Shape
from minilstm.data.text import Tokenizer
from minilstm.layers import Embedding
from minilstm.layers.base import Layer
from minilstm.losses import Loss, get_loss
from minilstm.optimizers import Optimizer, get_optimizer
from minilstm.runs.callbacks import History
from minilstm.tools.validate import as_array, make_rng


class Sequential:
    """A model: layers in a row.

    Args:
        layers: the layers; more can follow with :meth:`add`.
        seed: makes the start, the order of batches and dropout repeat; None draws anew each time.
        dtype: "float32", or "float64" for numbers to compare.

    Attributes:
        layers: the layers added so far.
        stop_training: a callback sets it to end ``fit`` after the epoch.
        tokenizer: what turns texts into this model's token ids, to be saved along with it; None unless you set it.
        metadata: facts to be saved along, such as labels; what JSON holds, by name.

    Example::

        model = Sequential([Embedding(1000, 50), LSTM(100), Dense(1, activation="sigmoid")], seed=0)
        model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
        model.fit(sequences, labels, batch_size=32, epochs=3)

    Raises:
        ValueError: another dtype, or a layer that does not fit the one before it.
        TypeError: something among the layers that is no Layer.
    """

    def __init__(self, layers: Iterable[Layer] = (), seed: int | None = None, dtype: npt.DTypeLike = "float32") -> None:
        name = np.dtype(dtype).name if isinstance(dtype, (type, np.dtype)) else dtype
        if not isinstance(name, str) or name not in ("float32", "float64"):
            raise ValueError(f"dtype is {dtype}, expected 'float32' or 'float64'")
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers is one {type(layers).__name__}, expected a list; write Sequential([...])")
        self.dtype = np.dtype(dtype)
        self.rng = make_rng(seed)
        self.layers: tuple[Layer, ...] = ()
        self.shapes: list[Shape] = []  # of one sample: what goes in, then what comes out of each built layer
        self.stop_training = False
        self.loss: Loss | None = None
        self.optimizer: Optimizer | None = None
        self.metrics: list[str] = []
        self.history: History | None = None
        self.tokenizer: Tokenizer | None = None
        self.metadata: dict[str, Any] = {}
        for layer in layers:
            self.add(layer)

    def add(self, layer: Layer) -> None:
        """Append a layer. Where the shape of its input is known, as after an Embedding, it gets its weights now.

        Raises:
            TypeError: no Layer.
            ValueError: the layer does not fit the one before, or is in the model already.
        """
        if not isinstance(layer, Layer):
            hint = f"; write {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise TypeError(f"add: {layer!r} is no Layer{hint}")
        if any(layer is other for other in self.layers):
            raise ValueError(f"add: this {type(layer).__name__} is in the model already; make a second one")
        if getattr(layer, "return_state", False):
            raise ValueError(
                "add: a layer with return_state=True gives three arrays; call it by hand, layer.forward(x)"
            )
        if not self.layers and isinstance(layer, Embedding):
            self.shapes = [(layer.build_length,)]
        if self.shapes:
            self.shapes.append(self._build(layer, self.shapes[-1]))
        kind = type(layer).__name__.lower()
        same = sum(type(other).__name__.lower() == kind for other in self.layers)
        layer.name = f"{kind}_{same}" if same else kind
        self.layers = (*self.layers, layer)

    def build(self, shape_in: Shape) -> None:
        """Make the weights of a model that has none yet, for samples of shape ``shape_in``."""
        if not self.layers:
            raise ValueError("the model has no layers; add one, such as model.add(Embedding(1000, 50))")
        if not self.shapes:
            shapes = [shape_in]
            try:
                for layer in self.layers:
                    shapes.append(self._build(layer, shapes[-1]))
            except Exception:  # a shape that does not fit: nothing was built, so that a better one can follow
                for layer in self.layers[: len(shapes) - 1]:
                    layer.params = {}
                raise
            self.shapes = shapes

    def _build(self, layer: Layer, shape_in: Shape) -> Shape:
        if layer.params:
            raise ValueError(
                f"this {type(layer).__name__} has weights already, as from another model, and would lose them; "
                "make a new one and give it copies of them with set_weights"
            )
        return layer.build(shape_in, self.rng, self.dtype)

    @property
    def params(self) -> dict[str, Array]:
        """All parameters by layer and name, such as ``"lstm.W"``. The arrays themselves, not copies."""
        return training.parameters(self.layers)

    def get_weights(self) -> list[Array]:
        """Copy all parameters, in the order of the layers."""
        return [p.copy() for p in self.params.values()]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Put arrays as :meth:`get_weights` gave them in place of the parameters.

        Raises:
            ValueError: their number or a shape does not fit. Then, as after a TypeError, nothing was changed.
            TypeError: arrays of something else than real numbers.
        """
        params = self.params
        if not isinstance(weights, (list, tuple)):
            raise TypeError(f"set_weights: got a {type(weights).__name__}, expected a list as get_weights gives it")
        arrays = [np.array(as_array("set_weights", w)) for w in weights]  # copies: they may be the model's own
        if [a.shape for a in arrays] != [p.shape for p in params.values()]:
            wanted = {name: p.shape for name, p in params.items()}
            raise ValueError(f"set_weights: got shapes {[a.shape for a in arrays]}, expected {wanted}")
        if any(a.dtype.kind not in "fiu" for a in arrays):
            raise TypeError(f"set_weights: got arrays of {[str(a.dtype) for a in arrays]}, expected numbers")
        for p, a in zip(params.values(), arrays, strict=True):
            p[...] = a

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Array, list[Any]]:
        """Pass a batch through all layers, as they are written: the output and the layers' caches."""
        return training.forward(self.layers, x, lengths, train, rng)

    def backward(self, dy: Array, caches: list[Any]) -> dict[str, Array]:
        """Pass the gradient of the output back through all layers: the gradients of all parameters."""
        return training.backward(self.layers, dy, caches)

    def compile(
        self,
        optimizer: str | Optimizer = "rmsprop",
        loss: str | Loss = "binary_crossentropy",
        metrics: Sequence[str] | None = None,
    ) -> None:
        """Choose how to learn. Names are Keras's; an object of your own settings will do as well.

        The model keeps a fresh copy of the optimiser, so that no state is carried over from another run.

        Raises:
            ValueError: an unknown name; the message lists those there are.
            TypeError: something that is neither a name nor an object of the right kind.
        """
        if metrics is not None and not isinstance(metrics, (list, tuple)):
            raise TypeError(f"metrics is {metrics!r}, expected a list; write metrics=['accuracy']")
        for metric in metrics or []:
            if not isinstance(metric, str) or metric not in ("accuracy", "acc"):
                raise ValueError(f"metrics: {metric!r} is unknown; choose 'accuracy'")
        self.optimizer, self.loss = get_optimizer(optimizer).fresh(), get_loss(loss)
        self.metrics = ["accuracy"] if metrics else []

    fit, evaluate, predict = training.fit, training.evaluate, training.predict

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the model in one file: see :func:`minilstm.runs.saving.save`."""
        from minilstm.runs import saving  # which makes models, so imports this file

        saving.save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Sequential:
        """Load a model from its file: see :func:`minilstm.runs.saving.load`."""
        from minilstm.runs import saving

        return saving.load(path)

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print each layer with the shape that comes out of it and the number of its parameters.

        Raises:
            ValueError: the shapes are not known yet.
        """
        if not callable(print_fn):
            raise TypeError(f"summary: print_fn is {print_fn!r}, expected a function that takes a line, such as print")
        if not self.shapes:
            raise ValueError("summary: the shapes are not known yet; begin with an Embedding, or call build(shape_in)")
        rows = [("layer (type)", "output shape", "parameters")]
        for layer, shape in zip(self.layers, self.shapes[1:], strict=True):
            count = sum(p.size for p in layer.params.values())
            rows.append((f"{layer.name} ({type(layer).__name__})", str((None, *shape)), f"{count:,}"))
        rows.append(("total", "", f"{sum(p.size for p in self.params.values()):,}"))
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        for row in rows:
            print_fn(f"{row[0]:<{widths[0]}}   {row[1]:<{widths[1]}}   {row[2]:>{widths[2]}}")
