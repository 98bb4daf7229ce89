"""All architectures and the bag of words on the same reviews: how often right, how long to train, how large.

Expect all five within 2 to 3 points of each other on IMDB, as far as one seed is from the next, and behind the bag of
words: 5,000 reviews are few. What differs is the time. On the built-in corpus all five come close to 100%, the bag of
words to 60%. Each seed draws its own reviews and first weights.

With --full, all 25,000 reviews, settings for that, better baselines and best.py; it writes the tables and the plots in
README.md beside it. That takes more than an hour, so each score is kept in --out: after a stop, the same command does
what is missing.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import common
import full
import numpy as np
from matplotlib.figure import Figure
from runs import MODELS


class Score(NamedTuple):
    """What one model did with one seed."""

    accuracy: float
    seconds: float
    parameters: int


def measure(reviews: common.Reviews, config: argparse.Namespace) -> Iterator[tuple[str, Score]]:
    """Train every model once, and yield its name and score as it ends."""
    (x, _, x_test), (y, _, y_test) = reviews.ids, reviews.labels
    start = time.perf_counter()
    accuracy = common.bag_of_words(x, y, x_test, y_test, config.vocab_size)
    yield "bag of words", Score(accuracy, time.perf_counter() - start, config.vocab_size + 1)
    for name, make_model in MODELS.items():
        model = common.build(make_model, config)
        seconds, p = common.train(model, reviews, config, verbose=0)
        parameters = sum(weights.size for weights in model.get_weights())
        yield name, Score(float(np.mean((p > 0.5) == y_test)), seconds, parameters)


def table(scores: dict[str, list[Score]]) -> list[list[str]]:
    """Lay accuracy (mean and range) and time out in rows of text, the head first.

    The median time, since the first run ever compiles the kernels.
    """
    rows = [["model", "accuracy", "lowest", "highest", "seconds", "parameters"]]
    for name, runs in scores.items():
        accuracy, seconds, parameters = np.array(runs).T
        percent = [f"{100 * a:.1f}" for a in (accuracy.mean(), accuracy.min(), accuracy.max())]
        rows.append([name, *percent, f"{np.median(seconds):.1f}", f"{parameters[0]:.0f}"])
    return rows


def show(rows: list[list[str]]) -> None:
    """Print the table in Markdown."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for n, row in enumerate(rows):
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("| " + " | ".join([row[0].ljust(widths[0]), *numbers]) + " |")
        if n == 0:
            print("|" + "|".join("-" * (width + 1) + (":" if k else "-") for k, width in enumerate(widths)) + "|")


def save(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place and then move it there, so that a run that is killed leaves no half file."""
    beside = path.with_name(f".{path.name}")
    write(beside)
    beside.replace(path)
    print(f"saved {path}")


def write_csv(rows: list[list[str]], path: Path) -> None:
    """Write the table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def plot(scores: dict[str, list[Score]], title: str, path: Path) -> None:
    """Draw accuracy, with its range over the seeds, and training time, one bar a model."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2, sharey=True)
    names = list(scores)
    accuracy = 100 * np.array([[run.accuracy for run in runs] for runs in scores.values()])  # (models, seeds)
    seconds = [np.median([run.seconds for run in runs]) for runs in scores.values()]
    mean = accuracy.mean(axis=1)
    reach = np.stack([mean - accuracy.min(axis=1), accuracy.max(axis=1) - mean])
    left.errorbar(mean, names, xerr=reach, fmt="o", capsize=5)
    left.set_xlabel("test accuracy in %: mean, lowest and highest")
    left.grid(axis="x", alpha=0.4)
    left.invert_yaxis()
    right.bar_label(right.barh(names, seconds), fmt="%.1f", padding=3)
    right.set_xlabel("seconds of training, median")
    right.margins(x=0.15)
    figure.savefig(path, format="png", dpi=150)


def main() -> None:
    """Measure, print the table, save it and its picture."""
    common.SETTINGS[common.IMDB] |= {"epochs": 6, "maxlen": 200}  # fifteen trainings: a little less for each
    parser = common.options(__doc__ or "", Path(__file__).name)
    parser.add_argument("--seeds", type=common.at_least(1), default=3, metavar="N", help="how many runs (default: 3)")
    parser.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR", help="where to save (default: results)"
    )
    parser.add_argument("--full", action="store_true", help="all of IMDB; only --data, --seeds and --out matter then")
    config = parser.parse_args()
    scores: dict[str, list[Score]] = {name: [] for name in ("bag of words", *MODELS)}
    runs, done = config.seeds * len(scores), 0
    if config.full:
        full.main(config.data, config.seeds, config.out)
        return
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        for seed in range(config.seed, config.seed + config.seeds):
            config.seed = seed
            reviews = common.load(config)
            for name, score in measure(reviews, config):
                scores[name].append(score)
                done += 1
                progress = f"{done:2} of {runs}   seed {seed}   {name:<18}"
                print(f"{progress}   {score.accuracy:6.1%}   {score.seconds:5.1f} s", flush=True)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"{Path(__file__).name}: {error}")

    rows = table(scores)
    print()
    show(rows)
    print()
    title = f"{config.reviews:,} reviews of {reviews.corpus}, {config.seeds} seeds"
    save(config.out / "compare.csv", lambda path: write_csv(rows, path))
    save(config.out / "compare.png", lambda path: plot(scores, title, path))


if __name__ == "__main__":
    main()
