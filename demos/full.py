"""``compare.py --full``: what each model reaches on all of IMDB and on parts of it, written into README.md."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import best
import numpy as np
from matplotlib.figure import Figure
from runs import ALL, BASELINES, MODELS, PAGES, Job, Score, ScoreStore, fill_in, machine, mean_and_range, run_all

USUAL: dict[str, Any] = {
    "vocab_size": 20_000,
    "maxlen": 400,
    "embedding_dims": 128,
    "hidden_dims": 64,
    "word_dropout": 0.4,
    "dropout": 0.5,
    "batch_size": 64,
    "learning_rate": 0.002,
    "epochs": 5,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "CNN": USUAL | {"word_dropout": 0.5, "learning_rate": 0.001, "epochs": 8},
    "LSTM": USUAL,
    "deep LSTM": USUAL,
    "bidirectional LSTM": USUAL,
    "CNN-LSTM": USUAL,
}
"""Chosen on the reviews held out, see README.md."""
SIZES = [500, 1_000, 2_500, 5_000, 10_000]
PLOTS = PAGES / "plots"


def on_part(name: str, N: int) -> dict[str, Any]:
    """Give the settings for N reviews: smaller batches and more epochs, or there would be too few steps."""
    if name in BASELINES:
        return {}
    epochs = round(SETTINGS[name]["epochs"] * (ALL / N) ** (1 / 3))
    return SETTINGS[name] | {"epochs": epochs, "batch_size": 16 if N < 2_500 else 32 if N < 10_000 else 64}


def whole(name: str, seed: int = 0) -> Job:
    """Make the job of training on all reviews."""
    return Job(name, MODELS.get(name), SETTINGS.get(name, {}), seed)


def held_out(name: str) -> Job:
    """Make the job that shows epoch by epoch how it goes, on the reviews held out."""
    return whole(name)._replace(reviews=ALL * 9 // 10, held_out=True)


def part(name: str, N: int) -> Job:
    """Make the job of training on N reviews."""
    return Job(name, MODELS.get(name), on_part(name, N), 0, N)


def main(data: str | None, seeds: int, out: Path) -> None:
    """Run what is not in ``out`` yet, and write tables and plots."""
    kept = ScoreStore(out / "scores.jsonl")
    names = (*BASELINES, *MODELS)
    runs = {name: [whole(name, seed) for seed in range(1 if name in BASELINES else seeds)] for name in names}
    runs["best.py"] = [best.job(seed) for seed in range(seeds)]
    curves = [held_out(name) for name in MODELS]
    parts = {(name, N): part(name, N) for name in names for N in SIZES}
    run_all([*itertools.chain(*runs.values()), *curves, *parts.values()], kept, data)

    page = PAGES / "README.md"
    scores = {name: run_all(jobs, kept, data) for name, jobs in runs.items()}
    told = f"Seeds 0 to {seeds - 1}; the baselines do not depend on a seed. {machine()}."
    fill_in(page, "all reviews", "\n".join([told, "", *table(scores), "", "Settings:", "", *settings()]))
    draw_curves(dict(zip(MODELS, run_all(curves, kept, data), strict=True)), PLOTS / "epochs.png")
    grid = dict(zip(parts, run_all([*parts.values()], kept, data), strict=True))
    grid |= {(name, ALL): scores[name][0] for name in names}
    fill_in(page, "parts", "\n".join(parts_table(grid)))
    draw_parts(grid, PLOTS / "reviews.png")


def table(scores: dict[str, list[Score]]) -> list[str]:
    """Write the table of all models."""
    lines = ["| model | test accuracy in % | minutes | parameters |", "| --- | ---: | ---: | ---: |"]
    for name, runs in scores.items():
        minutes = " to ".join(dict.fromkeys(f"{pick(run.seconds for run in runs) / 60:.1f}" for pick in (min, max)))
        lines.append(f"| {name} | {mean_and_range(runs)} | {minutes} | {runs[0].parameters:,} |")
    return lines


def settings() -> list[str]:
    """Write the table of the settings."""
    columns = {**SETTINGS, "best.py": best.SETTINGS}
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for setting in USUAL:
        lines.append(f"| {setting} | " + " | ".join(f"{column[setting]:,}" for column in columns.values()) + " |")
    reads = ("words and pairs" if column.get("pairs") else "words" for column in columns.values())
    return [*lines, "| reads | " + " | ".join(reads) + " |"]


def parts_table(grid: dict[tuple[str, int], Score]) -> list[str]:
    """Write accuracies by model and number of reviews."""
    sizes = [*SIZES, ALL]
    lines = ["| reviews | " + " | ".join(f"{N:,}" for N in sizes) + " |", "| --- |" + " ---: |" * len(sizes)]
    for name in dict.fromkeys(name for name, _ in grid):
        lines.append(f"| {name} | " + " | ".join(f"{100 * grid[name, N].accuracy:.1f}" for N in sizes) + " |")
    return lines


def draw_curves(scores: dict[str, Score], path: Path) -> None:
    """Draw the accuracy after each epoch: on the reviews trained on, and on those held out."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, score in scores.items():
        epochs = range(1, len(score.history["accuracy"]) + 1)
        left.plot(epochs, 100 * np.array(score.history["accuracy"]), marker="o", label=name)
        right.plot(epochs, 100 * np.array(score.history["val_accuracy"]), marker="o", label=name)
    left.set(title="reviews trained on, words hidden", xlabel="epoch", ylabel="accuracy in %")
    right.set(title="reviews held out", xlabel="epoch", ylim=(50, 100))
    right.legend(loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.4)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, format="png", dpi=150)


def draw_parts(grid: dict[tuple[str, int], Score], path: Path) -> None:
    """Draw the test accuracy against the number of reviews trained on."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(name for name, _ in grid):
        line = "--" if name in BASELINES else "-"
        accuracy = [100 * grid[name, N].accuracy for N in (*SIZES, ALL)]
        axes.plot((*SIZES, ALL), accuracy, marker="o", label=name, linestyle=line)
    axes.set(xscale="log", xlabel="reviews trained on", ylabel="test accuracy in %")
    axes.set_xticks((*SIZES, ALL), [f"{N:,}" for N in (*SIZES, ALL)])
    axes.minorticks_off()
    axes.grid(alpha=0.4)
    axes.legend(loc="lower right")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, format="png", dpi=150)
