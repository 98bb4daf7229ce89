"""Sequential: layers in a row, each fed with the output of the one before.

This file puts a model together. How it computes and how it learns is in :mod:`minilstm.training`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy.typing as npt

from minilstm import training
from minilstm.arrays import Array, Lengths, Rng, Shape
from minilstm.data.text import Tokenizer
from minilstm.layers import Embedding
from minilstm.layers.base import Layer
from minilstm.losses import Loss, get_loss
from minilstm.optimizers import Optimizer, get_optimizer
from minilstm.runs.callbacks import History
from minilstm.tools import report
from minilstm.tools.validate import check_dtype, check_metrics, check_weights, make_rng


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
        metadata: facts to be saved along, such as labels; what JSON holds, by name. ``fit`` adds "padded_to".

    Raises:
        ValueError: another dtype, or a layer that does not fit the one before it.
        TypeError: something among the layers is not a Layer.
    """

    def __init__(self, layers: Iterable[Layer] = (), seed: int | None = None, dtype: npt.DTypeLike = "float32") -> None:
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers is one {type(layers).__name__}, expected a list; write Sequential([...])")
        self.dtype = check_dtype(dtype)
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
            TypeError: it is not a Layer.
            ValueError: the layer does not fit the one before, or is in the model already.
        """
        if not isinstance(layer, Layer):
            hint = f"; write {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise TypeError(f"add: {layer!r} is not a Layer{hint}")
        if any(layer is other for other in self.layers):
            raise ValueError(f"add: this {type(layer).__name__} is in the model already; make a second one")
        if getattr(layer, "return_state", False):
            raise ValueError("add: a layer with return_state=True gives three arrays; call layer.forward(x) by hand")
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
        arrays = check_weights(params, weights)  # copies: they may be the model's own
        for p, a in zip(params.values(), arrays, strict=True):
            p[...] = a

    def forward(
        self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None
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
        """Choose how to learn, by Keras's names or by objects. The model keeps a copy of the optimiser without state.

        Raises:
            ValueError: an unknown name; the message lists those there are.
            TypeError: something that is neither a name nor an object of the right kind.
        """
        check_metrics(metrics)
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
        """Print each layer with its output shape and the number of its parameters."""
        report.summary(self, print_fn)
