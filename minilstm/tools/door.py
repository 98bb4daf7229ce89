"""The door of ``fit``, ``predict`` and ``evaluate``: what the user gave becomes batches, or a clear error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minilstm.layer import Array, Lengths, Shape
from minilstm.layers import Embedding
from minilstm.layers.embedding import check_tokens
from minilstm.losses import Loss

if TYPE_CHECKING:
    from minilstm.model import Sequential


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
        self._fix_length(embedding)

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
        self._fix_length(embedding)

    def _fix_length(self, embedding: Embedding) -> None:
        T = embedding.build_length
        self.d_in = (T,)
        if T is not None and (self.lengths != T).any():
            wrong = self.lengths[self.lengths != T][0]
            raise ValueError(
                f"x holds a text of {wrong} tokens, but Embedding has input_length={T}; "
                f"use pad_sequences(x, maxlen={T}), or leave input_length out"
            )

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


def check_labels(model: Sequential, loss: Loss, y: Any, N: int) -> Array:
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
    loss.check(y)
    return y.astype(model.dtype)


def split_off(x: Any, y: Any, share: float) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Split samples and labels in two: all but the last ``share``, and the rest, as Keras's ``validation_split``.

    Raises:
        ValueError: ``share`` outside [0, 1), or one part without a sample.
    """
    if not 0 <= share < 1:
        raise ValueError(f"validation_split is {share}, expected 0 <= validation_split < 1")
    cut = int(len(x) * (1 - share))
    if not 0 < cut < len(x):
        raise ValueError(f"validation_split={share} leaves one part of {len(x)} samples empty; take more samples")
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])
