"""Every model on all of IMDB and on parts of it, next to two baselines: the tables and plots in README.md.

Expect more than an hour on two cores with three seeds. Scores are cached in --out: after an interruption, the same
command resumes. It prints the tables in Markdown and saves the plots epochs.png and reviews.png in --out.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import best
from matplotlib.figure import Figure
from runs import (
    ALL,
    BASELINES,
    MODELS,
    Job,
    Runner,
    Score,
    draw_curves,
    machine,
    make_parser,
    mean_and_range,
    print_table,
    save_figure,
)

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
SETTINGS: dict[str, dict[str, Any]] = {  # chosen on validation reviews
    "CNN": USUAL | {"word_dropout": 0.5, "learning_rate": 0.001, "epochs": 8},
    "LSTM": USUAL,
    "deep LSTM": USUAL,
    "bidirectional LSTM": USUAL,
    "CNN-LSTM": USUAL,
}
SIZES = [500, 1_000, 2_500, 5_000, 10_000]


def whole(name: str, seed: int = 0) -> Job:
    """Make the job of training on all reviews."""
    return Job(name, SETTINGS.get(name, {}), seed)


def with_validation(name: str) -> Job:
    """Make the job that measures the accuracy on a tenth of the training reviews after each epoch."""
    return whole(name)._replace(reviews=ALL * 9 // 10, validation=True)


def part(name: str, N: int) -> Job:
    """Make the job of training on N reviews, with smaller batches and more epochs so that there are enough steps."""
    if name in BASELINES:
        return Job(name, {}, reviews=N)
    epochs = round(SETTINGS[name]["epochs"] * (ALL / N) ** (1 / 3))
    batch_size = 16 if N < 2_500 else 32 if N < 10_000 else 64
    return Job(name, SETTINGS[name] | {"epochs": epochs, "batch_size": batch_size}, reviews=N)


def main() -> None:
    """Run the jobs that are not cached, print the tables and save the plots."""
    config = make_parser(__doc__, __file__).parse_args()
    run = Runner(config.data, config.out, {best.NAME: best.build_model})
    names = (*BASELINES, *MODELS)
    whole_jobs = {name: [whole(name, n) for n in range(1 if name in BASELINES else config.seeds)] for name in names}
    whole_jobs[best.NAME] = [Job(best.NAME, best.SETTINGS, n) for n in range(config.seeds)]
    curve_jobs = [with_validation(name) for name in MODELS]
    part_jobs = {(name, N): part(name, N) for name in names for N in SIZES}

    jobs = [*itertools.chain(*whole_jobs.values()), *curve_jobs, *part_jobs.values()]
    scores = iter(run(jobs))
    on_all = {name: [next(scores) for _ in some] for name, some in whole_jobs.items()}
    curves = {name: next(scores) for name in MODELS}
    grid = {key: next(scores) for key in part_jobs} | {(name, ALL): on_all[name][0] for name in names}

    print(f"\nSeeds 0 to {config.seeds - 1}; the baselines do not depend on a seed. {machine()}.")
    print_table("All reviews:", models_table(on_all))
    print_table("Settings:", settings_table())
    print_table("Test accuracy in %, seed 0, by number of training reviews:", parts_table(grid))
    print()
    draw_curves(curves, config.out / "epochs.png")
    draw_parts(grid, config.out / "reviews.png")


def models_table(scores: dict[str, list[Score]]) -> list[list[str]]:
    """Lay out the table of all models."""
    rows = [["model", "test accuracy in %", "minutes", "parameters"]]
    for name, runs in scores.items():
        minutes = " to ".join(dict.fromkeys(f"{pick(run.seconds for run in runs) / 60:.1f}" for pick in (min, max)))
        rows.append([name, mean_and_range(runs), minutes, f"{runs[0].parameters:,}"])
    return rows


def settings_table() -> list[list[str]]:
    """Lay out the table of the settings."""
    columns = {**SETTINGS, best.NAME: best.SETTINGS}
    rows = [["", *columns]]
    rows += [[setting, *(f"{column[setting]:,}" for column in columns.values())] for setting in USUAL]
    return [*rows, ["input", *("words and pairs" if column.get("pairs") else "words" for column in columns.values())]]


def parts_table(grid: dict[tuple[str, int], Score]) -> list[list[str]]:
    """Lay out accuracies by model and number of training reviews."""
    sizes = [*SIZES, ALL]
    rows = [["reviews", *(f"{N:,}" for N in sizes)]]
    for name in dict.fromkeys(name for name, _ in grid):
        rows.append([name, *(f"{100 * grid[name, N].accuracy:.1f}" for N in sizes)])
    return rows


def draw_parts(grid: dict[tuple[str, int], Score], path: Path) -> None:
    """Plot the test accuracy against the number of training reviews."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    sizes = [*SIZES, ALL]
    for name in dict.fromkeys(name for name, _ in grid):
        line = "--" if name in BASELINES else "-"
        axes.plot(sizes, [100 * grid[name, N].accuracy for N in sizes], marker="o", label=name, linestyle=line)
    axes.set(xscale="log", xlabel="training reviews", ylabel="test accuracy in %")
    axes.set_xticks(sizes, [f"{N:,}" for N in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.4)
    axes.legend(loc="lower right")
    save_figure(figure, path)


if __name__ == "__main__":
    main()
