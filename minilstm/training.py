"""fit, evaluate and predict: from a list of reviews to batches, from batches to steps.

A step of training, for one batch::

    p, caches = model.forward(x, lengths, train=True, rng=rng)
    L = loss.forward(p, y)                     how wrong
    dp = loss.backward(p, y)                   which way less wrong, seen from the output
    grads = model.backward(dp, caches)         and seen from every weight
    optimizer.step(model.params, grads)

Where the loss or a gradient is no finite number, the step is not made; :mod:`minilstm.tools.guard` says why not.

**Shards.** The rows of a batch do not meet before their gradients are added up. So a batch is worked on in shards of
some 16 rows, by as many threads as there are cores, and the gradients of the shards are summed.

The loss and accuracy shown while training are means over the epoch's steps: taken while the weights still moved, and
with dropout on. ``val_loss`` and ``val_accuracy`` are taken at its end, without; so the two do not compare exactly.
``grad_norm`` is the mean length of the gradient, before clipping.

**Batches by length.** A batch is padded to its longest review, and every padded step is wasted. So reviews of
similar length go into a batch together: shuffle all, sort within pools of 50 batches, shuffle the batches.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from minilstm.callbacks import CallbackList, History, Progress
from minilstm.layer import Array, Lengths, Words
from minilstm.losses import Loss
from minilstm.optimizers import Optimizer, global_norm
from minilstm.tools.checks import check_positive
from minilstm.tools.door import Rows, check_labels, split_off, take_validation
from minilstm.tools.guard import NotFiniteError, explain
from minilstm.words import add_up

if TYPE_CHECKING:
    from minilstm.model import Sequential

SHARD = 16  # rows that a thread works on at a time, at least, and from 64 rows a batch on twice as many
POOL = 50  # batches sorted by length together: more saves padding, fewer mixes better


def batches(lengths: Array, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[Array]:
    """Yield row numbers, a batch at a time: similar lengths together, in random order if ``rng`` is given."""
    N = len(lengths)
    if rng is None:
        order = np.argsort(lengths, kind="stable")  # (N,)
    else:
        order = rng.permutation(N)  # (N,)
        pools = [order[n : n + POOL * batch_size] for n in range(0, N, POOL * batch_size)]
        order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    starts = np.arange(0, N, batch_size)
    for n in starts if rng is None else rng.permutation(starts):
        yield order[n : n + batch_size]


def shards(lengths: Array, rows: Array) -> list[Array]:
    """Split the rows of a batch into shards of like work, of each the longest row first, where the kernels want it.

    The number of threads plays no part here. So it changes no result.
    """
    rows = rows[np.argsort(-lengths[rows], kind="stable")]  # (B,)
    S = max(1, min(len(rows) // SHARD, max(2, len(rows) // (2 * SHARD))))
    return [rows[s::S] for s in range(S)]


@contextlib.contextmanager
def threads() -> Iterator[Map]:
    """Give a ``map`` whose work MINILSTM_THREADS threads share, or as many as there are cores; BLAS starts none.

    The threads warn of an overflow as the caller's ``np.errstate`` has it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = os.environ.get("MINILSTM_THREADS", str(cores))
    if not count.isdecimal() or count == "0":
        raise ValueError(f"MINILSTM_THREADS is {count!r}, expected a whole number of at least 1")
    keep_memory()
    errors = np.geterr()
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(int(count), initializer=lambda: np.seterr(**errors)) as pool:
        yield map if count == "1" else pool.map


def keep_memory() -> None:
    """Let glibc keep the memory of arrays that are gone: a step needs as much again, and new memory costs time.

    Without it a seventh of the time goes by in the system. On other systems this does nothing.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-8, 1)  # M_ARENA_MAX: one store for all threads, since that of a single thread ends at 64 MB
        mallopt(-3, 1 << 25)  # M_MMAP_THRESHOLD: only larger blocks are given back at once
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: give the rest back only beyond a GB


def fit(
    model: Sequential,
    x: Any,
    y: Any,
    batch_size: int = 32,
    epochs: int = 1,
    verbose: int = 1,
    callbacks: Sequence[Any] | None = None,
    validation_split: float = 0.0,
    validation_data: tuple[Any, Any] | None = None,
    shuffle: bool = True,
) -> History:
    """Train ``model`` on samples x and labels y; x and y are not changed.

    Args:
        model: a compiled model.
        x: a list of texts as token ids of any length, or an array; see :class:`minilstm.tools.door.Rows`.
        y: N labels, 0 or 1; or an array (N, K).
        batch_size: B, samples for one step.
        epochs: how often all samples are gone through.
        verbose: 0 silent, 1 a bar and a line an epoch, 2 only the line.
        callbacks: see :mod:`minilstm.callbacks`.
        validation_split: the share of samples, taken from the end, to hold out as validation data.
        validation_data: ``(x, y)`` to evaluate after each epoch.
        shuffle: False keeps the samples in the order given.

    Returns:
        The numbers of every epoch.

    Raises:
        TypeError: see :class:`minilstm.tools.door.Rows` and :func:`minilstm.tools.door.check_labels`.
        ValueError: likewise; also a model that is not compiled.
        NotFiniteError: loss or gradient became NaN or infinite. A ValueError; the weights are those before that step.
    """
    loss, optimizer = check_compiled(model)
    check_positive("fit", batch_size=batch_size, epochs=epochs)
    batch_size, epochs = int(batch_size), int(epochs)  # NumPy's own whole numbers may overflow
    if validation_data is None and validation_split:
        (x, y), validation_data = split_off(x, y, validation_split)
    data = Rows(model, x)
    y = check_labels(model, loss, y, len(data))
    held_out = None if validation_data is None else take_validation(model, loss, validation_data)

    model.history = history = History()
    if callbacks is not None and not isinstance(callbacks, (list, tuple)):
        raise TypeError(f"callbacks is a {type(callbacks).__name__}, expected a list; write callbacks=[...]")
    everyone = [history, *(callbacks or []), *([Progress(verbose)] if verbose else [])]
    params = {"epochs": epochs, "steps": math.ceil(len(data) / batch_size), "verbose": verbose}
    call = CallbackList(everyone, model, params)
    run = Run(model, data, y, held_out, batch_size, epochs, shuffle, call)
    model.stop_training = False
    with np.errstate(over="ignore", invalid="ignore"), threads() as each, call:
        call("on_train_begin", {})
        call("on_run_begin", run)  # a checkpoint puts the run where it stood
        while not run.done:
            if run.batch == 0:
                call("on_epoch_begin", run.epoch, {})
            for rows in run.order():
                call("on_train_batch_begin", run.batch, {})
                shares = [Shard(*data.batch(part), y[part]) for part in shards(data.lengths, rows)]
                run.add(*train_step(model, loss, optimizer, shares, each, run))
                call("on_train_batch_end", run.batch - 1, means(run.sums, model))
                call("on_run_progress", run)
            run.logs = means(run.sums, model)
            if held_out is not None:
                held = means(score(model, loss, *held_out, batch_size, verbose=0), model)
                run.logs |= {f"val_{name}": number for name, number in held.items()}
            run.logs["grad_norm"] = run.norms / run.batch
            call("on_epoch_end", run.epoch, run.logs)
            run.next_epoch()
            call("on_run_progress", run)
        call("on_train_end", run.logs)
    return history


@dataclass
class Run:
    """A run of ``fit``: what it works on, and where it stands."""

    model: Sequential
    data: Rows
    y: Array  # (N, K)
    held_out: tuple[Rows, Array] | None
    batch_size: int
    epochs: int
    shuffle: bool
    call: CallbackList
    epoch: int = 0  # the one that runs, counted from 0
    batch: int = 0  # how many of its batches are done
    sums: Array = field(default_factory=lambda: np.zeros(3))  # over them, see sums_of
    norms: float = 0.0  # likewise, of the lengths of the gradients
    logs: dict[str, float] = field(default_factory=dict)  # the numbers of the last epoch that ended
    rng_state: dict[str, Any] = field(default_factory=dict)  # of model.rng when the order of the batches was drawn

    @property
    def done(self) -> bool:
        """Whether nothing is left to do; a wish to stop is granted after the epoch."""
        return self.epoch >= self.epochs or (self.model.stop_training and self.batch == 0)

    def order(self) -> list[Array]:
        """List the batches that are left of the epoch, each as row numbers (B,)."""
        N, B, rng = len(self.data), self.batch_size, self.model.rng
        if not self.shuffle:
            return np.split(np.arange(N), range(B, N, B))[self.batch :]
        if self.batch:  # the order was drawn before the run broke off: draw the same again
            rng = copy.deepcopy(rng)
            rng.bit_generator.state = self.rng_state
        self.rng_state = dict(rng.bit_generator.state)
        return list(batches(self.data.lengths, B, rng))[self.batch :]

    def add(self, sums: Array, norm: float) -> None:
        """Count a batch."""
        self.batch, self.sums, self.norms = self.batch + 1, self.sums + sums, self.norms + norm

    def next_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch, self.batch, self.sums, self.norms = self.epoch + 1, 0, np.zeros(3), 0.0

    def __str__(self) -> str:
        """Name the step that is being made."""
        return f"epoch {self.epoch + 1}, batch {self.batch + 1}"


def check_compiled(model: Sequential) -> tuple[Loss, Optimizer]:
    """Return loss and optimiser, or raise a ValueError where the model has none."""
    if model.loss is None or model.optimizer is None:
        raise ValueError("the model has no loss yet; call model.compile(loss='binary_crossentropy', ...) first")
    return model.loss, model.optimizer


Map = Callable[..., Iterable[Any]]
"""What applies a function to every shard: ``map``, or that of :func:`threads`."""


class Shard(NamedTuple):
    """Some rows of a batch."""

    x: Array | Words  # (B, T) or (B, ...)
    lengths: Lengths  # (B,) or None
    y: Array  # (B, K)


def train_step(
    model: Sequential, loss: Loss, optimizer: Optimizer, batch: Sequence[Shard], each: Map = map, where: Any = "fit"
) -> tuple[Array, float]:
    """Make one step of training, as at the head of this file.

    Returns:
        The :func:`sums_of` the batch, (3,), and the norm of the gradient before clipping.

    Raises:
        NotFiniteError: loss or gradient is not finite. Nothing was moved; the message begins with ``where``.
    """
    B = sum(len(shard.y) for shard in batch)
    seeds = model.rng.integers(2**63, size=len(batch))  # (shards,), for dropout

    def work(shard: Shard, seed: int) -> tuple[Array, dict[str, Any]]:
        x, lengths, y = shard
        p, caches = model.forward(x, lengths, train=True, rng=np.random.default_rng(seed))  # p (B, K)
        dp = loss.backward(p, y) * y.dtype.type(len(y) / B)  # the loss is a mean over the batch, (B, K)
        return sums_of(loss, p, y), model.backward(dp, caches)

    done = list(each(work, batch, seeds))
    sums = add_up([part for part, _ in done])  # (3,)
    grads = {name: add_up([grads[name] for _, grads in done]) for name in model.params}
    norm = global_norm(grads.values())
    if not math.isfinite(sums[1] + norm):
        raise NotFiniteError(f"{where}: {explain(model, loss, batch, seeds, grads)}")
    optimizer.step(model.params, grads, norm)
    return sums, norm


def sums_of(loss: Loss, p: Array, y: Array) -> Array:
    """For predictions p (B, K) and truth y (B, K): how many, the sum of their losses, and how many are right, (3,)."""
    return len(p) * np.array([1.0, float(loss.forward(p, y)), loss.accuracy(p, y)])  # (3,)


def means(sums: Array, model: Sequential) -> dict[str, float]:
    """Turn sums (3,), over any number of batches, into loss, and accuracy if it was asked for, a sample."""
    _, loss, accuracy = (sums / sums[0]).tolist()
    return {"loss": loss, "accuracy": accuracy} if model.metrics else {"loss": loss}


def predict(model: Sequential, x: Any, batch_size: int = 32, verbose: int = 1) -> Array:
    """Compute the model's outputs (N, K) for samples x, in their order.

    ``verbose=1`` shows a bar where it takes longer than a second. For errors see :class:`minilstm.tools.door.Rows`.
    """
    check_positive("predict", batch_size=batch_size)
    data = Rows(model, x)
    if data.array is None and None in model.shapes[-1]:
        raise ValueError(
            "predict: the output has a time axis, on which texts differ in length; "
            "make x one array with pad_sequences, or end the model with an LSTM without return_sequences"
        )
    parts = list(outputs(model, data, batch_size, "predict", verbose))
    order, p = (np.concatenate(part) for part in zip(*parts, strict=True))  # (N,), (N, K), shortest first
    y = np.empty_like(p)  # (N, K)
    y[order] = p
    return y


def evaluate(model: Sequential, x: Any, y: Any, batch_size: int = 32, verbose: int = 1) -> list[float]:
    """Compute ``[loss]``, or ``[loss, accuracy]`` if compiled with that metric, over samples x with labels y.

    It is always a list, while Keras gives a lone loss without one. ``verbose=1`` shows a bar where it takes longer than
    a second. For errors see :func:`fit`.
    """
    check_positive("evaluate", batch_size=batch_size)
    loss, _ = check_compiled(model)
    data = Rows(model, x)
    y = check_labels(model, loss, y, len(data))
    return list(means(score(model, loss, data, y, batch_size, verbose), model).values())


def score(model: Sequential, loss: Loss, data: Rows, y: Array, batch_size: int, verbose: int) -> Array:
    """Compute :func:`sums_of` all of ``data``, of which y (N, K) is the truth."""
    return add_up([sums_of(loss, p, y[rows]) for rows, p in outputs(model, data, batch_size, "evaluate", verbose)])


def outputs(model: Sequential, data: Rows, batch_size: int, title: str, verbose: int) -> Iterator[tuple[Array, Array]]:
    """Yield row numbers (B,) and the model's outputs for them (B, K), a batch at a time, shortest first."""
    hidden = None if verbose else True  # None: hidden where nobody looks at a terminal
    bar = tqdm(total=len(data), desc=title, unit=" reviews", leave=False, delay=1, disable=hidden)
    with threads() as each, bar:
        for rows in batches(data.lengths, int(batch_size)):
            parts = shards(data.lengths, rows)
            yield from zip(parts, each(lambda part: model.forward(*data.batch(part))[0], parts), strict=True)
            bar.update(len(rows))
