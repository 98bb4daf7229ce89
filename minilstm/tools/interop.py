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

With both frameworks at hand::

    from_keras(model, keras_model.get_weights())
    keras_model.set_weights(to_keras(model))
    from_torch(model.layers[1], {k: v.numpy() for k, v in net.state_dict().items()}, prefix="lstm.")
    net.lstm.load_state_dict({k: torch.from_numpy(a) for k, a in to_torch(model.layers[1]).items()})

Only weights are carried over. Settings, such as an activation or ``padding``, have to agree already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array, Arrays
from minilstm.layers import LSTM, Bidirectional, Conv1D, Dense, Embedding
from minilstm.layers.base import Layer
from minilstm.model import Sequential
from minilstm.tools.validate import as_array, as_finite, as_sequence


def from_keras(target: Layer | Sequential, weights: Sequence[Array]) -> None:
    """Load what ``get_weights()`` of a Keras layer or model gives into a layer or model of the same kind.

    Args:
        target: a layer, or a whole model.
        weights: the arrays: for an LSTM kernel, recurrent_kernel and bias, for a Bidirectional those of both.

    Raises:
        ValueError: another number of arrays, another shape, or a NaN. Then, as after a TypeError, nothing was changed.
        TypeError: arrays of something else than real numbers.
    """
    params, weights = params_of(target), as_sequence("weights", weights)
    if len(weights) != len(params):
        wanted = {name: p.shape for name, p in params.items()}
        raise ValueError(
            f"weights: got {len(weights)} arrays, expected {len(wanted)}, {wanted}; "
            "the Keras layers must be of the same kinds, in the same order, and with a bias"
        )
    load(params, zip(params, params, weights, strict=True), np.asarray)


def to_keras(source: Layer | Sequential) -> list[Array]:
    """Copy the parameters as ``set_weights()`` of the Keras layer or model wants them.

    Raises:
        ValueError: they have not been made yet.
    """
    return [p.copy() for p in params_of(source).values()]


def from_torch(layer: Layer, state: Mapping[str, Any], prefix: str = "", level: int = 0) -> None:
    """Load the part of a PyTorch ``state_dict`` that belongs to one layer.

    Args:
        layer: an Embedding, LSTM, Bidirectional, Conv1D or Dense.
        state: arrays by name; CPU tensors serve as well.
        prefix: the prefix of the names, such as "encoder.lstm.", with the dot.
        level: which one of the LSTMs that PyTorch stacked, from 0 at the bottom.

    Raises:
        ValueError: a name is missing, a shape does not fit, a NaN, or the state holds more than the layer has a place
            for. Then, as after a TypeError, nothing was changed.
        TypeError: arrays of something else than real numbers, or a layer that PyTorch keeps no weights for.
    """
    params = params_of(layer)
    if not isinstance(state, Mapping) or not isinstance(prefix, str):
        got = f"a {type(state).__name__} and {prefix!r:.40}"
        raise TypeError(f"state and prefix are {got}, expected a dict of arrays by name, and a str")
    names = {param: [prefix + name for name in group] for param, group in torch_names(layer, level).items()}
    wanted = [name for group in names.values() for name in group]
    missing = [name for name in wanted if name not in state]
    if missing:
        raise ValueError(
            f"state has no {', '.join(missing)} among {', '.join(map(str, state))}; "
            "give the prefix of the module with its dot, and zeros for a bias that is not there"
        )
    siblings = [name for name in map(str, state) if name.startswith(prefix) and "." not in name.removeprefix(prefix)]
    if isinstance(layer, (LSTM, Bidirectional)):
        siblings = [name for name in siblings if name.removesuffix("_reverse").endswith(f"_l{level}")]
    extra = [name for name in siblings if name not in wanted]
    if extra:
        raise ValueError(
            f"state holds {', '.join(extra)}, for which {type(layer).__name__} has no place; "
            "the two layers must be of the same kind: load a bidirectional LSTM into Bidirectional"
        )
    parts = [(param, name, state[name]) for param, group in names.items() for name in group]
    load(params, parts, lambda array: to_torch_axes(layer, array))


def to_torch(layer: Layer, prefix: str = "", level: int = 0) -> Arrays:
    """Copy the parameters of one layer as a PyTorch ``state_dict`` holds them; see :func:`from_torch`.

    PyTorch adds up two biases in an LSTM. The first one gets b, the second one zeros.

    Raises:
        ValueError: the parameters have not been made yet.
        TypeError: a layer that PyTorch keeps no weights for.
    """
    params, state = params_of(layer), {}
    for param, (name, *others) in torch_names(layer, level).items():
        array = np.array(to_torch_axes(layer, params[param]), order="C")
        state[prefix + name] = array
        state.update({prefix + other: np.zeros_like(array) for other in others})
    return state


def torch_names(layer: Layer, level: int) -> dict[str, list[str]]:
    """Give PyTorch's names for each parameter; more than one where PyTorch keeps it as a sum."""
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
    """Turn a matrix or a kernel from our order of axes into PyTorch's, or back; only Embedding has the same."""
    return np.asarray(array) if isinstance(layer, Embedding) else np.asarray(array).T


def params_of(target: Layer | Sequential) -> Arrays:
    """Return the parameters, or raise a ValueError where they have not been made yet."""
    learns = isinstance(target, (Embedding, LSTM, Bidirectional, Conv1D, Dense))
    if not target.shapes if isinstance(target, Sequential) else learns and not target.params:
        raise ValueError(f"{type(target).__name__}: no parameters yet; build it, or begin the model with an Embedding")
    return target.params


def load(params: Arrays, parts: Iterable[tuple[str, str, Any]], turn: Callable[[Any], Array]) -> None:
    """Check every ``(parameter, name, array)``, then set each parameter to the sum of its arrays, turned."""
    sums: Arrays = {}
    for param, name, part in parts:
        array, expected = as_array(name, part), turn(params[param]).shape
        if array.shape != expected:
            raise ValueError(f"{name} has shape {array.shape}, expected {expected}; build the layer with that size")
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{name} is {array.dtype}, expected real numbers; convert it with astype('float32')")
        sums[param] = sums.get(param, 0) + turn(as_finite(name, array, params[param].dtype))
    for param, total in sums.items():
        params[param][...] = total
