"""What the experiments share: jobs whose scores are cached, so that nothing is trained twice, and Markdown tables.

A job trains a baseline or a model with certain settings on all of IMDB or on a part of it.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import itertools
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Memory  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from minilstm import Callback, OneCycle, Sequential, Tokenizer, pad_sequences
from minilstm.arrays import Array
from minilstm.data import load_imdb
from minilstm.tools.cli import Parser, number

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demos"))

import bidirectional
import cnn
import cnn_lstm
import common
import deep_lstm
import lstm

ALL = 25_000
BuildModel = Callable[[argparse.Namespace], Sequential]
MODELS: dict[str, BuildModel] = {
    "CNN": cnn.build_model,
    "LSTM": lstm.build_model,
    "deep LSTM": deep_lstm.build_model,
    "bidirectional LSTM": bidirectional.build_model,
    "CNN-LSTM": cnn_lstm.build_model,
}


class Score(NamedTuple):
    """The result of one training run."""

    accuracy: float  # on the test reviews, or on the validation reviews
    seconds: float  # training time
    parameters: int
    history: dict[str, list[float]]  # as returned by fit


class Job(NamedTuple):
    """One training run: everything its score depends on, apart from the code and the reviews."""

    model: str
    settings: dict[str, Any]
    seed: int = 0
    reviews: int = ALL  # how many to train on
    validation: bool = False  # test on a tenth of the training reviews, split off by movie, not on the test reviews


def make_parser(description: str | None, file: str) -> Parser:
    """Make the command line of an experiment on all of IMDB."""
    script = f"experiments/{Path(file).name}"
    examples = (
        f"examples:\n  python {script}                               three seeds, one after the other\n"
        f"  python {script} --data aclImdb_v1.tar.gz      the same, from your own copy\n"
        f"  python {script} --seeds 1 --out one_seed      one seed, with its results elsewhere\n"
    )
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(description=description, epilog=examples, formatter_class=layout)
    parser.add_argument(
        "--data", metavar="PATH", help="IMDB archive or folder (default: $MINILSTM_DATA, else download)"
    )
    add_seeds_and_out(parser)
    return parser


def add_seeds_and_out(parser: Parser) -> None:
    """Add the options --seeds and --out."""
    seeds, out = "number of runs, each with its own seed (default: 3)", "output folder (default: results)"
    parser.add_argument("--seeds", type=number(int, 1), default=3, metavar="N", help=seeds)
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help=out)


class Runner:
    """Runs jobs and caches their scores in a folder: after an interruption, only the missing ones are run.

    Args:
        data: the IMDB archive or folder; None for the path in MINILSTM_DATA, or else the download.
        out: the output folder. It contains the cache; delete it after changing a model, the library or the reviews.
        builders: models in addition to :data:`MODELS`, by name.
    """

    def __init__(self, data: str | None, out: Path, builders: dict[str, BuildModel] | None = None) -> None:
        self.data, self.builders = data, MODELS | (builders or {})
        self.train = Memory(out / "cache", verbose=0).cache(train, ignore=["data", "build", "label"])

    def __call__(self, jobs: Sequence[Job]) -> list[Score]:
        """Run the jobs, grouped by texts, and return their scores in the order of the jobs."""
        scores: dict[int, Score] = {}
        order = sorted(range(len(jobs)), key=lambda n: (jobs[n].seed, jobs[n].validation))
        for done, n in enumerate(order, start=1):
            job = jobs[n]
            label = f"{job.model}, {job.reviews:,} reviews, seed {job.seed}"
            scores[n] = self.train(job, self.data, self.builders.get(job.model), label)
            part = "validation" if job.validation else "test"
            result = f"{part} accuracy {scores[n].accuracy:.1%} after {scores[n].seconds:.0f} s of training"
            print(f"{done} of {len(jobs)}: {label}: {result}", flush=True)
        return [scores[n] for n in range(len(jobs))]


class EpochLines(Callback):
    """Prints a line after each epoch, without delay even if the output is a file."""

    def __init__(self, label: str) -> None:
        self.label = label

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print the line."""
        numbers = "  ".join(f"{name} {number:.4f}" for name, number in (logs or {}).items())
        print(f"  {self.label}: epoch {epoch + 1} of {self.params['epochs']}  {numbers}", flush=True)


@functools.lru_cache(maxsize=1)
def read_texts(data: str | None, seed: int, validation: bool) -> tuple[tuple[list[str], Array], ...]:
    """Read texts and labels (N,) for training and for testing, in an order that depends on the seed."""
    with common.one_line_errors():
        return load_imdb(data, seed=seed, validation=0.1 if validation else 0.0, by_movie=True)[:2]


def train(job: Job, data: str | None, build: BuildModel | None, label: str) -> Score:
    """Run a job; ``build`` is None for a baseline."""
    (X, y), (X_test, y_test) = read_texts(data, job.seed, job.validation)
    X, y = X[: job.reviews], y[: job.reviews]
    if build is None:
        start = time.perf_counter()
        accuracy, parameters = BASELINES[job.model](X, y, X_test, y_test)
        return Score(accuracy, time.perf_counter() - start, parameters, {})
    config = argparse.Namespace(**job.settings, seed=job.seed)
    if getattr(config, "pairs", False):
        X, X_test = [with_pairs(text) for text in X], [with_pairs(text) for text in X_test]
    tokenizer = Tokenizer(num_words=config.vocab_size)
    tokenizer.fit_on_texts(X)
    model = build(config)
    x, x_test = (encode(tokenizer, texts, model, config) for texts in (X, X_test))
    start = time.perf_counter()
    history = model.fit(
        x,
        y,
        batch_size=config.batch_size,
        epochs=config.epochs,
        verbose=0,
        callbacks=[OneCycle(), EpochLines(label)],
        validation_data=(x_test, y_test) if job.validation else None,
    )
    seconds = time.perf_counter() - start
    parameters = sum(weights.size for weights in model.get_weights())
    return Score(model.evaluate(x_test, y_test, 128, verbose=0)[1], seconds, parameters, history.history)


def with_pairs(text: str) -> str:
    """Put each pair of words between the two words: "not good" becomes "not not·good good"."""
    words = re.findall(r"[\w']+", text.lower())
    pairs = map("·".join, itertools.pairwise(words))
    return " ".join(itertools.chain.from_iterable(itertools.zip_longest(words, pairs, fillvalue=""))).rstrip()


def encode(tokenizer: Tokenizer, texts: list[str], model: Sequential, config: argparse.Namespace) -> Any:
    """Turn texts into the input of the model; with the setting ``matrix``, make the tutorial's mistake."""
    if getattr(config, "matrix", False):
        return tokenizer.texts_to_matrix(texts).astype(np.int8)  # (N, V), 0 or 1
    return clip(model, tokenizer.texts_to_sequences(texts), config.maxlen)


def clip(model: Sequential, sequences: list[list[int]], maxlen: int) -> Any:
    """Keep the last words of each review; pad short ones if the model needs a fixed length, as with Flatten."""
    if model.shapes[0] == (None,):
        return [ids[-maxlen:] for ids in sequences]
    return pad_sequences(sequences, maxlen)  # (N, maxlen)


def bag_of_words(X: list[str], y: Array, X_test: list[str], y_test: Array) -> tuple[float, int]:
    """Run :func:`common.bag_of_words` with all words; return the test accuracy and the number of weights."""
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(X)
    V = len(tokenizer.word_index) + 1
    x, x_test = (tokenizer.texts_to_sequences(texts) for texts in (X, X_test))
    return common.bag_of_words(x, y, x_test, y_test, V), V + 1


def naive_bayes_bigrams(X: list[str], y: Array, X_test: list[str], y_test: Array) -> tuple[float, int]:
    """Fit logistic regression on words and pairs of words, each scaled by its log-count ratio (Wang & Manning 2012).

    The features say which words and pairs occur, not how often. Those that occur in only one review are left out. The
    ratio is that of a feature's frequencies in positive and in negative reviews.
    """
    words = r"[\w']+"
    count = CountVectorizer(binary=True, ngram_range=(1, 2), min_df=2, token_pattern=words, dtype=np.float32)
    x, x_test = count.fit_transform(X), count.transform(X_test)  # (N, V) each, sparse
    p, q = (1 + np.asarray(x[y == label].sum(axis=0))[0] for label in (1, 0))  # (V,) each
    r = np.log((p / p.sum()) / (q / q.sum())).astype(np.float32)  # (V,)
    model = LogisticRegression(C=0.1, max_iter=1000).fit(x.multiply(r).tocsr(), y)
    return float(model.score(x_test.multiply(r).tocsr(), y_test)), len(r) + 1


BASELINES = {"bag of words": bag_of_words, "naive Bayes bigrams": naive_bayes_bigrams}


def mean_and_range(scores: Sequence[Score]) -> str:
    """Format accuracies in %: the mean, the lowest and the highest."""
    percent = 100 * np.array([score.accuracy for score in scores])  # (seeds,)
    if len(percent) == 1:
        return f"{percent[0]:.1f}"
    return f"{percent.mean():.1f} ({percent.min():.1f} to {percent.max():.1f})"


def machine() -> str:
    """Describe the processor, its cores, and the versions of the packages that affect the results."""
    about = Path("/proc/cpuinfo")  # only Linux has it
    name = re.search(r"model name\s*: (.*)", about.read_text(encoding="utf-8") if about.exists() else "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"{package} {importlib.metadata.version(package)}" for package in ("numpy", "numba", "scikit-learn")]
    processor = name[1] if name else platform.processor()
    return f"{cores} cores of an {processor}, Python {platform.python_version()}, {', '.join(versions)}"


def print_table(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table with a title; the first row is the head, and all columns but the first hold numbers."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    print(f"\n{title}\n")
    for n, row in enumerate(rows):
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("| " + " | ".join([row[0].ljust(widths[0]), *numbers]) + " |")
        if n == 0:
            rules = ("-" * (width - (k > 0)) + (":" if k else "") for k, width in enumerate(widths))
            print("| " + " | ".join(rules) + " |")


def save_figure(figure: Figure, path: Path) -> None:
    """Save a plot in one step, so that an interrupted run leaves no partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}")
    figure.savefig(part, format="png", dpi=150)
    part.replace(path)
    print(f"saved {path}")


def draw_curves(scores: dict[str, Score], path: Path) -> None:
    """Plot the accuracy after each epoch, on the training and on the validation reviews."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, score in scores.items():
        epochs = range(1, len(score.history["accuracy"]) + 1)
        left.plot(epochs, 100 * np.array(score.history["accuracy"]), marker="o", label=name)
        right.plot(epochs, 100 * np.array(score.history["val_accuracy"]), marker="o", label=name)
    left.set(title="training reviews, with word dropout", xlabel="epoch", ylabel="accuracy in %")
    right.set(title="validation reviews", xlabel="epoch", ylim=(50, 100))
    right.legend(loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.4)
    save_figure(figure, path)
