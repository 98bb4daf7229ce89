"""A classifier in the form to be explained: float64 copies of its layers, without the last nonlinearity.

What is explained is the **logit**, the number that the last sigmoid or softmax turns into a probability. Where a
probability is close to 0 or 1, its gradient vanishes and hides which words count; that of the logit does not.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm.activations import get_activation
from minilstm.arrays import Array, Lengths
from minilstm.data.batching import pad_batch
from minilstm.data.text import Tokenizer
from minilstm.keras.sequences import pad_sequences
from minilstm.layers import Activation, Dense, Dropout, Embedding
from minilstm.layers.lstm import LSTM, LSTMCache
from minilstm.model import Sequential
from minilstm.runs.saving import TOKENIZERS, call
from minilstm.tools.validate import check_positive
from minilstm.training import forward

STEPS = 1 << 13  # of all texts that are run at once, so that their caches need little memory


class Word(NamedTuple):
    """A word of a text, as the tokenizer splits it."""

    text: str
    known: bool  # whether it is in the vocabulary
    position: int | None  # of its id among those that the model reads; None where it is left out or cut off


class Reader:
    """Reads texts with the layers of a model, as they are written: never with their fast twins.

    Args:
        model: begins with an Embedding, has a tokenizer, and gives one logit, or one for each class. Its metadata may
            have "labels", and "maxlen": the model reads only that many words of a text, the last ones.

    Attributes:
        layers: float64 copies of the layers, without the last nonlinearity.
        labels: those of the classes; two if there is one logit, which is that of the second class.
        maxlen: the number of ids that the model reads, the last ones, or None for all.
        padded: whether shorter texts are padded to ``maxlen``, with zeros before the text.
    """

    def __init__(self, model: Any) -> None:
        self.tokenizer, self.layers = check(model), copy.deepcopy(model.layers)
        for layer in self.layers:
            layer.params = {name: p.astype(np.float64) for name, p in layer.params.items()}
        last, self.phi = self.layers[-1], get_activation(None)
        if isinstance(last, Dense):
            self.phi, last.activation = get_activation(last.activation), None
        elif isinstance(last, Activation):
            self.phi, self.layers = get_activation(last.activation), self.layers[:-1]
        K, T = model.shapes[-1][0], model.shapes[0][0]
        labels = model.metadata.get("labels")
        fits = isinstance(labels, list) and len(labels) == max(K, 2) and all(isinstance(label, str) for label in labels)
        self.labels: list[str] = labels if fits else [str(k) for k in range(max(K, 2))]
        self.padded = T is not None
        self.maxlen: int | None = T or model.metadata.get("maxlen")
        check_positive("model.metadata", **({} if self.maxlen is None else {"maxlen": self.maxlen}))

    def split(self, text: str) -> tuple[list[Word], Array]:
        """Split a text into its words, and collect the ids (N,) that the model reads."""
        settings = call(self.tokenizer, TOKENIZERS)["arguments"] | {"num_words": None, "oov_token": None}
        every = Tokenizer(**settings)
        every.fit_on_texts([text])
        words = [every.index_word[n] for n in every.texts_to_sequences([text])[0]]
        limit, index = self.tokenizer.num_words or np.inf, self.tokenizer.word_index
        unknown = [index[self.tokenizer.oov_token]] if self.tokenizer.oov_token is not None else []
        found = [[index[word]] if index.get(word, np.inf) < limit else unknown for word in words]
        ids = np.array([n for one in found for n in one], np.int64)  # all of them
        first = max(0, len(ids) - self.maxlen) if self.maxlen else 0
        ends = np.cumsum([len(one) for one in found]).tolist()
        positions = [end - 1 - first if one and end > first else None for one, end in zip(found, ends, strict=True)]
        known = [index.get(word, np.inf) < limit and word != self.tokenizer.oov_token for word in words]
        return [Word(*fields) for fields in zip(words, known, positions, strict=True)], ids[first:]

    def batch(self, texts: Sequence[Array]) -> tuple[Array, Lengths]:
        """Put texts, as arrays of ids, into one array x (B, T); give their lengths (B,), None where all are full."""
        return (pad_sequences([*map(list, texts)], self.maxlen, "int64"), None) if self.padded else pad_batch(texts)

    def logits(self, texts: Sequence[Array]) -> Array:
        """Compute the logits (N, K) of texts, given as arrays of ids."""
        longest = self.maxlen if self.padded else max(map(len, texts))
        size = max(1, STEPS // max(1, longest or 1))
        parts = [texts[n : n + size] for n in range(0, len(texts), size)]
        return np.concatenate([forward(self.layers, *self.batch(part))[0] for part in parts])  # (N, K)

    def running_logits(self, ids: Array, caches: Sequence[Any]) -> Array:
        """Compute the logits (N+1, K) after each of the N words, and before the first.

        They are those of the model run on each beginning of the text. Where the layers read forwards only, a single
        run has all of them: the states h_t of the last LSTM, passed through the layers above it.
        """
        lstms = [n for n, cache in enumerate(caches) if isinstance(cache, LSTMCache)]
        if self.padded or not lstms or not all(map(reads_forwards, self.layers)):
            return self.logits([ids[:n] for n in range(len(ids) + 1)])
        h = caches[lstms[-1]].h[: len(ids) + 1, 0]  # (N+1, H)
        return forward(self.layers[lstms[-1] + 1 :], h)[0]  # (N+1, K)

    def probabilities(self, logits: Array) -> Array:
        """Turn logits (N, K) into what the model returns (N, K), a probability if its last layer gives one."""
        return self.phi.forward(logits)


def reads_forwards(layer: Any) -> bool:
    """Tell whether the layer's output at a step depends on this step and those before it alone."""
    if type(layer) is LSTM:
        return not layer.go_backwards
    return type(layer) in (Embedding, Dense, Dropout, Activation)


def check(model: Any) -> Tokenizer:
    """Return the model's tokenizer; raise a TypeError or ValueError where the model cannot be explained."""
    if not isinstance(model, Sequential):
        raise TypeError(f"model must be a Sequential, got {type(model).__name__}; load one with Sequential.load(path)")
    if not model.layers or not isinstance(model.layers[0], Embedding):
        first = repr(model.layers[0]) if model.layers else "no layer"
        raise ValueError(f"model begins with {first}, expected an Embedding, whose vectors are those of words")
    if not isinstance(model.tokenizer, Tokenizer):
        got = type(model.tokenizer).__name__
        raise ValueError(
            f"model.tokenizer is of type {got}, expected a Tokenizer; set model.tokenizer to the fitted one"
        )
    if len(model.shapes[-1]) != 1 or any(getattr(layer, "return_state", False) for layer in model.layers):
        raise ValueError(f"model gives {model.shapes[-1]} for each text, expected (K,), one logit for each class")
    if any(not np.isfinite(p).all() for p in model.params.values()):
        bad = next(name for name, p in model.params.items() if not np.isfinite(p).all())
        raise ValueError(f"{bad} holds NaN or infinity, expected finite weights; retrain the model")
    return model.tokenizer


def untrained(model: Sequential, seed: int = 0) -> Sequential:
    """Copy a model and draw its weights again: a map that looks the same on this copy says nothing about learning."""
    new = copy.deepcopy(model)
    rng = np.random.default_rng(seed)
    for layer, shape in zip(new.layers, new.shapes, strict=False):
        layer.build(shape, rng, new.dtype)
    return new
