"""Checks and converts what the user gave ``fit``, ``predict`` or ``evaluate``: samples, labels, validation data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array, Lengths, Shape
from minilstm.data.batching import pad_batch
from minilstm.layers import Embedding
from minilstm.layers.base import Layer
from minilstm.losses import CategoricalCrossentropy, Loss
from minilstm.tools.convert import as_array, as_finite, as_sequence
from minilstm.tools.validate import check_number, check_settings, check_tokens


class Samples:
    """The samples that the user gave, checked: ragged token ids, or an array with one row per sample.

    A list of texts as token ids is kept as one long array, ``tokens``; text n is
    ``tokens[starts[n] : starts[n] + lengths[n]]``.

    Args:
        layers: the first layer determines what a sample is: token ids for an Embedding, numbers otherwise.
        dtype: the dtype of the model.
        x: a list of 1-D integer arrays or lists (ragged), or an integer array (N, T); without an Embedding, a
            float array (N, D) or (N, T, D).
        metadata: that of the model. A warning is issued if it was trained on padded texts and x is not, or vice versa.

    Attributes:
        padding: what ``fit`` adds to the metadata: ``{"padded_to": T}`` for texts padded to T tokens, with T = 0 for
            texts without padding; empty where the model reads both alike, or it cannot be seen.

    Raises:
        TypeError: ``x`` holds strings or numbers of another kind, or is a sparse matrix.
        ValueError: ``x`` has no samples or the wrong number of axes, or holds NaN or a token outside the vocabulary.
    """

    def __init__(
        self, layers: Sequence[Layer], dtype: np.dtype[Any], x: Any, metadata: Mapping[str, Any] | None = None
    ) -> None:
        if not layers:
            raise ValueError("the model has no layers; add one, such as model.add(Embedding(1000, 50))")
        x = as_sequence("x", x)
        if len(x) == 0:
            raise ValueError("x is empty, expected at least one sample")
        first = layers[0]
        self.array: Array | None = None
        if not isinstance(first, Embedding):
            self._take_numbers(dtype, as_array("x", x))
        elif isinstance(x, np.ndarray) and x.dtype != object:
            self._take_tokens(first, x)
        else:
            self._take_texts(first, x)
        self.padding = self._find_padding(first)
        self._compare_padding((metadata or {}).get("padded_to"))

    def _find_padding(self, first: Layer) -> dict[str, int]:
        if not isinstance(first, Embedding) or first.mask_zero or first.build_length is not None:
            return {}
        array, T = self.array, int(self.lengths[0])
        if array is None and (self.lengths == T).all():
            array = self.tokens.reshape(len(self.lengths), T)  # (N, T), which may be a list of padded rows
        if array is not None and T > 1 and (~array[:, :2].any(axis=1) | ~array[:, -2:].any(axis=1)).any():
            return {"padded_to": T}  # two zeros at an end, where one might be a word
        return {} if self.array is not None else {"padded_to": 0}

    def _compare_padding(self, trained: Any) -> None:
        padded = self.padding.get("padded_to")
        if not isinstance(trained, int) or padded is None or bool(trained) == bool(padded):
            return
        if trained:
            wrong = f"arrays padded to {trained} tokens, but x has no padding; pad it alike, as pad_sequences does"
        else:
            wrong = f"texts without padding, but x is padded to {padded} tokens; leave out pad_sequences"
        warnings.warn(f"the model was trained on {wrong}: it reads padding as words", stacklevel=4)

    def _take_numbers(self, dtype: np.dtype[Any], array: Array) -> None:
        if array.dtype.kind not in "fiub":
            raise TypeError(f"x is {array.dtype}, expected numbers; for token ids, begin the model with an Embedding")
        if array.ndim not in (2, 3):
            raise ValueError(f"x has shape {array.shape}, expected (N, D) or (N, T, D)")
        steps = 1 if array.ndim == 2 else array.shape[1]
        self.array, self.lengths = as_finite("x", array, dtype), np.full(len(array), steps)
        self.shape_in: Shape = array.shape[1:]

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
        self._fix_length(embedding)

    def _take_texts(self, embedding: Embedding, x: Sequence[Any]) -> None:
        texts = []
        for n, row in enumerate(x):
            text = as_array(f"x[{n}]", [row] if isinstance(row, str) else row)
            if text.ndim != 1:
                raise ValueError(f"x[{n}] has shape {text.shape}, expected a 1-D array or list of token ids")
            if not text.size:
                text = np.zeros(0, np.int64)  # (0,), since NumPy makes floats of an empty list
            if text.dtype.kind not in "iu":
                raise TypeError(
                    f"x[{n}] holds {text.dtype}, expected token ids (integers from 0 to "
                    f"{embedding.input_dim - 1}); turn texts into ids with Tokenizer.texts_to_sequences"
                )
            if text.dtype != np.int64:  # converting a large uint64 to int64 would change it
                check_tokens(text, embedding.input_dim)
            texts.append((text[text != 0] if embedding.mask_zero else text).astype(np.int64))
        self.tokens = np.concatenate(texts)  # (sum of lengths,)
        check_tokens(self.tokens, embedding.input_dim)
        self.lengths = np.array([len(text) for text in texts])  # (N,)
        self.starts = np.cumsum(self.lengths) - self.lengths  # (N,)
        self._fix_length(embedding)

    def _fix_length(self, embedding: Embedding) -> None:
        T = embedding.build_length
        self.shape_in = (T,)
        if T is not None and (self.lengths != T).any():
            wrong = self.lengths[self.lengths != T][0]
            raise ValueError(
                f"x holds a text of {wrong} tokens, but Embedding has input_length={T}; "
                f"use pad_sequences(x, maxlen={T}), or leave input_length out"
            )

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.lengths)

    def batch(self, rows: Array) -> tuple[Array, Lengths]:
        """Make a batch of some samples: an array (B, T) or (B, ...), and their lengths (B,) if they were ragged."""
        if self.array is not None:
            return self.array[rows], None
        return pad_batch([self.tokens[self.starts[n] : self.starts[n] + self.lengths[n]] for n in rows])


def check_labels(shape_out: Shape, dtype: np.dtype[Any], loss: Loss, y: Any, N: int) -> Array:
    """Convert labels to an array of the model's dtype and of the shape of its output, (N, ``*shape_out``).

    Raises:
        TypeError: the labels are not numbers.
        ValueError: a wrong number of labels or columns, a NaN, or a class other than 0 and 1.
    """
    y = as_array("y", y)
    if y.dtype.kind not in "fiub":
        remedy = "y.astype(int)"
        for n, label in enumerate(y.ravel()):
            if label is None or str(label) in ("nan", "<NA>", "NaT"):
                raise ValueError(f"y[{n}] is missing, {label!r}; leave the sample out")
            if isinstance(label, str):
                remedy = f"a number for each label, such as [int(label == {str(label)!r:.40}) for label in y]"
        raise TypeError(f"y is {y.dtype}, expected numbers: 1 for positive, 0 for negative; write {remedy}")
    shape = (N, *shape_out)
    if y.ndim == 1 and shape[1:] == (1,):
        y = y[:, None]  # (N, 1)
    if y.ndim == 1 and len(shape) == 2 and isinstance(loss, CategoricalCrossentropy):
        y = one_hot(y, shape_out[0] or 0)  # (N, K)
    if y.ndim and len(y) != N:
        raise ValueError(f"y has {len(y)} labels, but x has {N} samples; expected one label for each")
    if y.shape != shape:
        raise ValueError(f"y has shape {y.shape}, expected {shape}, as the last layer's output")
    y = as_finite("y", y, dtype)
    loss.check(y)
    return y


def one_hot(y: Array, K: int) -> Array:
    """Turn class numbers y (N,) into rows (N, K) that are 1 at the class and 0 elsewhere."""
    if y.size and (y.min() < 0 or y.max() >= K or (y != np.floor(y)).any()):
        raise ValueError(f"y ranges from {y.min()} to {y.max()}, expected class numbers: integers from 0 to {K - 1}")
    rows = np.zeros((len(y), K))  # (N, K)
    rows[np.arange(len(y)), y.astype(np.int64)] = 1
    return rows


def split_off(x: Any, y: Any, fraction: float) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Split off the last ``fraction`` of samples and labels, as Keras's ``validation_split`` does.

    Raises:
        ValueError: ``fraction`` is outside [0, 1), or one part would have no samples.
    """
    check_number("validation_split", fraction, 0, 1, inclusive=True)
    x, y = as_sequence("x", x), as_sequence("y", y)
    if len(x) != len(y):
        raise ValueError(f"y has {len(y)} labels, but x has {len(x)} samples; expected one label for each")
    cut = int(len(x) * (1 - fraction))
    if not 0 < cut < len(x):
        raise ValueError(f"validation_split={fraction} leaves one part of {len(x)} samples empty; take more samples")
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def take(model: Any, loss: Loss, x: Any, y: Any) -> tuple[Samples, Array]:
    """Take samples x and labels y from the user, and build the model for them if it is not built yet."""
    data = Samples(model.layers, model.dtype, x, model.metadata)
    model.build(data.shape_in)
    return data, check_labels(model.shapes[-1], model.dtype, loss, y, len(data))


def take_both(
    model: Any, loss: Loss, x: Any, y: Any, validation_split: float, validation_data: Any
) -> tuple[tuple[Samples, Array], tuple[Samples, Array] | None]:
    """Take the training data and, where there is any, the validation data, which may be the end of x and y."""
    if validation_data is None and validation_split:
        (x, y), validation_data = split_off(x, y, validation_split)
    training = take(model, loss, x, y)
    return training, None if validation_data is None else take_validation(model, loss, validation_data)


def take_validation(model: Any, loss: Loss, validation_data: Any) -> tuple[Samples, Array]:
    """Check ``validation_data``, a pair (x, y), like the training data; errors say that they are about it."""
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        count = f" of {len(validation_data)}" if isinstance(validation_data, (tuple, list)) else ""
        remedy = "; weights of samples are not supported, leave them out" if count == " of 3" else ""
        raise TypeError(f"validation_data must be a pair (x, y), got {type(validation_data).__name__}{count}{remedy}")
    try:
        return take(model, loss, *validation_data)
    except (ValueError, TypeError) as error:
        raise type(error)(f"validation_data: {error}") from error


def check_compiled(model: Any) -> tuple[Any, Any]:
    """Return the loss and the optimiser of a model; raise unless it has them, with valid settings and names."""
    if model.loss is None or model.optimizer is None:
        raise ValueError("the model has no loss yet; call model.compile(loss='binary_crossentropy', ...) first")
    check_settings(vars(model.optimizer))  # anybody may have changed them since
    if len({layer.name for layer in model.layers}) < len(model.layers):
        raise ValueError("two layers have the same name; set layer.name of one of them to another")
    return model.loss, model.optimizer


def check_stackable(array: Any, shape_out: Sequence[Any]) -> None:
    """Raise a ValueError where samples are lists, ``array`` None, and the output has a time axis of no fixed length."""
    if array is None and None in shape_out:
        remedy = "make x one array with pad_sequences, or end the model with an LSTM without return_sequences"
        raise ValueError(f"predict: the output has a time axis, on which texts differ in length; {remedy}")
