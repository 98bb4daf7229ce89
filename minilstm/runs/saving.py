"""Models to files and back: ``model.save(path)`` and ``Sequential.load(path)``.

A file holds the layers with their settings, the weights bit for bit, loss, optimiser and metrics, the tokenizer, and
``model.metadata``, for facts such as the names of the classes. Not what the optimiser carries from step to step: that
is for a checkpoint, which is such a file with more in it (:mod:`minilstm.runs.checkpoint`).

A file may come from anywhere, so nothing in it is believed. It names classes, but only those listed below are made;
every dict must have just the keys expected, with values of the right types (:func:`parts`); and a layer gets its
weights only after the file was seen to hold arrays of their shapes, so a forged size cannot fill the memory.
"""

from __future__ import annotations

import inspect
import json
import operator
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
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
TRAINING = "training"  # the key of what a checkpoint says beside the model; its arrays are "training/0" and so on
LEARNED = {"word_index": dict, "word_counts": dict, "word_docs": dict, "document_count": int}  # by a tokenizer


def save(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Save the model in one file, in place of the one that was there. See :func:`minilstm.runs.files.write`.

    Args:
        model: trained or not, compiled or not.
        path: the file. Any tool that reads safetensors can show it.

    Raises:
        OSError: the file cannot be written; the one that was there stays whole.
        TypeError: a layer, loss, optimiser or tokenizer of your own, or ``metadata`` that JSON cannot hold.
        ValueError: a setting that was changed by hand to what its class does not allow.
    """
    about, tensors = describe(model), arrays(model)
    rebuild(about, tensors)  # what could not be loaded is not saved
    files.write(path, tensors, about)


def load(path: str | os.PathLike[str]) -> Sequential:
    """Load a model that :func:`save` saved, or a checkpoint: it predicts the same, bit for bit, and can be trained on.

    Random numbers, for the order of batches and for dropout, are drawn anew.

    Raises:
        OSError: there is no such file, or it may not be read.
        ValueError: it is another kind of file, or was damaged or altered, or a later version wrote it.
    """
    tensors, about = files.read(path)
    try:
        return rebuild(*model_part(about, tensors))
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} holds no model that can be loaded: {error}; {files.REMEDY}") from error


def arrays(model: Sequential) -> Arrays:
    """Collect what of a model is kept as arrays: the parameters, not copied, and what the tokenizer has learned.

    The latter as the bytes of its JSON: a million words would be too many for the head of the file.
    """
    if model.tokenizer is None:
        return model.params
    learned = {name: getattr(model.tokenizer, name) for name in LEARNED}
    text = json.dumps(learned, ensure_ascii=False, default=operator.index)
    return {**model.params, "tokenizer": np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)}


def describe(model: Sequential) -> dict[str, Any]:
    """Say in terms of JSON how to make the model; with :func:`arrays` it is all that :func:`rebuild` needs.

    Raises:
        TypeError: something of a class that is not the library's own.
    """
    check_own(model, {"Sequential": Sequential})
    compiled = None
    if model.loss is not None and model.optimizer is not None:
        loss, optimizer = call(model.loss, LOSSES), call(model.optimizer, OPTIMIZERS)
        compiled = {"loss": loss, "optimizer": optimizer, "metrics": model.metrics}
    return {
        "dtype": str(model.dtype),
        "d_in": [n if n is None else int(n) for n in model.shapes[0]] if model.shapes else None,
        "layers": [{"name": layer.name, "call": call(layer, LAYERS)} for layer in model.layers],
        "compiled": compiled,
        "tokenizer": None if model.tokenizer is None else call(model.tokenizer, TOKENIZERS),
        "metadata": model.metadata,
    }


def model_part(about: dict[str, Any], tensors: Mapping[str, Array]) -> tuple[dict[str, Any], Arrays]:
    """Leave out what a checkpoint holds beside the model; arrays of a model have a dot in their name, or no slash."""
    kept = {name: a for name, a in tensors.items() if not re.fullmatch(rf"{TRAINING}/\d+", name)}
    return {key: value for key, value in about.items() if key != TRAINING}, kept


def rebuild(about: Any, tensors: Mapping[str, Array]) -> Sequential:
    """Make the model that :func:`describe` and :func:`arrays` tell of, with copies of the arrays.

    Raises:
        ValueError: something is missing, superfluous or does not fit; then there is no model at all.
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
        name, layer_call = parts("a layer", item, {"name": str, "call": dict})
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
        layer.name = name
        for key, p in layer.params.items():
            p[...] = weights[key]
    if tokenizer is not None:
        model.tokenizer = restored(make(tokenizer, TOKENIZERS), left.pop("tokenizer", None))
    if left:
        raise ValueError(f"there are unexpected arrays: {sorted(left)!r:.200}")
    if compiled is not None:
        loss, optimizer, metrics = parts("compiled", compiled, {"loss": dict, "optimizer": dict, "metrics": list})
        if metrics not in ([], ["accuracy"]):
            raise ValueError("metrics are unknown, expected [] or ['accuracy']")
        model.compile(make(optimizer, OPTIMIZERS), make(loss, LOSSES), metrics)
    model.metadata = metadata
    return model


def shapes(layer: Layer, D: int | None) -> dict[str, tuple[int | None, ...]]:
    """Give the shapes of what ``layer.build`` makes for D input features, without making it.

    A new layer with parameters needs its line here.
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
    """Give a new tokenizer what another one has learned, or raise a ValueError where this makes no sense."""
    try:
        text = b"" if learned is None else learned.tobytes()
        *words, count = parts("the tokenizer", json.loads(text.decode("utf-8", "surrogatepass")), LEARNED)
    except RecursionError as error:
        raise ValueError("the tokenizer is nested too deeply") from error
    if any(type(n) is not int or n < 0 for n in (count, *(n for numbers in words for n in numbers.values()))):
        raise ValueError("the tokenizer holds something else than integers of words")
    tokenizer.word_index, tokenizer.document_count = words[0], count
    tokenizer.index_word = {n: word for word, n in words[0].items()}
    tokenizer.word_counts, tokenizer.word_docs = Counter(words[1]), Counter(words[2])
    return tokenizer


def call(thing: Any, classes: Classes) -> dict[str, Any]:
    """Write down the call that makes a thing: its class, and arguments that it keeps by their own names."""
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
    """Undo :func:`call`, or raise a ValueError unless it is a call of one of the classes that they allow."""
    name, arguments = parts("a call", written, {"class": str, "arguments": dict})
    check_choice("class", name, *classes)
    if name == "Bidirectional":
        arguments = {**arguments, "layer": make(arguments.get("layer"), {"LSTM": LSTM})}
    parts(name, arguments, argument_kinds(classes[name]))
    try:
        return classes[name](**arguments)
    except TypeError as error:
        raise ValueError(str(error)) from error


def argument_kinds(kind: type[Any]) -> dict[str, Any]:
    """Give the type of each argument that a class takes, as its signature has it."""
    return {name: p.annotation for name, p in inspect.signature(kind, eval_str=True).parameters.items()}


def check_own(thing: Any, classes: Classes) -> None:
    """Raise a TypeError unless the thing is of one of these classes, and of no class derived from them."""
    if classes.get(type(thing).__name__) is not type(thing):
        raise TypeError(
            f"{type(thing).__name__} is none of minilstm's own {', '.join(classes)}, and a file cannot hold its "
            "code; make the model in your code, and keep its weights alone: np.savez(path, *model.get_weights())"
        )


def parts(what: str, written: Any, kinds: Mapping[str, Any]) -> list[Any]:
    """Take a dict apart, or raise a ValueError unless it has these keys, no other, and values of these types."""
    if not isinstance(written, dict) or set(written) != set(kinds):
        got = f"has {', '.join(sorted(written)):.200}" if isinstance(written, dict) else f"is {type(written).__name__}"
        raise ValueError(f"{what} {got}, expected a dict with the keys {', '.join(kinds) or '(none)'}")
    for key, kind in kinds.items():
        if not isinstance(written[key], kind):
            wanted = getattr(kind, "__name__", kind)
            raise ValueError(f"{what}: {key} is of type {type(written[key]).__name__}, expected {wanted}")
    return [written[key] for key in kinds]


def summary(model: Sequential, print_fn: Callable[[str], Any] = print) -> None:
    """Print each layer of a model with its output shape and the number of its parameters.

    Args:
        model: the model.
        print_fn: what takes each line.

    Raises:
        TypeError: ``print_fn`` cannot be called.
        ValueError: the shapes are not known yet.
    """
    if not callable(print_fn):
        raise TypeError(f"summary: print_fn is {print_fn!r}, expected a function that takes a line, such as print")
    if not model.shapes:
        raise ValueError("summary: the shapes are not known yet; begin with an Embedding, or call build(shape_in)")
    rows = [("layer (type)", "output shape", "parameters")]
    for layer, shape in zip(model.layers, model.shapes[1:], strict=True):
        count = sum(p.size for p in layer.params.values())
        rows.append((f"{layer.name} ({type(layer).__name__})", str((None, *shape)), f"{count:,}"))
    rows.append(("total", "", f"{sum(p.size for p in model.params.values()):,}"))
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    for row in rows:
        print_fn(f"{row[0]:<{widths[0]}}   {row[1]:<{widths[1]}}   {row[2]:>{widths[2]}}")
