"""Sequential: layers in a row, each fed with the output of the one before.

This file puts a model together. How it computes and how it learns is explained in :mod:`minilstm.training`.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy.typing as npt

from minilstm import training
from minilstm.arrays import Array, Arrays, Lengths, Rng, Shape
from minilstm.data.text import Tokenizer
from minilstm.layers import Embedding
from minilstm.layers.base import Layer
from minilstm.losses import Loss, get_loss
from minilstm.optimizers import Optimizer, get_optimizer
from minilstm.runs.callbacks import History
from minilstm.tools import report
from minilstm.tools.convert import check_weights
from minilstm.tools.validate import check_dtype, check_layers, check_metrics, check_new_layer, make_rng


class Sequential:
    """A model: layers in a row.

    Args:
        layers: the layers; more can follow with :meth:`add`.
        seed: makes the initial weights, the order of batches and dropout reproducible; None makes every run different.
        dtype: "float32", or "float64" for more precision.

    Attributes:
        stop_training: a callback sets it to end ``fit`` after the epoch.
        tokenizer: what turns texts into this model's token ids, to be saved along with it; None unless you set it.
        metadata: JSON values by name to be saved along, such as the labels. ``fit`` adds "padded_to".
    """

    def __init__(self, layers: Iterable[Layer] = (), seed: int | None = None, dtype: npt.DTypeLike = "float32") -> None:
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
        for layer in check_layers(layers):
            self.add(layer)

    def add(self, layer: Layer) -> None:
        """Append a layer. If the shape of its input is known, as after an Embedding, it gets its weights now. A layer
        that does not fit the one before it or has weights already raises a ValueError; anything else, a TypeError.
        """
        check_new_layer(self.layers, layer, Layer)
        if not self.layers and isinstance(layer, Embedding):
            self.shapes = [(layer.build_length,)]
        if self.shapes:
            self.shapes.append(layer.build(self.shapes[-1], self.rng, self.dtype))
        kind = type(layer).__name__.lower()
        same = sum(type(other).__name__.lower() == kind for other in self.layers)
        layer.name = f"{kind}_{same}" if same else kind
        self.layers = (*self.layers, layer)

    def build(self, shape_in: Shape) -> None:
        """Make the weights of a model that has none yet, for samples of shape ``shape_in``."""
        check_layers(self.layers, empty=False)
        if not self.shapes:
            shapes = [shape_in]
            for layer in self.layers:
                shapes.append(layer.build(shapes[-1], self.rng, self.dtype))
            self.shapes = shapes  # only now, so that after an error another shape can be tried

    @property
    def params(self) -> Arrays:
        """All parameters by layer and name, such as ``"lstm.W"``: the arrays themselves, not copies."""
        return training.parameters(self.layers)

    @property
    def trainable(self) -> bool:
        """Whether ``fit`` trains any of the layers; set it to freeze or unfreeze all of them."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        for layer in self.layers:
            layer.trainable = trainable

    def get_weights(self) -> list[Array]:
        """Copy all parameters, in the order of the layers."""
        return [p.copy() for p in self.params.values()]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the parameters by arrays like those of :meth:`get_weights`. Others raise a ValueError."""
        for p, a in zip(self.params.values(), check_weights(self.params, weights), strict=True):
            p[...] = a

    def forward(self, x: Array, lengths: Lengths = None, train: bool = False, rng: Rng = None) -> tuple[Array, Any]:
        """Pass a batch through all layers, as they are written; return the output and the layers' caches."""
        return training.forward(self.layers, x, lengths, train, rng)

    def backward(self, dy: Array, caches: list[Any]) -> dict[str, Array]:
        """Pass the gradient of the output back through all layers; return the gradients of all parameters."""
        return training.backward(self.layers, dy, caches)

    def compile(
        self, optimizer: str | Optimizer = "rmsprop", loss: str | Loss = "binary_crossentropy", metrics: Any = None
    ) -> None:
        """Choose how to learn, by Keras's names or by objects. The model keeps a copy of the optimiser without state.

        Args:
            optimizer: "sgd", "rmsprop", "adam" or an Optimizer.
            loss: a name in :data:`minilstm.losses.LOSSES` or a Loss. An unknown name raises a ValueError.
            metrics: ``["accuracy"]`` to report the accuracy too.
        """
        check_metrics(metrics)
        self.optimizer, self.loss = get_optimizer(optimizer).fresh(), get_loss(loss)
        self.metrics = list(metrics or [])  # each means the accuracy, by the name it was asked for

    fit, evaluate, predict = training.fit, training.evaluate, training.predict

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the model in one file: see :func:`minilstm.runs.saving.save`."""
        from minilstm.runs import saving  # which makes models and so imports this file

        saving.save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Sequential":
        """Load a model from its file: see :func:`minilstm.runs.saving.load`."""
        from minilstm.runs import saving

        return saving.load(path)

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print each layer with its output shape and the number of its parameters."""
        report.summary(self, print_fn)
