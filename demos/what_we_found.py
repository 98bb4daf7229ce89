"""What the tutorial says of its models, and what measuring says: writes the tables and the plot in what_we_found.md.

Expect an hour from nothing, some minutes after ``compare.py --full``: the scores that it keeps in the same --out are
not made again.
"""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import lstm
from full import PLOTS, SIZES, draw_curves, held_out, part, whole
from runs import ALL, MODELS, PAGES, Job, Score, ScoreStore, fill_in, machine, mean_and_range, options, run_all

SIGMOID, FEW = "LSTM, activation sigmoid", 5_000
MATRIX = {"vocab_size": 1_000, "maxlen": 1_000, "word_dropout": 0.0, "epochs": 6}  # a step for each word known
INPUTS: dict[str, dict[str, Any]] = {"texts_to_sequences": {}, "texts_to_matrix": {"matrix": True}}


def by_input(name: str, given: str) -> Job:
    """Make the job of training on one of INPUTS."""
    return Job(name, MODELS[name], part(name, FEW).settings | MATRIX | INPUTS[given], 0, FEW)


def main() -> None:
    """Train what was not trained yet, and write the page."""
    config = options(__doc__ or "", Path(__file__).name).parse_args()
    kept, seeds, page = ScoreStore(config.out / "scores.jsonl"), range(config.seeds), PAGES / "what_we_found.md"
    models = ("LSTM", "deep LSTM", "bidirectional LSTM", "CNN-LSTM")
    jobs: dict[Any, list[Job]] = {(name, N): [part(name, N)] for name in models for N in SIZES}
    jobs |= {(name, ALL): [whole(name, seed) for seed in seeds] for name in models}
    jobs |= {(SIGMOID, ALL): [sigmoid(whole("LSTM"))]}
    jobs |= {(*of, FEW): [by_input(*of)] for of in itertools.product(("CNN", "LSTM"), INPUTS)}
    curves = [held_out("LSTM"), sigmoid(held_out("LSTM"))]
    run_all([*curves, *itertools.chain(*jobs.values())], kept, config.data)

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
    return job._replace(model=SIGMOID, make_model=functools.partial(lstm.make_model, activation="sigmoid"))


def beside(scores: dict[Any, list[Score]], one: str, other: str) -> str:
    """Write the accuracy of two models by number of reviews, and how long each takes for all of them."""
    lines = [f"| reviews | {one} | {other} |", "| ---: | ---: | ---: |"]
    for N in (*SIZES, ALL):
        lines.append(f"| {N:,} | {mean_and_range(scores[one, N])} | {mean_and_range(scores[other, N])} |")
    first, second = (min(run.seconds for run in scores[name, ALL]) for name in (one, other))
    times = f"{first:.0f} s and {second:.0f} s, {second / first:.2f} times as long"
    return "\n".join([*lines, "", f"Training on all reviews took {times}, each at its fastest."])


def rows(title: str, scores: dict[str, list[Score]]) -> str:
    """Write the accuracy of some models."""
    lines = [f"| {name} | {mean_and_range(runs)} |" for name, runs in scores.items()]
    return "\n".join([f"| {title} | test accuracy in % |", "| --- | ---: |", *lines])


if __name__ == "__main__":
    main()
