"""What the tutorial says of its models, and what measuring says: writes the tables and the plot in what_we_found.md.

Expect an hour or two from nothing; the scores that ``compare.py --full`` keeps in the same --out are not made again. A
run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
from full import PLOTS, SIZES, draw_curves, held_out, part, whole
from runs import ALL, MODELS, PAGES, Job, Kept, Score, fill_in, machine, options, run_all, spread

from minilstm import LSTM, Dense, Dropout, Embedding, Sequential

SIGMOID, FEW = "LSTM, activation sigmoid", 5_000
MATRIX = {"vocab_size": 1_000, "maxlen": 1_000, "word_dropout": 0.0, "epochs": 6}  # a step for each word known
INPUTS: dict[str, dict[str, Any]] = {"texts_to_sequences": {}, "texts_to_matrix": {"matrix": True}}


def with_sigmoid(config: argparse.Namespace) -> Sequential:
    """Stack the layers of ``lstm.py``, with the tutorial's sigmoid where the cell is written and shown."""
    model = Sequential(seed=config.seed)
    model.add(Embedding(config.vocab_size, config.embedding_dims, dropout=config.word_dropout))
    model.add(LSTM(config.hidden_dims, activation="sigmoid"))
    model.add(Dropout(config.dropout))
    model.add(Dense(1, activation="sigmoid"))
    return model


def by_input(name: str, given: str, seed: int) -> Job:
    """Make the job of training on one of INPUTS."""
    return Job(name, MODELS[name], part(name, FEW, seed).settings | MATRIX | INPUTS[given], seed, FEW)


def main() -> None:
    """Train what was not trained yet, and write the page."""
    config = options(__doc__ or "", Path(__file__).name).parse_args()
    kept, seeds, page = Kept(config.out / "scores.jsonl"), range(config.seeds), PAGES / "what_we_found.md"
    models = ("LSTM", "deep LSTM", "bidirectional LSTM", "CNN-LSTM")
    jobs: dict[Any, list[Job]] = {(name, N): [part(name, N, seed) for seed in seeds] for name in models for N in SIZES}
    jobs |= {(name, ALL): [whole(name, seed) for seed in seeds] for name in models}
    jobs |= {(SIGMOID, ALL): [sigmoid(whole("LSTM", seed)) for seed in seeds]}
    jobs |= {(*of, FEW): [by_input(*of, seed) for seed in seeds] for of in itertools.product(("CNN", "LSTM"), INPUTS)}
    curves = [held_out("LSTM"), sigmoid(held_out("LSTM"))]
    try:
        run_all([*curves, *itertools.chain(*jobs.values())], kept, config.data)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"{Path(__file__).name}: {error}")

    scores = {of: run_all(some, kept, config.data) for of, some in jobs.items()}
    fill_in(page, "machine", f"Seeds 0 to {config.seeds - 1}; {machine()}.")
    fill_in(page, "deep", beside(scores, "LSTM", "deep LSTM"))
    fill_in(page, "both directions", beside(scores, "LSTM", "bidirectional LSTM"))
    fill_in(page, "hybrid", beside(scores, "LSTM", "CNN-LSTM"))
    fill_in(page, "sigmoid", rows("all reviews", {name: scores[name, ALL] for name in ("LSTM", SIGMOID)}))
    draw_curves(dict(zip(("tanh", "sigmoid"), run_all(curves, kept, config.data), strict=True)), PLOTS / "sigmoid.png")
    told = {
        f"{name} on {given}": scores[name, given, FEW] for name, given in itertools.product(("CNN", "LSTM"), INPUTS)
    }
    fill_in(page, "matrix", rows(f"{FEW:,} reviews", told))


def sigmoid(job: Job) -> Job:
    """Make it the job of an LSTM with the tutorial's activation."""
    return job._replace(model=SIGMOID, make_model=with_sigmoid)


def beside(scores: dict[Any, list[Score]], one: str, other: str) -> str:
    """Write accuracy and time of two models by number of reviews."""
    lines = [
        f"| reviews | {one} | {other} | seconds | seconds | times as long |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for N in (*SIZES, ALL):
        pair = scores[one, N], scores[other, N]
        first, second = (float(np.median([run.seconds for run in runs])) for runs in pair)
        accuracy = " | ".join(map(spread, pair))
        lines.append(f"| {N:,} | {accuracy} | {first:.0f} | {second:.0f} | {second / first:.2f} |")
    return "\n".join(lines)


def rows(title: str, scores: dict[str, list[Score]]) -> str:
    """Write accuracy and time of some models."""
    lines = [f"| {title} | test accuracy in % | seconds |", "| --- | ---: | ---: |"]
    for name, runs in scores.items():
        lines.append(f"| {name} | {spread(runs)} | {np.median([run.seconds for run in runs]):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
