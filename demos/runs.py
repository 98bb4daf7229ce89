"""What the demos on all of IMDB share: settings, texts, and scores kept in a file, so that nothing is trained twice."""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import itertools
import json
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import bidirectional
import cnn
import cnn_lstm
import common
import deep_lstm
import lstm
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from minilstm import Callback, OneCycle, Sequential, Tokenizer
from minilstm.arrays import Array
from minilstm.data import load_imdb

ALL = 25_000
PAGES = Path(__file__).parent
MODELS: dict[str, common.MakeModel] = {
    "CNN": cnn.make_model,
    "LSTM": lstm.make_model,
    "deep LSTM": deep_lstm.make_model,
    "bidirectional LSTM": bidirectional.make_model,
    "CNN-LSTM": cnn_lstm.make_model,
}

Parts = tuple[tuple[list[str], Array], ...]
"""Texts and labels (N,) of the reviews to train on, and of those to test on."""


class Score(NamedTuple):
    """What one training gave."""

    accuracy: float  # on the test reviews, or on those held out
    seconds: float  # of training
    parameters: int
    history: dict[str, list[float]]  # as fit returns it


class ScoreStore:
    """Scores kept in a file, a line of JSON each. It knows of the jobs alone: with other code or data, take another.

    Args:
        path: the file. It is made with the first score, and read by whoever asks again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scores: dict[str, Score] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                what, score = json.loads(line)
                self.scores[json.dumps(what, sort_keys=True)] = Score(*score)
            except (TypeError, ValueError):  # cut off, as a run was killed while it wrote
                continue

    def __contains__(self, job: Job) -> bool:
        """EpochProgress whether the score of a job is known."""
        return job.key in self.scores

    def __getitem__(self, job: Job) -> Score:
        """Give the score of a job."""
        return self.scores[job.key]

    def __setitem__(self, job: Job, score: Score) -> None:
        """Keep the score of a job, on disk too."""
        self.scores[job.key] = score
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps([job.what, score])}")  # a new line first: the last may have been cut off


def options(description: str, name: str) -> argparse.ArgumentParser:
    """Make the command line of a demo on all of IMDB."""
    examples = (
        f"examples:\n  python demos/{name}                                  three seeds, one after the other\n"
        f"  python demos/{name} --data aclImdb_v1.tar.gz         the same, from a copy of your own\n"
    )
    parser = argparse.ArgumentParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", metavar="PATH", help="IMDB archive or folder (default: $MINILSTM_DATA, else download)")
    add("--seeds", type=common.at_least(1), default=3, metavar="N", help="how many runs (default: 3)")
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="where to keep scores (default: results)")
    return parser


class Job(NamedTuple):
    """One training."""

    model: str
    make_model: common.MakeModel | None  # None for a baseline
    settings: dict[str, Any]
    seed: int = 0
    reviews: int = ALL  # how many to train on
    held_out: bool = False  # test on a tenth of the training reviews, cut off by movie, and not on the test reviews

    @property
    def what(self) -> dict[str, Any]:
        """All that its score depends on, apart from the code."""
        return {name: value for name, value in self._asdict().items() if name != "make_model"}

    @property
    def key(self) -> str:
        """The same as text."""
        return json.dumps(self.what, sort_keys=True)


def run_all(jobs: Sequence[Job], kept: ScoreStore, data: str | None) -> list[Score]:
    """Do the jobs that were not done yet, those on the same texts together, and give the scores of all."""
    new = {job.key: job for job in sorted(jobs, key=lambda job: (job.seed, job.held_out)) if job not in kept}
    with tqdm(new.values(), unit=" trainings", disable=None if new else True) as bar:
        for job in bar:
            kept[job] = done = score(job, data, EpochProgress(bar, job.model))
            part = "held-out" if job.held_out else "test"
            told = f"{part} accuracy {done.accuracy:.1%} after {done.seconds:.0f} s of training"
            bar.write(f"{job.model}, {job.reviews:,} reviews, seed {job.seed}: {told}")
    return [kept[job] for job in jobs]


class EpochProgress(Callback):
    """Says behind a bar which training it is, and how far it has got."""

    def __init__(self, bar: Any, name: str) -> None:
        self.bar, self.name = bar, name

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Count the epoch."""
        self.bar.set_postfix_str(f"{self.name}, epoch {epoch + 1} of {self.params['epochs']}")


@functools.lru_cache(maxsize=1)
def texts(data: str | None, seed: int, held_out: bool) -> Parts:
    """Read all reviews, in an order of the seed."""
    try:
        return load_imdb(data, seed=seed, validation=0.1 if held_out else 0.0, by_movie=True)[:2]
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def score(job: Job, data: str | None, tell: Callback) -> Score:
    """Do a job."""
    (X, y), (X_test, y_test) = texts(data, job.seed, job.held_out)
    X, y = X[: job.reviews], y[: job.reviews]
    if job.make_model is None:
        start = time.perf_counter()
        accuracy, parameters = BASELINES[job.model](X, y, X_test, y_test)
        return Score(accuracy, time.perf_counter() - start, parameters, {})
    config = argparse.Namespace(**job.settings, seed=job.seed)
    if getattr(config, "pairs", False):
        X, X_test = [with_pairs(text) for text in X], [with_pairs(text) for text in X_test]
    tokenizer = Tokenizer(num_words=config.vocab_size)
    tokenizer.fit_on_texts(X)
    model = common.build(job.make_model, config)
    x, x_test = (encode(tokenizer, some, model, config) for some in (X, X_test))
    start = time.perf_counter()
    history = model.fit(
        x,
        y,
        config.batch_size,
        config.epochs,
        verbose=0,
        callbacks=[OneCycle(), tell],
        validation_data=(x_test, y_test) if job.held_out else None,
    )
    seconds = time.perf_counter() - start
    parameters = sum(weights.size for weights in model.get_weights())
    return Score(model.evaluate(x_test, y_test, 128, verbose=0)[1], seconds, parameters, history.history)


def with_pairs(text: str) -> str:
    """Put before each word but the first the pair it makes with the one before: "not good" to "not not·good good"."""
    words = re.findall(r"[\w']+", text.lower())
    pairs = map("·".join, itertools.pairwise(words))
    return " ".join(itertools.chain.from_iterable(itertools.zip_longest(words, pairs, fillvalue=""))).rstrip()


def encode(tokenizer: Tokenizer, some: list[str], model: Sequential, config: argparse.Namespace) -> Any:
    """Turn texts into what the model reads; with the setting ``matrix``, into the tutorial's mistake."""
    if getattr(config, "matrix", False):
        return tokenizer.texts_to_matrix(some).astype(np.int8)  # (N, V), 0 or 1
    return common.clip(model, tokenizer.texts_to_sequences(some), config.maxlen)


def bag_of_words(X: list[str], y: Array, X_test: list[str], y_test: Array) -> tuple[float, int]:
    """Do :func:`common.bag_of_words` with all words: the accuracy, and how many weights it has."""
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(X)
    V = len(tokenizer.word_index) + 1
    x, x_test = (tokenizer.texts_to_sequences(some) for some in (X, X_test))
    return common.bag_of_words(x, y, x_test, y_test, V), V + 1


def naive_bayes_bigrams(X: list[str], y: Array, X_test: list[str], y_test: Array) -> tuple[float, int]:
    """Do logistic regression on words and pairs of words, each scaled by how much it speaks for a label.

    Which words and pairs are there counts, not how often. Those of one review only are left out. The scale of each is
    the logarithm of the ratio of its shares in positive and negative reviews (Wang & Manning 2012).
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
    """Write accuracies in %: the mean, the lowest and the highest."""
    percent = 100 * np.array([score.accuracy for score in scores])  # (seeds,)
    if len(percent) == 1:
        return f"{percent[0]:.1f}"
    return f"{percent.mean():.1f} ({percent.min():.1f} to {percent.max():.1f})"


def machine() -> str:
    """Name the processor, its cores and the versions that the numbers depend on."""
    about = Path("/proc/cpuinfo")  # only Linux has it
    name = re.search(r"model name\s*: (.*)", about.read_text(encoding="utf-8") if about.exists() else "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"{package} {importlib.metadata.version(package)}" for package in ("numpy", "numba", "scikit-learn")]
    processor = name[1] if name else platform.processor()
    return f"{cores} cores of an {processor}, Python {platform.python_version()}, {', '.join(versions)}"


def fill_in(page: Path, name: str, text: str) -> None:
    """Put text between the marks of ``name`` in a page, in one step, so that a killed run leaves no half page."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, *middle, after = re.split(f"{begin}|{end}", page.read_text(encoding="utf-8"))
    if len(middle) != 1:
        raise ValueError(f"{page} needs {begin} and {end}, once each: put them where the numbers are to stand")
    beside = page.with_name(f".{page.name}")
    beside.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
    beside.replace(page)
    print(f"wrote {name} into {page}")
