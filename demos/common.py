"""What the demos share: the command line, the notice shown without network, and the bag-of-words baseline."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from minilstm.arrays import Array
from minilstm.data import download_imdb

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
  python {script}                                   5,000 IMDB reviews, downloaded once (84 MB)
  python {script} --data aclImdb_v1.tar.gz          the same, from your own copy
  python {script} --reviews 1000 --epochs 3         a quick look
  python {script} --data builtin                    made-up reviews, no network needed
"""

# Default settings for IMDB and for the built-in corpus: its reviews are short and cannot be overfitted.
IMDB = {"epochs": 8, "vocab_size": 5000, "maxlen": 300, "word_dropout": 0.3, "dropout": 0.5, "learning_rate": 0.002}
BUILTIN = {"epochs": 8, "vocab_size": 200, "maxlen": 50, "word_dropout": 0.0, "dropout": 0.0, "learning_rate": 0.005}


def options(description: str | None, file: str, shortest: int = 1) -> argparse.Namespace:
    """Read the command line of a demo, whose ``--maxlen`` must be at least ``shortest``, and choose the corpus."""
    return settle(make_parser(description, file, shortest).parse_args())


def make_parser(description: str | None, file: str, shortest: int = 1) -> argparse.ArgumentParser:
    """Make the command line of a demo."""
    examples = EXAMPLES.format(script="/".join(Path(file).resolve().parts[-2:]))
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, epilog=examples, formatter_class=layout)

    def add(option: str, kind: Callable[[str], Any], text: str, default: Any = None) -> None:
        key = option[2:].replace("-", "_")
        shown = f"{IMDB[key]}; built-in corpus {BUILTIN[key]}" if default is None else default
        parser.add_argument(option, type=kind, default=default, metavar="N", help=f"{text} (default: {shown})")

    data = "IMDB archive or folder, or 'builtin' (default: $MINILSTM_DATA, else download)"
    parser.add_argument("--data", metavar="PATH", help=data)
    add("--reviews", at_least(20), "number of training reviews, and of test reviews", 5000)
    add("--epochs", at_least(1), "passes over the training reviews")
    add("--seed", at_least(0), "random seed", 0)
    add("--vocab-size", at_least(2), "vocabulary size")
    add("--maxlen", at_least(shortest), "maximum review length in words; the last ones are kept")
    add("--embedding-dims", at_least(1), "embedding size", 32)
    add("--hidden-dims", at_least(1), "LSTM units", 64)
    add("--word-dropout", fraction, "fraction of words dropped during training")
    add("--dropout", fraction, "dropout rate before the last layer")
    add("--batch-size", at_least(1), "batch size", 32)
    add("--learning-rate", positive, "RMSprop learning rate at its peak")
    return parser


def settle(config: argparse.Namespace) -> argparse.Namespace:
    """Choose the corpus and fill in the settings that the command line left open."""
    choose_corpus(config)
    for key, default in (BUILTIN if config.data == "builtin" else IMDB).items():
        if getattr(config, key) is None:
            setattr(config, key, default)
    return config


def choose_corpus(config: argparse.Namespace) -> None:
    """Take the built-in corpus, with a loud notice, where IMDB cannot be downloaded."""
    if config.data is None and not os.environ.get("MINILSTM_DATA"):
        try:
            download_imdb()
        except (OSError, ModuleNotFoundError) as error:
            print(NO_IMDB.format(error=re.sub("(:|, or) get https.*", "", str(error))))
            config.data = "builtin"
    config.corpus = "the built-in corpus (not IMDB)" if config.data == "builtin" else "IMDB"


def at_least(low: int) -> Callable[[str], int]:
    """Make a type for the command line: integers from ``low`` on."""

    def integer(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"must be an integer >= {low}, got {text}")
        return int(text)

    return integer


def fraction(text: str) -> float:
    """Read a fraction from the command line: a number from 0 up to but not including 1."""
    return number(text, "a number >= 0 and < 1", lambda value: 0 <= value < 1)


def positive(text: str) -> float:
    """Read a number above 0 from the command line."""
    return number(text, "a number > 0", lambda value: 0 < value < math.inf)


def number(text: str, rule: str, fits: Callable[[float], bool]) -> float:
    """Read a number that fits the rule."""
    with contextlib.suppress(ValueError):
        if fits(float(text)):
            return float(text)
    raise argparse.ArgumentTypeError(f"must be {rule}, got {text}")


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line instead of a traceback where the reviews cannot be read."""
    try:
        yield
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def bag_of_words(train: list[list[int]], y_train: Array, test: list[list[int]], y_test: Array, V: int) -> float:
    """Compute the test accuracy of logistic regression on tf-idf weighted word counts, which ignore word order."""

    def counts(sequences: list[list[int]]) -> Any:
        rows = np.repeat(np.arange(len(sequences)), [len(s) for s in sequences])
        words = np.concatenate([np.asarray(s, int) for s in sequences])
        return csr_matrix((np.ones(len(words)), (rows, words)), shape=(len(sequences), V))  # (N, V)

    tfidf = TfidfTransformer(sublinear_tf=True)
    model = LogisticRegression(C=5, max_iter=1000).fit(tfidf.fit_transform(counts(train)), y_train)
    return float(model.score(tfidf.transform(counts(test)), y_test))
