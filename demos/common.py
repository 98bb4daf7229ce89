"""What the demos share: the command line, the notice shown without a network, and the bag-of-words baseline."""

from __future__ import annotations

import argparse
import contextlib
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
from minilstm.tools.cli import Parser, number

NO_IMDB = """\
============================================================================================
 NO IMDB REVIEWS: {error}

 Training on the BUILT-IN CORPUS instead: made-up reviews whose labels depend on word order.
 To get the real ones, download https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz
 (84 MB) with any browser and run this again with --data aclImdb_v1.tar.gz
============================================================================================
"""

EXAMPLES = """\
examples:
  python {script}                                   5,000 IMDB reviews, downloaded once (84 MB)
  python {script} --data aclImdb_v1.tar.gz          the same, from your own copy
  python {script} --reviews 1000 --epochs 3         a trial run, too short to learn much
  python {script} --data builtin                    made-up reviews, no network needed
"""

# Default settings for IMDB and for the built-in corpus, whose reviews are short and cannot be overfitted.
IMDB = {"epochs": 8, "vocab_size": 5000, "maxlen": 300, "word_dropout": 0.3, "dropout": 0.5, "learning_rate": 0.002}
BUILTIN = {"epochs": 8, "vocab_size": 200, "maxlen": 50, "word_dropout": 0.0, "dropout": 0.0, "learning_rate": 0.005}


def options(description: str | None, file: str, shortest: int = 1) -> argparse.Namespace:
    """Read the command line of a demo, whose ``--maxlen`` must be at least ``shortest``, and choose the corpus."""
    return settle(make_parser(description, file, shortest).parse_args())


def make_parser(description: str | None, file: str, shortest: int = 1) -> Parser:
    """Make the command line of a demo."""
    examples = EXAMPLES.format(script="/".join(Path(file).resolve().parts[-2:]))
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(description=description, epilog=examples, formatter_class=layout)

    def add(option: str, kind: Callable[[str], Any], text: str, default: Any = None) -> None:
        key = option[2:].replace("-", "_")
        shown = f"{IMDB[key]}; built-in corpus {BUILTIN[key]}" if default is None else default
        parser.add_argument(option, type=kind, default=default, metavar="N", help=f"{text} (default: {shown})")

    data = "IMDB archive or folder, or 'builtin' (default: $MINILSTM_DATA, else download)"
    parser.add_argument("--data", metavar="PATH", help=data)
    add("--reviews", number(int, 20), "number of training reviews, and of test reviews", 5000)
    add("--epochs", number(int, 1), "passes over the training reviews")
    add("--seed", number(int, 0), "random seed", 0)
    add("--vocab-size", number(int, 2), "vocabulary size")
    add("--maxlen", number(int, shortest), "maximum review length in words; the last ones are kept")
    add("--embedding-dims", number(int, 1), "embedding size", 32)
    add("--hidden-dims", number(int, 1), "LSTM units", 64)
    add("--word-dropout", number(float, 0, 1), "fraction of words dropped during training")
    add("--dropout", number(float, 0, 1), "dropout rate before the last layer")
    add("--batch-size", number(int, 1), "batch size", 32)
    add("--learning-rate", number(float, 1e-12), "RMSprop learning rate at its peak")
    return parser


def settle(config: argparse.Namespace) -> argparse.Namespace:
    """Choose the corpus and fill in the settings that the command line left open."""
    choose_corpus(config)
    for key, default in (BUILTIN if config.data == "builtin" else IMDB).items():
        if getattr(config, key) is None:
            setattr(config, key, default)
    return config


def choose_corpus(config: argparse.Namespace) -> None:
    """Use the built-in corpus, with a loud notice, if IMDB cannot be downloaded."""
    if config.data is None and not os.environ.get("MINILSTM_DATA"):
        try:
            download_imdb()
        except (OSError, ModuleNotFoundError) as error:
            print(NO_IMDB.format(error=re.sub("(:|, or) get https.*", "", str(error))))
            config.data = "builtin"
    config.corpus = "the built-in corpus (not IMDB)" if config.data == "builtin" else "IMDB"


def run(main: Callable[[], None]) -> None:
    """Run a script; end it without a traceback if the reader of its output stops, as ``head`` does."""
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line instead of a traceback if the reviews cannot be read."""
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
