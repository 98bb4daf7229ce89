"""What to say where training runs into NaN or infinity: where the first one arose, why, and what to do about it.

``fit`` looks at loss and gradient before every step. Once one of them is not finite, no step can be made, and none of
those after it would mean anything. So the batch is gone through once more, layer by layer, to find the culprit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minilstm.layer import Array, Layer, Words, reads_words
from minilstm.layers import LSTM
from minilstm.losses import Loss
from minilstm.words import RowGradient

if TYPE_CHECKING:
    from minilstm.model import Sequential
    from minilstm.training import Shard


class NotFiniteError(ValueError):
    """Loss or gradient became NaN or infinite while training. The weights are those from before that step."""


def explain(
    model: Sequential, loss: Loss, batch: Sequence[Shard], seeds: Iterable[int], grads: Mapping[str, Any]
) -> str:
    """Say which layer made the first NaN or infinity, why it probably did, and what to do.

    Args:
        model: with the weights before the step.
        loss: that of the step.
        batch: its shards.
        seeds: their seeds for dropout.
        grads: the gradients of all parameters, summed over the shards.
    """
    for layer in model.layers:
        for name, p in layer.params.items():
            if not finite(p):
                return (
                    f"the weights {layer.name}.{name} hold NaN or infinity already, so no step can mend them; make the "
                    "model anew, or load one that was saved before, and if it was training, lower the learning rate"
                )
    for shard, seed in zip(batch, seeds, strict=True):
        if told := retrace(model, loss, shard, seed):
            return told
    sizes = {name: np.abs(numbers(g)).max(initial=0) for name, g in grads.items()}
    worst = max(sizes, key=lambda name: float(sizes[name]))
    layer = next(layer for layer in model.layers if worst.startswith(f"{layer.name}."))
    return f"the gradient of {worst}, in {layer.name}, is too large to be added up. {cause(model, layer, batch[0].x)}"


def retrace(model: Sequential, loss: Loss, shard: Shard, seed: int) -> str | None:
    """Go forward and backward as the step did, and tell of the first number that is not finite."""
    y: Any = shard.x
    lengths, rng, caches = shard.lengths, np.random.default_rng(seed), []
    for layer in model.layers:
        x = y.spread() if isinstance(y, Words) and not reads_words(layer) else y
        y, cache = layer.forward(x, lengths, True, rng)
        if not finite(y):
            return f"going forward, {layer.name} made NaN or infinity. {cause(model, layer, shard.x)}"
        lengths = layer.out_lengths(lengths)
        caches.append(cache)
    if not np.isfinite(loss.forward(y, shard.y)) or not finite(loss.backward(y, shard.y)):
        what = f"the loss of what {layer.name} gives, up to {np.abs(y).max():.2g}, is not finite"
        return f"{what}. {cause(model, layer, shard.x)}"
    dy: Any = loss.backward(y, shard.y)
    for layer, cache in zip(reversed(model.layers), reversed(caches), strict=True):
        dy, grads = layer.backward(dy, cache)
        wrong = [name for name, g in {**grads, "x": np.zeros(0) if dy is None else dy}.items() if not finite(g)]
        if wrong:
            which = " and ".join(f"d{name}" for name in wrong)
            return f"going backward, {layer.name} made NaN or infinity, in {which}. {cause(model, layer, shard.x)}"
    return None


def cause(model: Sequential, layer: Layer, x: Array | Words) -> str:
    """Name the likely cause and its remedy, where samples x made numbers that are not finite in a ``layer``."""
    lstm = getattr(layer, "layer", layer)
    if isinstance(lstm, LSTM) and lstm.activation in ("relu", "linear", None):
        return f"With activation={lstm.activation!r} the state of an LSTM can grow at each step; take 'tanh'"
    size = float(np.abs(numbers(x)).max(initial=0)) if x.dtype.kind == "f" else 0.0
    most = max((float(np.abs(p).max(initial=0)) for p in model.params.values()), default=0.0)
    if size > max(1e3, most):
        return f"x goes up to {size:.2g}; scale it to about -1 to 1"
    if most < 1e3 and not type(layer).__module__.startswith("minilstm."):
        return (
            f"All weights are below 1000, so look at {type(layer).__name__} itself, with python -m minilstm gradcheck"
        )
    assert model.optimizer is not None
    rate, clip = model.optimizer.learning_rate, model.optimizer.global_clipnorm
    more = "" if clip else ", and give the optimiser global_clipnorm=1.0"
    return (
        f"Weights go up to {most:.2g}: most likely the learning rate, {rate:g}, is too high; take a tenth of it{more}"
    )


def numbers(thing: Any) -> Any:
    """Give the array behind an array, Words or a RowGradient."""
    return thing.rows if isinstance(thing, (Words, RowGradient)) else thing


def finite(thing: Any) -> bool:
    """Tell whether all of an array, Words or a RowGradient is finite."""
    return bool(np.isfinite(numbers(thing)).all())
