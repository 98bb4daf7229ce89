"""A classifier of texts: what it needs from a model file, its predictions, and how they are printed.

It is a model with a tokenizer and the metadata "labels", one for each output, and "maxlen", the number of words that it
reads of a text, the last ones.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.data.text import pad_sequences
from minilstm.model import Sequential

BATCH = 128  # texts in a batch of predictions


def load_classifier(path: str) -> tuple[Sequential, list[str]]:
    """Load a model that ``train`` saved, or a similar one, and its labels."""
    model = Sequential.load(path)
    labels: Any = model.metadata.get("labels")
    maxlen = model.metadata.get("maxlen")
    named = isinstance(labels, list) and len(labels) >= 2 and all(isinstance(label, str) for label in labels)
    if not named or not isinstance(maxlen, int) or maxlen < 1 or model.tokenizer is None:
        raise ValueError(
            f"{path} holds a model but lacks a tokenizer or metadata such as {{'labels': ['no', 'yes'], "
            "'maxlen': 300}; expected a model as 'train' saves it"
        )
    shape, K = model.shapes[-1:], len(labels)
    if shape == [(1,)] and getattr(model.layers[-1], "activation", None) == "softmax":
        raise ValueError(f'{path}: Dense(1, "softmax") gives 1.0 for every text; retrain it with Dense(1, "sigmoid")')
    if shape != [(K,)] and not (K == 2 and shape == [(1,)]):
        raise ValueError(f"{path}: the output of the model has shape {shape}, which does not fit {K} labels")
    return model, labels


def encode(model: Sequential, texts: Sequence[str]) -> Any:
    """Turn N texts into the ids of their last known words; pad them if the model needs a fixed length."""
    assert model.tokenizer is not None
    maxlen = model.metadata["maxlen"]
    ids = [sequence[-maxlen:] for sequence in model.tokenizer.texts_to_sequences(texts)]
    return ids if model.shapes[0] == (None,) else pad_sequences(ids, maxlen)  # (N, maxlen)


def probabilities(model: Sequential, x: Any) -> Array:
    """Compute the probability of each label, (N, K), for texts as ``encode`` gives them."""
    p = model.predict(x, batch_size=BATCH).astype(np.float64)  # (N, K) or (N, 1)
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])  # (N, 2)
    if not (p.min() >= 0 and np.abs(p.sum(axis=1) - 1).max() < 1e-3):  # both are false for NaN
        raise ValueError("the model's outputs are not probabilities; retrain it with a smaller --learning-rate")
    return p


def print_json(thing: dict[str, Any]) -> None:
    """Print an object on a line, with escapes if the terminal cannot show a character, or would obey it."""
    utf8 = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    text = json.dumps(thing, ensure_ascii=False)
    print(text if utf8 and text.isprintable() else json.dumps(thing), flush=True)


def printable(text: str) -> str:
    """Escape what is not printable, so that a label out of a file cannot send commands to the terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells in aligned columns; Chinese, Japanese and Korean characters are two columns wide."""
    rows = [list(map(printable, row)) for row in rows]
    sizes = [[len(cell) + sum(unicodedata.east_asian_width(c) in "WF" for c in cell) for cell in row] for row in rows]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    for row, size in zip(rows, sizes, strict=True):
        cells = (cell + " " * (width - n) for cell, width, n in zip(row, widths, size, strict=True))
        print("  ".join(cells).rstrip())
