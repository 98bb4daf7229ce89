"""Saving and loading models: ``model.save(path)`` and ``Sequential.load(path)``.

A file holds the layers with their settings, the weights bit for bit, loss, optimiser and metrics, the tokenizer, and
``model.metadata``, for facts such as the names of the classes. It does not hold the state of the optimiser; a
checkpoint, which is such a file with an extra part, does (:mod:`minilstm.runs.checkpoint`).

A file may come from anywhere, so nothing in it is trusted. It names classes, but only those listed below are created;
every dict must have exactly the expected keys, with values of the right types (:func:`parts`); and a layer gets its
weights only after the file was checked to hold arrays of these shapes, so a forged size cannot fill the memory.
"""

from __future__ import annotations

import inspect
import json
import operator
import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from minilstm import layers
from minilstm.arrays import Array, Arrays
from minilstm.data.text import Tokenizer
from minilstm.layers import LSTM, Bidirectional, Conv1D, Dense, Embedding
from minilstm.layers.base import Layer
from minilstm.losses import BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError
from minilstm.model import Sequential
from minilstm.optimizers import SGD, Adam, RMSprop
from minilstm.runs import files
from minilstm.tools.validate import check_choice

Classes = dict[str, type[Any]]
LAYERS: Classes = {name: getattr(layers, name) for name in layers.__all__}
LOSSES: Classes = {kind.__name__: kind for kind in (BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError)}
OPTIMIZERS: Classes = {kind.__name__: kind for kind in (SGD, RMSprop, Adam)}
TOKENIZERS: Classes = {"Tokenizer": Tokenizer}
TRAINING = "training"  # the key of the extra part of a checkpoint, whose arrays are "training/0" and so on
LEARNED = {"word_index": dict, "word_counts": dict, "word_docs": dict, "document_count": int}  # by a tokenizer


def save(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Save the model in one file, replacing an earlier one. See :func:`minilstm.runs.files.write`.

    Args:
        model: trained or not, compiled or not.
        path: the file. Any tool that reads safetensors can open it.

    Raises:
        OSError: the file cannot be written; the earlier one stays whole.
        TypeError: a layer, loss, optimiser or tokenizer of your own class, or ``metadata`` that JSON cannot hold.
        ValueError: a setting that was changed by hand to a value that its class does not allow.
    """
    about, tensors = describe(model), arrays(model)
    rebuild(about, tensors)  # a model that could not be loaded is not saved
    files.write(path, tensors, about)


def load(path: str | os.PathLike[str]) -> Sequential:
    """Load a model that :func:`save` saved, or a checkpoint: it predicts the same, bit for bit, and can be trained on.

    The random numbers for the order of batches and for dropout start from a new seed.

    Raises:
        OSError: the file does not exist or may not be read.
        ValueError: it is another kind of file, was damaged or altered, or was written by a later version.
    """
    tensors, about = files.read(path)
    try:
        return rebuild(*model_part(about, tensors))
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} does not hold a valid model: {error}; {files.REMEDY}") from error


def arrays(model: Sequential) -> Arrays:
    """Collect what is saved as arrays: the parameters, not copied, and what the tokenizer has learned.

    The latter is saved as the bytes of its JSON, since a million words would be too many for the header of the file.
    """
    if model.tokenizer is None:
        return model.params
    learned = {name: getattr(model.tokenizer, name) for name in LEARNED}
    text = json.dumps(learned, ensure_ascii=False, default=operator.index)
    return {**model.params, "tokenizer": np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)}


def describe(model: Sequential) -> dict[str, Any]:
    """Describe the model in JSON; this and :func:`arrays` are all that :func:`rebuild` needs.

    Raises:
        TypeError: an object of a class that is not the library's own.
    """
    check_own(model, {"Sequential": Sequential})
    compiled = None
    if model.loss is not None and model.optimizer is not None:
        loss, optimizer = call(model.loss, LOSSES), call(model.optimizer, OPTIMIZERS)
        compiled = {"loss": loss, "optimizer": optimizer, "metrics": model.metrics}
    return {
        "dtype": str(model.dtype),
        "d_in": [n if n is None else int(n) for n in model.shapes[0]] if model.shapes else None,
        "layers": [
            {"name": layer.name, "call": call(layer, LAYERS)} | ({} if layer.trainable else {"trainable": False})
            for layer in model.layers
        ],
        "compiled": compiled,
        "tokenizer": None if model.tokenizer is None else call(model.tokenizer, TOKENIZERS),
        "metadata": model.metadata,
    }


def model_part(about: dict[str, Any], tensors: Mapping[str, Array]) -> tuple[dict[str, Any], Arrays]:
    """Leave out the extra part of a checkpoint."""
    kept = {name: a for name, a in tensors.items() if not re.fullmatch(rf"{TRAINING}/\d+", name)}
    return {key: value for key, value in about.items() if key != TRAINING}, kept


def rebuild(about: Any, tensors: Mapping[str, Array]) -> Sequential:
    """Create a model from what :func:`describe` and :func:`arrays` returned, with copies of the arrays.

    Raises:
        ValueError: something is missing, superfluous or does not fit.
    """
    kinds: dict[str, Any] = {"dtype": str, "d_in": list | None, "layers": list}
    kinds |= {"compiled": dict | None, "tokenizer": dict | None, "metadata": dict}
    dtype, d_in, calls, compiled, tokenizer, metadata = parts("the model", about, kinds)
    check_choice("dtype", dtype, "float32", "float64")
    model, left = Sequential(dtype=dtype), dict(tensors)
    if d_in is not None:
        if not d_in or any(n is not None and (type(n) is not int or n < 0) for n in d_in):
            raise ValueError("d_in is not the shape of a sample, expected sizes, or None where they vary")
        model.shapes = [tuple(d_in)]  # with it, add makes each layer's weights
    for item in calls:
        item = {"trainable": True, **item} if isinstance(item, dict) else item
        name, layer_call, trainable = parts("a layer", item, {"name": str, "call": dict, "trainable": bool})
        layer = make(layer_call, LAYERS)
        if not model.layers and isinstance(layer, Embedding) and model.shapes != [(layer.build_length,)]:
            raise ValueError(f"d_in is {d_in}, expected [{layer.build_length}] as the Embedding has it")
        weights = {}
        for key, shape in shapes(layer, model.shapes[-1][-1]).items() if model.shapes else ():
            array = left.pop(f"{name}.{key}", None)
            got = "missing" if array is None else f"{array.dtype} {array.shape}"
            if array is None or array.shape != shape or array.dtype != dtype:
                raise ValueError(f"{name}.{key} is {got}, expected {dtype} {shape}")
            weights[key] = array
        model.add(layer)
        layer.name, layer.trainable = name, trainable
        for key, p in layer.params.items():
            p[...] = weights[key]
    if tokenizer is not None:
        model.tokenizer = restored(make(tokenizer, TOKENIZERS), left.pop("tokenizer", None))
    if left:
        raise ValueError(f"there are unexpected arrays: {sorted(left)!r:.200}")
    if compiled is not None:
        loss, optimizer, metrics = parts("compiled", compiled, {"loss": dict, "optimizer": dict, "metrics": list})
        if any(metric not in ("accuracy", "acc") for metric in metrics):
            raise ValueError("metrics are unknown, expected [] or ['accuracy']")
        model.compile(make(optimizer, OPTIMIZERS), make(loss, LOSSES), metrics)
    model.metadata = metadata
    return model


def shapes(layer: Layer, D: int | None) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of the parameters that ``layer.build`` creates for D input features, without creating them.

    A new layer with parameters needs a line here.
    """
    if isinstance(layer, Embedding):
        return {"E": (layer.input_dim, layer.output_dim)}
    if isinstance(layer, LSTM):
        H = layer.units
        return {"W": (D, 4 * H), "U": (H, 4 * H), "b": (4 * H,)}
    if isinstance(layer, Bidirectional):
        return {f"{run}.{key}": s for run in ("forward", "backward") for key, s in shapes(layer.layer, D).items()}
    if isinstance(layer, Conv1D):
        return {"W": (layer.kernel_size, D, layer.filters), "b": (layer.filters,)}
    if isinstance(layer, Dense):
        return {"W": (D, layer.units), "b": (layer.units,)}
    return {}


def restored(tokenizer: Tokenizer, learned: Array | None) -> Tokenizer:
    """Restore what a tokenizer has learned, or raise a ValueError if it is malformed."""
    try:
        text = b"" if learned is None else learned.tobytes()
        *words, count = parts("the tokenizer", json.loads(text.decode("utf-8", "surrogatepass")), LEARNED)
    except RecursionError as error:
        raise ValueError("the tokenizer is nested too deeply") from error
    if any(type(n) is not int or not 0 <= n < 2**31 for n in (count, *(n for of in words for n in of.values()))):
        raise ValueError("the tokenizer holds something other than integers >= 0 and < 2**31 for words")
    tokenizer.word_index, tokenizer.document_count = words[0], count
    tokenizer.index_word = {n: word for word, n in words[0].items()}
    tokenizer.word_counts, tokenizer.word_docs = Counter(words[1]), Counter(words[2])
    return tokenizer


def call(thing: Any, classes: Classes) -> dict[str, Any]:
    """Describe the call that creates an object: its class and its arguments, which are attributes of the same names."""
    check_own(thing, classes)
    arguments = {}
    for name, kind in argument_kinds(type(thing)).items():
        value = getattr(thing, name)
        if isinstance(value, Layer):
            value = call(value, {"LSTM": LSTM})
        elif isinstance(value, np.generic):
            value = value.item()
        arguments[name] = kind(value) if kind in (bool, float) else value
    return {"class": type(thing).__name__, "arguments": arguments}


def make(written: Any, classes: Classes) -> Any:
    """Undo :func:`call`, or raise a ValueError unless the class is one of ``classes`` and takes these arguments."""
    name, arguments = parts("a call", written, {"class": str, "arguments": dict})
    check_choice("class", name, *classes)
    if name == "Bidirectional":
        arguments = {**arguments, "layer": make(arguments.get("layer"), {"LSTM": LSTM})}
    if name == "Tokenizer" and not arguments.keys() & {"level", "char_level"}:  # the file is older than these
        arguments = {**arguments, "level": "word", "char_level": False}
    parts(name, arguments, argument_kinds(classes[name]))
    try:
        return classes[name](**arguments)
    except TypeError as error:
        raise ValueError(str(error)) from error


def argument_kinds(kind: type[Any]) -> dict[str, Any]:
    """Return the type of each argument of a class, from its signature."""
    return {name: p.annotation for name, p in inspect.signature(kind, eval_str=True).parameters.items()}


def check_own(thing: Any, classes: Classes) -> None:
    """Raise a TypeError unless the object's class is one of these; derived classes are not accepted."""
    if classes.get(type(thing).__name__) is not type(thing):
        raise TypeError(
            f"{type(thing).__name__} is not one of minilstm's own {', '.join(classes)}, and a file cannot hold its "
            "code; create the model in your code and save only its weights: np.savez(path, *model.get_weights())"
        )


def parts(what: str, written: Any, kinds: Mapping[str, Any]) -> list[Any]:
    """Return the values of a dict, or raise a ValueError unless it has just these keys, with values of these types."""
    if not isinstance(written, dict) or set(written) != set(kinds):
        got = f"has {', '.join(sorted(written)):.200}" if isinstance(written, dict) else f"is {type(written).__name__}"
        raise ValueError(f"{what} {got}, expected a dict with the keys {', '.join(kinds) or '(none)'}")
    for key, kind in kinds.items():
        if not isinstance(written[key], kind):
            wanted = getattr(kind, "__name__", kind)
            raise ValueError(f"{what}: {key} is of type {type(written[key]).__name__}, expected {wanted}")
    return [written[key] for key in kinds]
