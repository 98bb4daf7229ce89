"""fit, evaluate and predict: from a list of reviews to batches, from batches to steps.

Forward passes x through the layers and keeps their caches. Backward passes the gradient through them in reverse: each
layer turns the gradient of its output into that of its input, which is the output of the layer before. This is the
chain rule, and all there is to "backpropagation". A step of training, for one batch::

    p, caches = forward(layers, x, lengths, train=True, rng=rng)
    L = loss.forward(p, y)                     how wrong the predictions are
    dp = loss.backward(p, y)                   which way is less wrong, seen from the output
    grads = backward(layers, dp, caches)       and seen from every weight
    optimizer.step(params, grads)

The gradients of a layer with ``trainable = False`` are left out of the step. Where the loss or a gradient is not
finite, the step is not made; :mod:`minilstm.runs.nonfinite` says why.

**The plan.** Each call of ``fit``, ``evaluate`` and ``predict`` chooses once what runs: for each layer either the layer
as it is written, or its twin in ``fast/``, which computes the same faster.

**Shards.** The rows of a batch are independent until their gradients are added up. So a batch is processed in shards,
which threads can share, and the gradients of the shards are summed.

The loss and accuracy shown during training are means over the steps of the epoch, with dropout and while the weights
were still moving; ``val_loss`` and ``val_accuracy`` are computed at its end, without dropout. ``grad_norm`` is the mean
norm of the gradient, before clipping.
"""

import contextlib
import math
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array, Arrays, Lengths, Rng
from minilstm.data.bars import progress_bar
from minilstm.data.batching import Shard, add_shards, batches, shards, tree_sum
from minilstm.data.inputs import Samples, check_compiled, check_stackable, take, take_both
from minilstm.fast import Map, Plan, choose_plan
from minilstm.keras.arguments import refuse
from minilstm.layers.base import Layer
from minilstm.losses import Loss
from minilstm.runs.callbacks import CallbackList, History, Progress
from minilstm.runs.nonfinite import NotFiniteError, explain
from minilstm.runs.run import Run
from minilstm.tools.validate import check_positive


def forward(
    layers: Sequence[Any], x: Any, lengths: Lengths = None, train: bool = False, rng: Rng = None
) -> tuple[Any, list[Any]]:
    """Pass a batch x through all layers; return the output and the caches of the layers."""
    caches = []
    for layer in layers:
        x, cache = layer.forward(x, lengths, train, rng)
        lengths = layer.out_lengths(lengths)
        caches.append(cache)
    return x, caches


def backward(layers: Sequence[Any], dy: Any, caches: Sequence[Any]) -> dict[str, Any]:
    """Pass the gradient of the output back through all layers; return the gradients of all parameters."""
    grads: dict[str, Any] = {}
    for layer, cache in zip(reversed(layers), reversed(caches), strict=True):
        dy, layer_grads = layer.backward(dy, cache)  # the chain rule: dx of this layer is dy of the one before
        grads |= {f"{layer.name}.{name}": g for name, g in layer_grads.items()}
    return grads


def parameters(layers: Iterable[Layer]) -> Arrays:
    """Collect all parameters by layer and name, such as ``"lstm.W"``."""
    return {f"{layer.name}.{name}": p for layer in layers for name, p in layer.params.items()}


def fit(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int = 32,
    epochs: int = 1,
    verbose: int = 1,
    callbacks: Sequence[Any] | None = None,
    validation_split: float = 0.0,
    validation_data: tuple[Any, Any] | None = None,
    shuffle: bool = True,
    **_unknown: Any,
) -> History:
    """Train a compiled model on samples x and labels y; neither is changed. Return the metrics of every epoch.

    Args:
        model: the model, which "model.fit(x, y)" passes by itself.
        x: a list of texts as token ids of any length, or an array; see :class:`minilstm.data.inputs.Samples`.
        y: N labels, 0 or 1; or an array (N, K).
        batch_size: B, samples per step.
        epochs: passes over all samples.
        verbose: 0 for silence, 1 for a bar and a line per epoch, 2 for the line only.
        callbacks: see :mod:`minilstm.runs.callbacks`.
        validation_split: the fraction of samples, taken from the end, to hold out as validation data.
        validation_data: ``(x, y)`` to evaluate after each epoch.
        shuffle: False keeps the samples in the order given.

    For errors see :mod:`minilstm.data.inputs`. If the loss or a gradient becomes NaN or infinite, a NotFiniteError (a
    ValueError) says where; the weights are those before that step.
    """
    refuse("fit", _unknown)
    loss, optimizer = check_compiled(model)
    batch_size, epochs = check_positive("fit", batch_size=batch_size, epochs=epochs)
    (data, y), held_out = take_both(model, loss, x, y, validation_split, validation_data)
    model.history = history = History()
    model.metadata = model.metadata | data.padding
    params = {"epochs": epochs, "steps": math.ceil(len(data) / batch_size), "verbose": verbose}
    call = CallbackList(history, callbacks, Progress(verbose) if verbose else None, model, params)
    plan = choose_plan(model.layers, optimizer)
    run = Run(model, data, y, held_out, batch_size, epochs, shuffle, call, str(plan))
    model.stop_training = False
    with np.errstate(over="ignore", invalid="ignore"), plan.workers() as parallel_map, call:
        call("on_train_begin", {})
        call("on_run_begin", run)  # a checkpoint resumes the run here
        while not run.done:
            if run.batch == 0:
                call("on_epoch_begin", run.epoch, {})
            for rows in run.order():
                call("on_train_batch_begin", run.batch, {})
                batch = [Shard(*data.batch(part), y[part]) for part in shards(data.lengths, rows)]
                run.add(*train_step(plan, loss, batch, model.rng, parallel_map, run))
                call("on_train_batch_end", run.batch - 1, means(run.sums, model))
                call("on_run_progress", run)
            run.logs = means(run.sums, model)
            if held_out is not None:
                held = means(score(plan, loss, *held_out, batch_size, verbose=0), model)
                run.logs |= {f"val_{name}": number for name, number in held.items()}
            run.logs["grad_norm"] = run.norms / run.batch
            call("on_epoch_end", run.epoch, run.logs)
            run.next_epoch()
            call("on_run_progress", run)
        call("on_train_end", run.logs)
    return history


def train_step(
    plan: Plan, loss: Loss, batch: list[Shard], rng: np.random.Generator, parallel_map: Map = map, context: Any = "fit"
) -> tuple[Array, float]:
    """Make one step of training; return :func:`sums_of` the batch, (3,), and the norm of the gradient before clipping.

    If one of them is not finite, nothing moves, and a NotFiniteError is raised whose message begins with ``context``.
    """
    B = sum([len(shard.y) for shard in batch])
    seeds = rng.integers(2**63, size=len(batch))  # (shards,), for dropout

    def work(shard: Shard, seed: int) -> tuple[Array, dict[str, Any]]:
        x, lengths, y = shard
        p, caches = forward(plan.runners, x, lengths, train=True, rng=np.random.default_rng(seed))  # p (B, K)
        dp = loss.backward(p, y) * y.dtype.type(len(y) / B)  # the loss is a mean over the batch, (B, K)
        return sums_of(loss, p, y), backward(plan.runners, dp, caches)

    sums, grads = tree_sum(list(parallel_map(work, batch, seeds)), add_shards)  # (3,), and gradients by name
    params = parameters(layer for layer in plan.layers if layer.trainable)
    for name in parameters(plan.layers).keys() - params.keys():
        grads.pop(name, None)
    norm = plan.stepper.norm(grads)
    if not math.isfinite(sums[1] + norm):
        raise NotFiniteError(f"{context}: {explain(plan.layers, plan.optimizer, loss, batch, seeds, grads)}")
    plan.stepper.step(params, grads, norm)
    return sums, norm


def sums_of(loss: Loss, p: Array, y: Array) -> Array:
    """Compute (3,): the number of predictions p (B, K), the sum of their losses given y, and how many are right."""
    return len(p) * np.array([1.0, float(loss.forward(p, y)), loss.accuracy(p, y)])  # (3,)


def means(sums: Array, model: Any) -> dict[str, float]:
    """Turn sums (3,), over any number of batches, into means per sample: loss, and accuracy if it was asked for."""
    _, loss, accuracy = (sums / sums[0]).tolist()
    return {"loss": loss} | dict.fromkeys(model.metrics, accuracy)


def predict(model: Any, x: Any, batch_size: int = 32, verbose: int = 1) -> Array:
    """Compute the model's outputs (N, K) for samples x, in order; ``verbose=0`` shows no bar. Errors: see ``fit``."""
    check_positive("predict", batch_size=batch_size)
    data = Samples(model.layers, model.dtype, x, model.metadata)
    model.build(data.shape_in)
    check_stackable(data.array, model.shapes[-1])
    parts = list(outputs(choose_plan(model.layers), data, batch_size, "predict", verbose))
    order, p = (np.concatenate(part) for part in zip(*parts, strict=True))  # (N,), (N, K), shortest first
    return p[np.argsort(order)]  # (N, K)


def evaluate(model: Any, x: Any, y: Any, batch_size: int = 32, verbose: int = 1) -> list[float]:
    """Compute ``[loss]``, or ``[loss, accuracy]`` if compiled with that metric, over samples x with labels y. It is
    always a list, while Keras returns a lone loss as a number.
    """
    check_positive("evaluate", batch_size=batch_size)
    loss, _ = check_compiled(model)
    data, y = take(model, loss, x, y)
    return list(means(score(choose_plan(model.layers), loss, data, y, batch_size, verbose), model).values())


def score(plan: Plan, loss: Loss, data: Samples, y: Array, batch_size: int, verbose: int) -> Array:
    """Compute :func:`sums_of` all of ``data``, whose truth is y (N, K)."""
    with contextlib.closing(outputs(plan, data, batch_size, "evaluate", verbose)) as parts:
        return tree_sum([sums_of(loss, p, y[rows]) for rows, p in parts])


def outputs(plan: Plan, data: Samples, batch_size: int, title: str, verbose: int) -> Generator[tuple[Array, Array]]:
    """Yield row numbers (B,) and the model's outputs for them (B, K), a batch at a time, shortest first."""
    bar = progress_bar(bool(verbose), total=len(data), desc=title, unit=" reviews", delay=1)
    with plan.workers() as parallel_map, bar:
        for rows in batches(data.lengths, int(batch_size)):
            parts = shards(data.lengths, rows)
            yield from zip(parts, parallel_map(lambda r: forward(plan.runners, *data.batch(r))[0], parts), strict=True)
            bar.update(len(rows))
