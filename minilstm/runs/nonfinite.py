"""Diagnosing training steps that are not finite: where the first NaN or infinity arose, why, and what to do.

``fit`` checks loss and gradient before every step. If one of them is not finite, neither this step nor any later one
makes sense. So the batch is computed once more, layer by layer, to find the cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.layers import LSTM
from minilstm.layers.base import Layer
from minilstm.losses import Loss
from minilstm.optimizers import Optimizer


class NotFiniteError(ValueError):
    """Loss or gradient became NaN or infinite during training. The weights are those from before that step."""


def explain(
    layers: Sequence[Layer],
    optimizer: Optimizer | None,
    loss: Loss,
    batch: Sequence[Any],
    seeds: Iterable[int],
    grads: Mapping[str, Any],
) -> str:
    """Say which layer produced the first NaN or infinity, the likely cause, and what to do.

    Args:
        layers: with the weights before the step; they are run as they are written, not as their fast twins.
        optimizer: with its settings.
        loss: the loss function of the step.
        batch: the shards of the batch.
        seeds: for each shard the seed of its dropout.
        grads: the gradients of all parameters, summed over the shards.
    """
    for layer in layers:
        for name, p in layer.params.items():
            if not finite(p):
                return (
                    f"the weights {layer.name}.{name} already hold NaN or infinity, which no step can undo; create the "
                    "model again or load an earlier one, and if training caused this, lower the learning rate"
                )
    for shard, seed in zip(batch, seeds, strict=True):
        if found := retrace(layers, optimizer, loss, shard, seed):
            return found
    sizes = {name: np.abs(getattr(g, "rows", g)).max(initial=0) for name, g in grads.items()}
    worst = max(sizes, key=lambda name: float(sizes[name]))
    layer = next(layer for layer in layers if worst.startswith(f"{layer.name}."))
    why = cause(layers, optimizer, layer, batch[0].x)
    return f"the gradient of {worst}, in {layer.name}, is too large to be summed. {why}"


def retrace(layers: Sequence[Layer], optimizer: Optimizer | None, loss: Loss, shard: Any, seed: int) -> str | None:
    """Repeat the forward and backward pass of the step, and name the first result that is not finite."""
    y: Any = shard.x
    lengths, rng, caches = shard.lengths, np.random.default_rng(seed), []
    for layer in layers:
        y, cache = layer.forward(y, lengths, True, rng)
        if not finite(y):
            why = cause(layers, optimizer, layer, shard.x)
            return f"in the forward pass, {layer.name} produced NaN or infinity. {why}"
        lengths = layer.out_lengths(lengths)
        caches.append(cache)
    if not np.isfinite(loss.forward(y, shard.y)) or not finite(loss.backward(y, shard.y)):
        what = f"the loss of the output of {layer.name}, up to {np.abs(y).max():.2g}, is not finite"
        return f"{what}. {cause(layers, optimizer, layer, shard.x)}"
    dy: Any = loss.backward(y, shard.y)
    for layer, cache in zip(reversed(layers), reversed(caches), strict=True):
        dy, grads = layer.backward(dy, cache)
        wrong = [name for name, g in {**grads, "x": np.zeros(0) if dy is None else dy}.items() if not finite(g)]
        if wrong:
            which = " and ".join(f"d{name}" for name in wrong)
            why = cause(layers, optimizer, layer, shard.x)
            return f"in the backward pass, {layer.name} produced NaN or infinity, in {which}. {why}"
    return None


def cause(layers: Sequence[Layer], optimizer: Optimizer | None, layer: Layer, x: Array) -> str:
    """Name the likely cause, and a remedy, for a ``layer`` that produced numbers that are not finite on samples x."""
    lstm = getattr(layer, "layer", layer)
    if isinstance(lstm, LSTM) and lstm.activation in ("relu", "linear", None):
        return f"With activation={lstm.activation!r} the state of an LSTM can grow at each step; use 'tanh'"
    size = float(np.abs(x).max(initial=0)) if x.dtype.kind == "f" else 0.0
    params = [p for each in layers for p in each.params.values()]
    most = max((float(np.abs(p).max(initial=0)) for p in params), default=0.0)
    if size > max(1e3, most):
        return f"x goes up to {size:.2g}; scale it to about -1 to 1"
    if most < 1e3 and not type(layer).__module__.startswith("minilstm."):
        return (
            f"All weights are below 1000, so look at {type(layer).__name__} itself, with python -m minilstm gradcheck"
        )
    assert optimizer is not None  # a step was made with it
    rate, clip = optimizer.learning_rate, optimizer.global_clipnorm
    more = "" if clip else ", and give the optimiser global_clipnorm=1.0"
    return f"Weights go up to {most:.2g}: most likely the learning rate, {rate:g}, is too high; try a tenth of it{more}"


def finite(x: Array) -> bool:
    """Whether all entries of an array are finite."""
    return bool(np.isfinite(x).all())
