"""Answers to arguments of Keras's that minilstm does not take: the name that they have here, or what to do instead."""

from __future__ import annotations

import inspect
import re
from abc import ABCMeta
from collections.abc import Mapping
from typing import Any

START = "leave it out: weights start as the docstring says; change them with set_weights"
SCORES = "leave it out: all samples and classes count alike; repeat the samples that should count more"
HINTS = {
    "batch_input_shape": "leave it out: the shape is known from the data",
    "bias_initializer": START,
    "class_weight": SCORES,
    "clipnorm": "write global_clipnorm, the limit for the norm of all gradients together",
    "clipvalue": "write global_clipnorm, the limit for the norm of all gradients together",
    "decay": "leave it out, and lower optimizer.learning_rate in a callback; minilstm.callbacks.OneCycle does",
    "embeddings_initializer": START,
    "filepath": "write path",
    "input_shape": "leave it out: the shape is known from the data",
    "kernel_initializer": START,
    "lr": "write learning_rate",
    "name": "leave it out: a model names its layers; set layer.name to change it",
    "recurrent_initializer": START,
    "sample_weight": SCORES,
    "save_best_only": "use EarlyStopping(restore_best_weights=True) and model.save(path)",
    "steps_per_epoch": "leave it out: an epoch takes all samples",
    "trainable": "set layer.trainable = False after making the layer",
    "use_bias": "leave it out: there always is a bias, which starts at 0",
    "verbose": "leave it out: fit prints what happens, see its verbose",
    "weights": "leave it out, and write into the model, as in model.params['embedding.E'][...] = matrix",
}


class Hinted(ABCMeta):
    """The type of classes whose unexpected arguments are answered."""

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        """Make an object."""
        try:
            return super().__call__(*arguments, **keywords)
        except TypeError as error:
            unexpected = re.search(r"__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
            if unexpected is None or unexpected[1] not in keywords:
                raise
            refuse(cls.__name__, {unexpected[1]: None})

    @property
    def __signature__(cls) -> inspect.Signature:
        """The arguments of ``__init__``, for help and completion."""
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]  # of the class that it is, not of any
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def refuse(who: str, keywords: Mapping[str, Any]) -> None:
    """Raise a TypeError where there are keywords left."""
    for name in keywords:
        raise TypeError(f"{who} has no argument {name!r}; {HINTS.get(name, f'see help({who})')}")
