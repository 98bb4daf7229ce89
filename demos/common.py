"""What the demos share: options, reviews, the bag-of-words baseline, and the report at the end."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from minilstm import Adam, EarlyStopping, Sequential, Tokenizer
from minilstm.datasets import load_builtin, load_imdb
from minilstm.layer import Array

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


def options(description: str, name: str) -> argparse.Namespace:
    """Read the command line of a demo."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=EXAMPLES.format(name=name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", metavar="PATH", help="IMDB archive or folder, or 'builtin' (default: MINILSTM_DATA, else download)")
    add("--reviews", type=int, default=5000, help="how many to train on, and as many others to test on (%(default)s)")
    add("--epochs", type=int, default=8, help="how often to go through them, at most (%(default)s)")
    add("--seed", type=int, default=0, help="the same seed repeats a run (%(default)s)")
    add("--vocab-size", type=int, default=5000, help="how many words to know (%(default)s)")
    add("--maxlen", type=int, default=200, help="read the last so many words of a review (%(default)s)")
    add("--embedding-dims", type=int, default=32, help="numbers for a word (%(default)s)")
    add("--hidden-dims", type=int, default=32, help="numbers in the LSTM's state (%(default)s)")
    add("--dropout", type=float, default=0.5, help="share of numbers hidden while training (%(default)s)")
    add("--batch-size", type=int, default=32, help="reviews for one step (%(default)s)")
    add("--learning-rate", type=float, default=0.003, help="size of a step of Adam (%(default)s)")
    return parser.parse_args()


def load(config: argparse.Namespace) -> tuple[str, list[tuple[list[str], Array]]]:
    """Get the reviews: what they are, and (texts, labels) for training, validation and test.

    A tenth of the training part is cut off for validation, to stop in time. A path that was given and is wrong is
    an error. Where none was given and the download fails, the built-in corpus steps in.
    """
    if config.data != "builtin":
        try:
            parts = load_imdb(config.data, reviews=config.reviews, seed=config.seed, validation=0.1)
        except (ConnectionError, ModuleNotFoundError) as error:
            print(NO_IMDB.format(error=error))
        else:
            return "IMDB", list(parts)
    (X, y), test = load_builtin(config.reviews, config.seed)
    cut = len(X) // 10
    return "the built-in corpus (not IMDB)", [(X[cut:], y[cut:]), (X[:cut], y[:cut]), test]


def bag_of_words(train: list[list[int]], y_train: Array, test: list[list[int]], y_test: Array, V: int) -> float:
    """Compute the test accuracy of logistic regression on word counts, tf-idf weighted: order plays no part."""

    def counts(sequences: list[list[int]]) -> Any:
        rows = np.repeat(np.arange(len(sequences)), [len(s) for s in sequences])
        words = np.concatenate([np.asarray(s, int) for s in sequences])
        return csr_matrix((np.ones(len(words)), (rows, words)), shape=(len(sequences), V))  # (N, V)

    weigh = TfidfTransformer(sublinear_tf=True)
    model = LogisticRegression(C=5, max_iter=1000).fit(weigh.fit_transform(counts(train)), y_train)
    return float(model.score(weigh.transform(counts(test)), y_test))


def run(make_model: Callable[[argparse.Namespace], Sequential], description: str, file: str) -> None:
    """Train the model of a demo and say how well it does."""
    config = options(description, Path(file).name)
    name, parts = load(config)
    texts = parts[0][0]
    print(f"{description.splitlines()[0]}\n\ndata: {name}, {len(texts):,} reviews to train on")

    tokenizer = Tokenizer(num_words=config.vocab_size)
    tokenizer.fit_on_texts(texts)
    (x, y), (x_val, y_val), (x_test, y_test) = [(tokenizer.texts_to_sequences(X), y) for X, y in parts]
    last_words = [[s[-config.maxlen :] for s in sequences] for sequences in (x, x_val, x_test)]

    model = make_model(config)
    model.compile(
        loss="binary_crossentropy",
        optimizer=Adam(config.learning_rate, global_clipnorm=1.0),
        metrics=["accuracy"],
    )
    print()
    model.summary()
    print()
    start = time.perf_counter()
    model.fit(
        last_words[0],
        y,
        batch_size=config.batch_size,
        epochs=config.epochs,
        validation_data=(last_words[1], y_val),
        callbacks=[EarlyStopping("val_loss", patience=3, restore_best_weights=True)],
    )
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(last_words[2], y_test, batch_size=128)
    baseline = bag_of_words(x, y, x_test, y_test, config.vocab_size)

    print(f"\nresult on {len(x_test):,} other reviews of {name}")
    print(f"  {' > '.join(type(layer).__name__ for layer in model.layers)}: accuracy {accuracy:.1%}")
    print(f"  bag of words, same reviews: accuracy {baseline:.1%}")
    print(f"  training took {seconds:.1f} s\n\nsome of them, and what the model says:")
    p = model.predict(last_words[2][:6])[:, 0]
    for text, label, positive in zip(parts[2][0][:6], y_test, p, strict=False):
        verdict, sure = ("positive", positive) if positive > 0.5 else ("negative", 1 - positive)
        mark = "right" if (positive > 0.5) == label else "WRONG"
        print(f"  {mark}: {verdict}, {sure:.0%} sure    ...{' '.join(text.split())[-70:]}")
