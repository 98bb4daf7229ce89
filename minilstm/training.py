"""fit, evaluate and predict: from a list of reviews to batches, from batches to steps.

A step of training, for one batch::

    p, caches = model.forward(x, lengths, train=True, rng=rng)
    L = loss.forward(p, y)                     how wrong
    dp = loss.backward(p, y)                   which way less wrong, seen from the output
    grads = model.backward(dp, caches)         and seen from every weight
    optimizer.step(model.params, grads)

**Batches by length.** A batch is padded to its longest review, and every padded step is wasted. So reviews of
similar length go into a batch together: shuffle all, sort within pools of 50 batches, shuffle the batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from minilstm.callbacks import CallbackList, History, Progress
from minilstm.layer import Array, Lengths, Shape, check_positive
from minilstm.layers import Embedding
from minilstm.layers.embedding import check_tokens

if TYPE_CHECKING:
    from minilstm.model import Sequential

POOL = 50  # batches sorted by length together: more saves padding, fewer mixes better


class Rows:
    """Samples as they came in at the door, checked: ragged token ids, or an array with one row a sample.

    A list of texts as token ids is kept as one long array, ``tokens``, of which row n is
    ``tokens[starts[n] : starts[n] + lengths[n]]``.

    Args:
        model: whose first layer says what a sample is: token ids before an Embedding, numbers otherwise.
        x: a list of 1-D integer arrays or lists (ragged), or an integer array (N, T); without an Embedding, a
            float array (N, D) or (N, T, D).

    Raises:
        TypeError: strings, or numbers of another kind.
        ValueError: no samples, wrong number of axes, a token outside the vocabulary, a NaN.
    """

    def __init__(self, model: Sequential, x: Any) -> None:
        if not model.layers:
            raise ValueError("the model has no layers; add one, such as model.add(Embedding(1000, 50))")
        if isinstance(x, str) or not hasattr(x, "__len__"):
            raise TypeError(f"x is a {type(x).__name__}, expected a list of lists of token ids, or an array")
        if len(x) == 0:
            raise ValueError("x is empty, expected at least one sample")
        first = model.layers[0]
        self.array: Array | None = None
        if not isinstance(first, Embedding):
            self._take_numbers(model, x)
        elif isinstance(x, np.ndarray) and x.dtype != object:
            self._take_tokens(first, x)
        else:
            self._take_texts(first, x)
        model.build(self.d_in)

    def _take_numbers(self, model: Sequential, x: Any) -> None:
        array = np.asarray(x)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"x is {array.dtype}, expected numbers; for token ids, begin the model with an Embedding")
        if array.ndim not in (2, 3):
            raise ValueError(f"x has shape {array.shape}, expected (N, D) or (N, T, D)")
        if not np.isfinite(array).all():
            raise ValueError("x holds NaN or infinity, expected finite numbers; see np.isfinite(x)")
        self.array, self.lengths = array.astype(model.dtype), np.full(len(array), array.shape[1])
        self.d_in: Shape = array.shape[1:] if array.ndim == 2 else (None, array.shape[2])

    def _take_tokens(self, embedding: Embedding, x: Array) -> None:
        if x.dtype.kind not in "iu":
            raise TypeError(f"x is {x.dtype}, expected token ids: an integer array (N, T); see Tokenizer")
        if x.ndim != 2:
            raise ValueError(f"x has shape {x.shape}, expected (N, T), or a list of 1-D arrays")
        if embedding.mask_zero:
            self._take_texts(embedding, list(x))
            return
        check_tokens(x, embedding.input_dim)
        self.array, self.lengths = x, np.full(len(x), x.shape[1])
        self.d_in = (embedding.input_length,)

    def _take_texts(self, embedding: Embedding, x: Sequence[Any]) -> None:
        texts = []
        for n, row in enumerate(x):
            text = np.asarray(row) if not isinstance(row, str) else np.asarray([row])
            if text.size and text.dtype.kind not in "iu":
                raise TypeError(
                    f"x[{n}] holds {text.dtype}, expected token ids (whole numbers); "
                    "turn texts into ids with Tokenizer.texts_to_sequences"
                )
            if text.ndim != 1:
                raise ValueError(f"x[{n}] has shape {text.shape}, expected a 1-D array or list of token ids")
            texts.append((text[text != 0] if embedding.mask_zero else text).astype(np.int64))
        self.tokens = np.concatenate(texts)  # (sum of lengths,)
        self.lengths = np.array([len(text) for text in texts])  # (N,)
        self.starts = np.cumsum(self.lengths) - self.lengths  # (N,)
        check_tokens(self.tokens, embedding.input_dim)
        self.d_in = (embedding.input_length,)

    def __len__(self) -> int:
        """How many samples."""
        return len(self.lengths)

    def batch(self, rows: Array) -> tuple[Array, Lengths]:
        """Put some rows together: x (B, T), padded on the right with 0, and their lengths (B,)."""
        if self.array is not None:
            return self.array[rows], None
        lengths = self.lengths[rows]  # (B,)
        x = np.zeros((len(rows), max(1, lengths.max())), np.int64)  # (B, T)
        for b, n in enumerate(rows):
            x[b, : lengths[b]] = self.tokens[self.starts[n] : self.starts[n] + lengths[b]]
        return x, lengths


def check_labels(model: Sequential, y: Any, N: int) -> Array:
    """Give the labels as an array (N, K) of the model's dtype.

    Raises:
        TypeError: no numbers.
        ValueError: a wrong number of labels or columns, a NaN, or a class other than 0 and 1.
    """
    y = np.asarray(y)
    if y.dtype.kind not in "fiub":
        raise TypeError(f"y is {y.dtype}, expected numbers: 1 for positive, 0 for negative")
    shape = (N, *model.shapes[-1])
    if y.ndim == 1 and shape[1:] == (1,):
        y = y[:, None]  # (N, 1)
    if len(y) != N:
        raise ValueError(f"y has {len(y)} labels, but x has {N} samples; expected one label for each")
    if y.shape != shape:
        raise ValueError(f"y has shape {y.shape}, expected {shape}, as the last layer's output")
    if not np.isfinite(y).all():
        raise ValueError("y holds NaN or infinity, expected finite numbers; see np.isfinite(y)")
    loss, _ = check_compiled(model)
    loss.check(y)
    return y.astype(model.dtype)


def check_compiled(model: Sequential) -> tuple[Any, Any]:
    """Return loss and optimiser, or raise a ValueError where the model has none."""
    if model.loss is None:
        raise ValueError("the model has no loss yet; call model.compile(loss='binary_crossentropy', ...) first")
    return model.loss, model.optimizer


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
        x: a list of texts as token ids of any length, or an array; see :class:`Rows`.
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
        TypeError: see :class:`Rows` and :func:`check_labels`.
        ValueError: likewise; also a model that is not compiled.
    """
    loss, optimizer = check_compiled(model)
    check_positive("fit", batch_size=batch_size, epochs=epochs)
    if not 0 <= validation_split < 1:
        raise ValueError(f"validation_split is {validation_split}, expected 0 <= validation_split < 1")
    if validation_split and validation_data is None:
        cut = round(len(x) * (1 - validation_split))
        x, y, validation_data = x[:cut], y[:cut], (x[cut:], y[cut:])
    data = Rows(model, x)
    y = check_labels(model, y, len(data))
    if validation_data is not None:
        held_out = Rows(model, validation_data[0])
        held_out_y = check_labels(model, validation_data[1], len(held_out))
    model.history = History()
    shown = [Progress(verbose)] if verbose else []
    steps = -(-len(data) // batch_size)
    params = {"epochs": epochs, "steps": steps, "reviews": len(data), "verbose": verbose}
    call = CallbackList([model.history, *(callbacks or []), *shown], model, params)
    model.stop_training = False
    call("on_train_begin", {})
    logs: dict[str, float] = {}
    for epoch in range(epochs):
        call("on_epoch_begin", epoch, {})
        totals = Totals(model)
        if shuffle:
            order = batches(data.lengths, batch_size, model.rng)
        else:
            order = iter(np.split(np.arange(len(data)), range(batch_size, len(data), batch_size)))
        for batch, rows in enumerate(order):
            call("on_train_batch_begin", batch, {})
            p = train_step(model, loss, optimizer, *data.batch(rows), y[rows])
            totals.add(p, y[rows])
            call("on_train_batch_end", batch, {**totals.means(), "reviews": totals.count})
        logs = totals.means()
        if validation_data is not None:
            held = _evaluate(model, held_out, held_out_y, batch_size, 0)
            logs |= {f"val_{name}": number for name, number in held.items()}
        call("on_epoch_end", epoch, logs)
        if model.stop_training:
            break
    call("on_train_end", logs)
    return model.history


def train_step(model: Sequential, loss: Any, optimizer: Any, x: Array, lengths: Lengths, y: Array) -> Array:
    """Make one step of training, as at the head of this file; return the predictions p made before it."""
    p, caches = model.forward(x, lengths, train=True, rng=model.rng)  # p (B, K)
    grads = model.backward(loss.backward(p, y), caches)
    optimizer.step(model.params, grads)
    return p


class Totals:
    """Sums over batches that become the means of an epoch."""

    def __init__(self, model: Sequential) -> None:
        self.loss, _ = check_compiled(model)
        self.metrics = model.metrics
        self.count, self.sums = 0, np.zeros(2)

    def add(self, p: Array, y: Array) -> None:
        """Count the batch with predictions p (B, K)."""
        self.count += len(p)
        self.sums += len(p) * np.array([float(self.loss.forward(p, y)), self.loss.accuracy(p, y)])

    def means(self) -> dict[str, float]:
        """Loss, and accuracy if it was asked for, a sample."""
        loss, accuracy = (self.sums / self.count).tolist()
        return {"loss": loss, "accuracy": accuracy} if self.metrics else {"loss": loss}


def predict(model: Sequential, x: Any, batch_size: int = 32, verbose: int = 1) -> Array:
    """Compute the model's outputs (N, K) for samples x, in their order.

    ``verbose=1`` shows a bar where it takes longer than a second. For errors see :class:`Rows`.
    """
    check_positive("predict", batch_size=batch_size)
    data = Rows(model, x)
    if data.array is None and None in model.shapes[-1]:
        raise ValueError(
            "predict: the output has a time axis, on which texts differ in length; "
            "make x one array with pad_sequences, or end the model with an LSTM without return_sequences"
        )
    y = np.empty(0, model.dtype)
    with tqdm(total=len(data), desc="predict", leave=False, delay=1, disable=None if verbose else True) as bar:
        for rows in batches(data.lengths, batch_size):
            p, _ = model.forward(*data.batch(rows))
            if not y.size:
                y = np.empty((len(data), *p.shape[1:]), model.dtype)  # (N, K)
            y[rows] = p
            bar.update(len(rows))
    return y


def evaluate(model: Sequential, x: Any, y: Any, batch_size: int = 32, verbose: int = 1) -> list[float]:
    """Compute ``[loss]``, or ``[loss, accuracy]`` if compiled with that metric, over samples x with labels y.

    ``verbose=1`` shows a bar where it takes longer than a second. For errors see :func:`fit`.
    """
    check_positive("evaluate", batch_size=batch_size)
    check_compiled(model)
    data = Rows(model, x)
    return list(_evaluate(model, data, check_labels(model, y, len(data)), batch_size, verbose).values())


def _evaluate(model: Sequential, data: Rows, y: Array, batch_size: int, verbose: int) -> dict[str, float]:
    totals = Totals(model)
    with tqdm(total=len(data), desc="evaluate", leave=False, delay=1, disable=None if verbose else True) as bar:
        for rows in batches(data.lengths, batch_size):
            p, _ = model.forward(*data.batch(rows))
            totals.add(p, y[rows])
            bar.update(len(rows))
    return totals.means()
