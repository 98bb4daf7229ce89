"""Measure how often each attribution finds the word that decides.

Each review of the built-in corpus gets one of two words that do not exist, "florp" or "blick", at a random place, and
this word alone determines the label. A model that is right for all reviews has to use it. So an attribution that does
not give it the largest number is wrong there. The table says how often each one finds it, in which part of the text,
and how often by chance, with untrained weights.

Expect the table in experiments/README.md, after about 20 min.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from runs import MODELS
from threadpoolctl import threadpool_limits

from minilstm import OneCycle, Sequential, Tokenizer, pad_sequences
from minilstm.arrays import Array
from minilstm.data import load_builtin
from minilstm.explain import trace
from minilstm.tools.cli import Parser, number

EXAMPLES = """\
examples:
  python experiments/attributions.py                 all five models, 500 reviews
  python experiments/attributions.py --texts 50      a trial run of 2 min
"""

WORDS = ("florp", "blick")  # of label 0 and of label 1
PARTS = ("first third", "second third", "last third")
SETTINGS = {"vocab_size": 200, "maxlen": 50, "embedding_dims": 32, "hidden_dims": 64, "word_dropout": 0.0}
SETTINGS |= {"dropout": 0.0, "learning_rate": 0.005, "seed": 0}


def plant(texts: list[str], rng: np.random.Generator) -> tuple[list[str], Array]:
    """Put one of the two words in each text, and return the labels (N,) that they stand for."""
    labels = rng.integers(0, 2, len(texts))  # (N,)
    planted = []
    for text, label in zip(texts, labels, strict=True):
        words = text.split()
        words.insert(rng.integers(len(words) + 1), WORDS[label])
        planted.append(" ".join(words))
    return planted, labels


def train(name: str, texts: list[str], y: Array) -> Sequential:
    """Train one of the demos' models on planted texts."""
    config = argparse.Namespace(**SETTINGS)
    model = MODELS[name](config)
    model.tokenizer, model.metadata = Tokenizer(num_words=config.vocab_size), {"maxlen": config.maxlen}
    model.tokenizer.fit_on_texts(texts)
    x: Any = model.tokenizer.texts_to_sequences(texts)
    x = x if model.shapes[0] == (None,) else pad_sequences(x, config.maxlen)
    model.fit(x, y, epochs=3, callbacks=[OneCycle()], verbose=0)
    return model


class Found(NamedTuple):
    """Which words the attributions of N texts named. A place in a text goes from 0, the first word, to 1."""

    places: Array  # (N,), of the word that decides
    right: Array  # (N,), whether the model is right
    named: dict[str, Array]  # (N,) for each method, the place of the word with the largest number


def measure(model: Sequential, texts: list[str], y: Array, untrained_weights: bool = False) -> Found:
    """Explain each text, and find the word with the largest number."""
    places, right, named = [], [], defaultdict(list)
    for text, label in zip(texts, y, strict=True):
        t = trace(model, text, untrained_weights=untrained_weights)
        tokens = t.tokens[t.first :]
        places.append(tokens.index(WORDS[label]) / len(tokens))
        right.append((t["logit"][-1] > 0) == label)
        for method, a in t.attributions.items():
            named[method].append(int(np.abs(a[t.first :]).argmax()) / len(tokens))
    return Found(np.array(places), np.array(right), {method: np.array(found) for method, found in named.items()})


def main() -> None:
    """Print a table for each model."""
    parser = Parser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    reviews = "reviews to train on (default: 5000)"
    parser.add_argument("--reviews", type=number(int, 20), default=5000, metavar="N", help=reviews)
    texts = "reviews to explain (default: 500)"
    parser.add_argument("--texts", type=number(int, 20), default=500, metavar="N", help=texts)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    (X, _), (X_test, _) = load_builtin(max(options.reviews, options.texts))
    X, y = plant(X[: options.reviews], rng)
    X_test, y_test = plant(X_test[: options.texts], rng)
    lengths = np.array([len(re.findall(r"\w+", text)) for text in X_test])
    print(f"{len(X_test)} reviews; a word chosen at random is right in {np.mean(1 / lengths):.1%}\n")
    heads = f"{' | '.join(PARTS)} | all | names a late word | untrained | names a late word"
    print(f"| model | right | method | {heads} |\n| --- | ---: | --- |{' ---: |' * 7}")
    for name in MODELS:
        model = train(name, X, y)
        with threadpool_limits(1):  # the arrays are small: more threads would only wait for each other
            after, before = measure(model, X_test, y_test), measure(model, X_test, y_test, untrained_weights=True)
        for method, named in after.named.items():
            hits, chance = named == after.places, before.named[method]
            parts = [hits[(after.places * 3).astype(int) == k].mean() for k in range(3)]
            late = np.mean(named >= 2 / 3), np.mean(chance == after.places), np.mean(chance >= 2 / 3)
            cells = " | ".join(f"{100 * part:.1f}" for part in (*parts, hits.mean(), *late))
            print(f"| {name} | {100 * after.right.mean():.1f} | {method.replace('_', ' ')} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
