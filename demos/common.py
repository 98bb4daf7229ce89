"""What the demos share: options, reviews, the bag-of-words baseline, and the report at the end."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from minilstm import OneCycle, RMSprop, Sequential, Tokenizer, pad_sequences
from minilstm.arrays import Array
from minilstm.data import load_builtin, load_imdb

IMDB, BUILTIN = "IMDB", "the built-in corpus (not IMDB)"

NO_IMDB = """\
============================================================================================
 NO IMDB REVIEWS: {error}

 Training on the BUILT-IN CORPUS instead: made-up reviews whose label depends on word order.
 To get the real ones, download https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz
 (84 MB) with any browser and run this again with --data aclImdb_v1.tar.gz
============================================================================================
"""

EXAMPLES = """\
examples:
  python demos/{name}                                   5,000 IMDB reviews, downloaded once (84 MB)
  python demos/{name} --data aclImdb_v1.tar.gz          the same, from a copy of your own
  python demos/{name} --reviews 1000 --epochs 3         a quick look
  python demos/{name} --data builtin                    made-up reviews, no network needed
"""


SETTINGS: dict[str, dict[str, Any]] = {
    IMDB: {"epochs": 8, "vocab_size": 5000, "maxlen": 300, "word_dropout": 0.3, "dropout": 0.5, "learning_rate": 0.002},
    BUILTIN: {
        "epochs": 8,
        "vocab_size": 200,
        "maxlen": 50,
        "word_dropout": 0.0,
        "dropout": 0.0,
        "learning_rate": 0.005,
    },
}
"""What suits each corpus, unless the command line says otherwise."""


def options(description: str, name: str) -> argparse.ArgumentParser:
    """Make the command line of a demo."""
    parser = argparse.ArgumentParser(
        description=description, epilog=EXAMPLES.format(name=name), formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def add(option: str, kind: Callable[[str], Any], text: str, default: Any = None) -> None:
        key = option[2:].replace("-", "_")
        usual = default if default is not None else f"{SETTINGS[IMDB][key]}; built-in corpus {SETTINGS[BUILTIN][key]}"
        parser.add_argument(option, type=kind, default=default, metavar="N", help=f"{text} (default: {usual})")

    parser.add_argument(
        "--data", metavar="PATH", help="IMDB archive or folder, or 'builtin' (default: $MINILSTM_DATA, else download)"
    )
    add("--reviews", at_least(20), "how many to train on, and as many others to test on", 5000)
    add("--epochs", at_least(1), "how often to go through them")
    add("--seed", at_least(0), "the same seed repeats a run", 0)
    add("--vocab-size", at_least(2), "how many words to know")
    add("--maxlen", at_least(1), "how many words of a review to read, the last ones")
    add("--embedding-dims", at_least(1), "numbers for a word", 32)
    add("--hidden-dims", at_least(1), "numbers in the state of an LSTM", 64)
    add("--word-dropout", share, "share of words hidden while training")
    add("--dropout", share, "share of numbers before the verdict hidden while training")
    add("--batch-size", at_least(1), "reviews for one step", 32)
    add("--learning-rate", float, "size of the largest step of RMSprop")
    return parser


def at_least(low: int) -> Callable[[str], int]:
    """Make a type for the command line: whole numbers from ``low`` on."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text} is no whole number of at least {low}")
        return int(text)

    return whole_number


def share(text: str) -> float:
    """Make a number of what the command line gives for a share."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 up to but not including 1")
    return number


class Reviews(NamedTuple):
    """Three parts, to train, validate and test on, each a list with one entry a review."""

    corpus: str
    texts: list[list[str]]
    ids: list[list[list[int]]]  # the words of each text by number, all of them
    labels: list[Array]  # (N,) each


def load(config: argparse.Namespace) -> Reviews:
    """Get the reviews, number their words, and fill in the settings that suit them.

    A tenth of the training part is cut off for validation, to see how it goes. A path that was given and is wrong is
    an error. Where none was given and the download fails, the built-in corpus steps in.
    """
    corpus, parts = read(config)
    for key, setting in SETTINGS[corpus].items():
        if getattr(config, key) is None:
            setattr(config, key, setting)
    tokenizer = Tokenizer(num_words=config.vocab_size)
    tokenizer.fit_on_texts(parts[0][0])
    ids = [tokenizer.texts_to_sequences(texts) for texts, _ in parts]
    return Reviews(corpus, [texts for texts, _ in parts], ids, [labels for _, labels in parts])


def read(config: argparse.Namespace) -> tuple[str, list[tuple[list[str], Array]]]:
    """Read the reviews: which they are, and (texts, labels) of each part."""
    if config.data != "builtin":
        try:
            parts = load_imdb(config.data, reviews=config.reviews, seed=config.seed, validation=0.1)
        except (ConnectionError, ModuleNotFoundError) as error:
            print(NO_IMDB.format(error=error))
        else:
            return IMDB, list(parts)
    (X, y), test = load_builtin(config.reviews, config.seed)
    cut = len(X) // 10
    return BUILTIN, [(X[cut:], y[cut:]), (X[:cut], y[:cut]), test]


def bag_of_words(train: list[list[int]], y_train: Array, test: list[list[int]], y_test: Array, V: int) -> float:
    """Compute the test accuracy of logistic regression on word counts, tf-idf weighted: order plays no part."""

    def counts(sequences: list[list[int]]) -> Any:
        rows = np.repeat(np.arange(len(sequences)), [len(s) for s in sequences])
        words = np.concatenate([np.asarray(s, int) for s in sequences])
        return csr_matrix((np.ones(len(words)), (rows, words)), shape=(len(sequences), V))  # (N, V)

    weigh = TfidfTransformer(sublinear_tf=True)
    model = LogisticRegression(C=5, max_iter=1000).fit(weigh.fit_transform(counts(train)), y_train)
    return float(model.score(weigh.transform(counts(test)), y_test))


MakeModel = Callable[[argparse.Namespace], Sequential]


def build(make_model: MakeModel, config: argparse.Namespace) -> Sequential:
    """Make a model and compile it."""
    model = make_model(config)
    optimizer = RMSprop(config.learning_rate, global_clipnorm=1.0)
    model.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


def train(model: Sequential, reviews: Reviews, config: argparse.Namespace, verbose: int = 1) -> tuple[float, Array]:
    """Train a model: the seconds that took, and what it says of the N test reviews, (N,) from 0 to 1."""
    x, x_val, x_test = (clip(model, ids, config.maxlen) for ids in reviews.ids)
    y, y_val, _ = reviews.labels
    start = time.perf_counter()
    model.fit(
        x,
        y,
        batch_size=config.batch_size,
        epochs=config.epochs,
        verbose=verbose,
        validation_data=(x_val, y_val),
        callbacks=[OneCycle()],
    )
    return time.perf_counter() - start, model.predict(x_test, batch_size=128, verbose=verbose)[:, 0]


def clip(model: Sequential, ids: list[list[int]], maxlen: int) -> Any:
    """Keep the last words of each review; for a model made for one length, such as Flatten needs, pad short ones."""
    if model.shapes[0] == (None,):
        return [review[-maxlen:] for review in ids]
    return pad_sequences(ids, maxlen)  # (N, maxlen)


def run(make_model: MakeModel, description: str, file: str) -> None:
    """Train the model of a demo and say how well it does."""
    config = options(description, Path(file).name).parse_args()
    try:
        reviews = load(config)
        model = build(make_model, config)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"{Path(file).name}: {error}")
    N = len(reviews.texts[0])
    print(f"{description.splitlines()[0]}\n\ndata: {N:,} reviews of {reviews.corpus} to train on\n")
    model.summary()
    print()
    seconds, p = train(model, reviews, config)

    (x, _, x_test), (y, _, y_test) = reviews.ids, reviews.labels
    baseline = bag_of_words(x, y, x_test, y_test, config.vocab_size)
    name = " > ".join(type(layer).__name__ for layer in model.layers)
    print(f"\naccuracy on {len(x_test):,} other reviews of {reviews.corpus}, after {seconds:.1f} s of training")
    print(
        f"  {np.mean((p > 0.5) == y_test):6.1%}  {name}\n  {baseline:6.1%}  bag of words, trained on the same reviews\n"
    )
    print("how some of these reviews end, and what the model says of each:")
    for text, label, p_n in zip(reviews.texts[2][:6], y_test, p, strict=False):
        verdict = f"positive, {p_n:.0%} sure" if p_n > 0.5 else f"negative, {1 - p_n:.0%} sure"
        print(f"  {'right' if (p_n > 0.5) == label else 'WRONG'}  {verdict:<18}  ...{' '.join(text.split())[-70:]}")
