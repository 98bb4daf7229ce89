"""Compare all five demos and the bag of words on the same reviews: test accuracy, training time and size.

Expect 85 to 86% from all five on IMDB, with up to 2 points between two seeds, and 87% from the bag of words: 5,000
reviews are few. What differs is the time. On the built-in corpus all five come close to 100%, and the bag of words to
60%. Each seed draws its own reviews and initial weights. For all of IMDB, see ``full.py``.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from runs import MODELS, EpochLines, Score, add_seeds_and_out, clip, print_table, save_figure

from minilstm import OneCycle, Tokenizer
from minilstm.data import load_builtin, load_imdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demos"))

import common


def measure(config: argparse.Namespace) -> Iterator[tuple[str, Score]]:
    """Train every model once, and yield its name and score as soon as it is done."""
    if config.data == "builtin":
        (X, y), (X_test, y_test) = load_builtin(config.reviews, config.seed)
        cut = len(X) // 10
        X_train, y_train, X_val, y_val = X[cut:], y[cut:], X[:cut], y[:cut]
    else:
        with common.one_line_errors():
            (X_train, y_train), (X_val, y_val), (X_test, y_test) = load_imdb(
                config.data, reviews=config.reviews, seed=config.seed, validation=0.1
            )
    tokenizer = Tokenizer(num_words=config.vocab_size)
    tokenizer.fit_on_texts(X_train)
    train, val, test = (tokenizer.texts_to_sequences(texts) for texts in (X_train, X_val, X_test))

    start = time.perf_counter()
    accuracy = common.bag_of_words(train, y_train, test, y_test, config.vocab_size)
    yield "bag of words", Score(accuracy, time.perf_counter() - start, config.vocab_size + 1, {})
    for name, build_model in MODELS.items():
        model = build_model(config)
        x_train, x_val, x_test = (clip(model, part, config.maxlen) for part in (train, val, test))
        start = time.perf_counter()
        history = model.fit(
            x_train,
            y_train,
            batch_size=config.batch_size,
            epochs=config.epochs,
            verbose=0,
            validation_data=(x_val, y_val),
            callbacks=[OneCycle(), EpochLines(f"{name}, seed {config.seed}")],
        )
        seconds = time.perf_counter() - start
        parameters = sum(weights.size for weights in model.get_weights())
        p = model.predict(x_test, batch_size=128, verbose=0)[:, 0]  # (N,)
        yield name, Score(float(np.mean((p > 0.5) == y_test)), seconds, parameters, history.history)


def make_rows(scores: dict[str, list[Score]]) -> list[list[str]]:
    """Format the scores as rows of text, the head first. Seconds are medians, since the first run compiles kernels."""
    rows = [["model", "accuracy", "lowest", "highest", "seconds", "parameters"]]
    for name, runs in scores.items():
        accuracy = np.array([100 * run.accuracy for run in runs])  # (seeds,)
        percent = [f"{a:.1f}" for a in (accuracy.mean(), accuracy.min(), accuracy.max())]
        rows.append([name, *percent, f"{np.median([run.seconds for run in runs]):.1f}", f"{runs[0].parameters}"])
    return rows


def plot(scores: dict[str, list[Score]], title: str) -> Figure:
    """Plot the accuracy of each model, with its range over the seeds, and its training time."""
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
    return figure


def main() -> None:
    """Measure, print the table, and save it with its plot."""
    common.IMDB |= {"epochs": 6, "maxlen": 200}  # a little less than in the demos, as this trains 15 models
    parser = common.make_parser(__doc__, __file__, shortest=10)
    add_seeds_and_out(parser)
    config = common.settle(parser.parse_args())
    scores: dict[str, list[Score]] = {name: [] for name in ("bag of words", *MODELS)}
    total = config.seeds * len(scores)
    with common.one_line_errors():
        config.out.mkdir(parents=True, exist_ok=True)
    for seed in range(config.seed, config.seed + config.seeds):
        for name, score in measure(argparse.Namespace(**{**vars(config), "seed": seed})):
            scores[name].append(score)
            label = f"{sum(map(len, scores.values()))} of {total}: {name}, seed {seed}"
            print(f"{label}: test accuracy {score.accuracy:.1%} after {score.seconds:.1f} s of training", flush=True)

    rows = make_rows(scores)
    title = f"{config.reviews:,} reviews of {config.corpus}, {config.seeds} seed{'s' * (config.seeds > 1)}"
    print_table(f"{title}:", rows)
    print()
    with (config.out / "compare.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    print(f"saved {config.out / 'compare.csv'}")
    save_figure(plot(scores, title), config.out / "compare.png")


if __name__ == "__main__":
    main()
