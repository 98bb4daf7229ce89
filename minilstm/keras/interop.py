"""Weights to and from PyTorch and Keras, as NumPy arrays: neither framework needs to be installed.

The gates are in the order i, f, g, o in all three, so nothing is shuffled. What differs is the shape:

======================  ==================  ================  ==============================
parameter               here                Keras             PyTorch
======================  ==================  ================  ==============================
Embedding E             (V, D)              the same          weight (V, D)
Dense W, b              (D, H), (H,)        the same          weight (H, D), bias
Conv1D W, b             (K, D, F), (F,)     the same          weight (F, D, K), bias
LSTM W                  (D, 4H)             kernel            weight_ih_l0 (4H, D)
LSTM U                  (H, 4H)             recurrent_kernel  weight_hh_l0 (4H, H)
LSTM b                  (4H,)               bias              bias_ih_l0 + bias_hh_l0
Bidirectional           forward, backward   the same          the names above, and with _reverse
======================  ==================  ================  ==============================

With both frameworks installed::

    from_keras(model, keras_model.get_weights())
    keras_model.set_weights(to_keras(model))
    from_torch(model.layers[1], {k: v.numpy() for k, v in net.state_dict().items()}, prefix="lstm.")
    net.lstm.load_state_dict({k: torch.from_numpy(a) for k, a in to_torch(model.layers[1]).items()})

Only weights are carried over. Settings, such as an activation or ``padding``, must already agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array, Arrays
from minilstm.layers import LSTM, Bidirectional, Conv1D, Dense, Embedding
from minilstm.layers.base import Layer
from minilstm.model import Sequential
from minilstm.tools.convert import as_array, as_finite, as_sequence


def from_keras(target: Layer | Sequential, weights: Sequence[Array]) -> None:
    """Load the result of ``get_weights()`` of a Keras layer or model into a layer or model of the same kind.

    Args:
        target: a layer, or a whole model.
        weights: the arrays: for an LSTM kernel, recurrent_kernel and bias, for a Bidirectional those of both.

    Raises:
        ValueError: the number of arrays or a shape is wrong, or there is a NaN. Nothing is changed then.
        TypeError: the arrays do not hold real numbers. Nothing is changed then either.
    """
    params, weights = params_of(target), as_sequence("weights", weights)
    if len(weights) != len(params):
        wanted = {name: p.shape for name, p in params.items()}
        remedy = "the Keras layers must be of the same kinds, in the same order, and have a bias"
        raise ValueError(f"weights: got {len(weights)} arrays, expected {len(wanted)}, {wanted}; {remedy}")
    set_params(params, zip(params, params, weights, strict=True), np.asarray)


def to_keras(source: Layer | Sequential) -> list[Array]:
    """Copy the parameters for ``set_weights()`` of the Keras layer or model; a ValueError if there are none yet."""
    return [p.copy() for p in params_of(source).values()]


def from_torch(layer: Layer, state: Mapping[str, Any], prefix: str = "", level: int = 0) -> None:
    """Load the part of a PyTorch ``state_dict`` that belongs to one layer.

    Args:
        layer: an Embedding, LSTM, Bidirectional, Conv1D or Dense.
        state: arrays by name; CPU tensors serve as well.
        prefix: the prefix of the names, such as "encoder.lstm.", with the dot.
        level: the index of the LSTM in a PyTorch stack, 0 at the bottom.

    Raises:
        ValueError: a name is missing or superfluous, a shape does not fit, or there is a NaN. Nothing is changed then.
        TypeError: the arrays do not hold real numbers, or PyTorch has no weights for such a layer. Likewise.
    """
    params = params_of(layer)
    if not isinstance(state, Mapping) or not isinstance(prefix, str):
        got = f"a {type(state).__name__} and {prefix!r:.40}"
        raise TypeError(f"state and prefix are {got}, expected a dict of arrays by name, and a str")
    names = {param: [prefix + name for name in group] for param, group in torch_names(layer, level).items()}
    wanted = [name for group in names.values() for name in group]
    if missing := [name for name in wanted if name not in state]:
        remedy = "give the prefix of the module with its dot, and zeros for a missing bias"
        raise ValueError(f"state has no {', '.join(missing)} among {', '.join(map(str, state))}; {remedy}")
    siblings = [name for name in map(str, state) if name.startswith(prefix) and "." not in name.removeprefix(prefix)]
    if isinstance(layer, (LSTM, Bidirectional)):
        siblings = [name for name in siblings if name.removesuffix("_reverse").endswith(f"_l{level}")]
    if extra := [name for name in siblings if name not in wanted]:
        remedy = "both layers must be of the same kind: load a bidirectional LSTM into Bidirectional"
        raise ValueError(f"state holds {', '.join(extra)}, for which {type(layer).__name__} has no place; {remedy}")
    parts = [(param, name, state[name]) for param, group in names.items() for name in group]
    set_params(params, parts, lambda array: to_torch_axes(layer, array))


def to_torch(layer: Layer, prefix: str = "", level: int = 0) -> Arrays:
    """Copy the parameters of one layer in the form of a PyTorch ``state_dict``; see :func:`from_torch` for errors.

    PyTorch adds two biases in an LSTM. The first gets b, the second zeros.
    """
    params, state = params_of(layer), {}
    for param, (name, *others) in torch_names(layer, level).items():
        array = np.array(to_torch_axes(layer, params[param]), order="C")
        state[prefix + name] = array
        state.update({prefix + other: np.zeros_like(array) for other in others})
    return state


def torch_names(layer: Layer, level: int) -> dict[str, list[str]]:
    """Return PyTorch's names for each parameter; more than one if the parameter is a sum in PyTorch."""
    if isinstance(layer, Embedding):
        return {"E": ["weight"]}
    if isinstance(layer, (Dense, Conv1D)):
        return {"W": ["weight"], "b": ["bias"]}
    if isinstance(layer, LSTM):
        biases = [f"bias_ih_l{level}", f"bias_hh_l{level}"]
        return {"W": [f"weight_ih_l{level}"], "U": [f"weight_hh_l{level}"], "b": biases}
    if isinstance(layer, Bidirectional):
        one = torch_names(layer.layer, level)
        there = {f"forward.{param}": names for param, names in one.items()}
        back = {f"backward.{param}": [f"{name}_reverse" for name in names] for param, names in one.items()}
        return there | back
    raise TypeError(f"{layer!r} has no weights in PyTorch; expected Embedding, LSTM, Bidirectional, Conv1D or Dense")


def to_torch_axes(layer: Layer, array: Any) -> Array:
    """Transpose a matrix or kernel from our order of axes to PyTorch's, or back; for an Embedding they are equal."""
    return np.asarray(array) if isinstance(layer, Embedding) else np.asarray(array).T


def params_of(target: Layer | Sequential) -> Arrays:
    """Return the parameters; raise a ValueError if they have not been built yet."""
    learns = isinstance(target, (Embedding, LSTM, Bidirectional, Conv1D, Dense))
    if not target.shapes if isinstance(target, Sequential) else learns and not target.params:
        raise ValueError(f"{type(target).__name__}: no parameters yet; build it, or begin the model with an Embedding")
    return target.params


def set_params(params: Arrays, parts: Iterable[tuple[str, str, Any]], to_axes: Callable[[Any], Array]) -> None:
    """Check every ``(parameter, name, array)``, then set each parameter to the sum of its arrays, in our axes."""
    sums: Arrays = {}
    for param, name, part in parts:
        array, expected = as_array(name, part), to_axes(params[param]).shape
        if array.shape != expected:
            raise ValueError(f"{name} has shape {array.shape}, expected {expected}; build the layer with that size")
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{name} is {array.dtype}, expected real numbers; convert it with astype('float32')")
        sums[param] = sums.get(param, 0) + to_axes(as_finite(name, array, params[param].dtype))
    for param, total in sums.items():
        params[param][...] = total
