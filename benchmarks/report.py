"""The report of ``compare.py``: tables in Markdown and a picture."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.frameworks import FEW, FRAMEWORKS, SIZES
from minilstm.arrays import Array


class Run(NamedTuple):
    """The result of one framework with one model at one size."""

    size: str
    model: str
    framework: str
    ms: list[float]  # for 1,000 reviews, in each timed repeat
    first_loss: float  # over the first FEW batches, the same for all frameworks
    last_loss: float  # over the last pass

    @property
    def median(self) -> float:
        """The median of the times."""
        return float(np.median(self.ms))


def ratios(run: Run, runs: Iterable[Run]) -> Array | None:
    """Divide the times of a run by minilstm's in the same repeat: (repeats,); None if minilstm was not run."""
    for other in runs:
        if (other.size, other.model, other.framework) == (run.size, run.model, "minilstm"):
            return np.array(run.ms) / np.array(other.ms)  # (repeats,)
    return None


def report(runs: list[Run], left_out: list[str], reviews: int, repeats: int) -> str:
    """Write the results in Markdown."""
    corpus_of = f"{reviews:,} reviews, {repeats} repeats, {os.cpu_count()} cores"
    packages = ["minilstm", "numpy", "numba", "torch", "tensorflow", "keras"]
    lines = [
        "# Training time, side by side",
        "",
        f"Written by `benchmarks/compare.py`: {corpus_of}, {versions(packages)}. Times are ms of training per 1,000 "
        "reviews: the median of the repeats and, in brackets, the fastest and the slowest. Ratios are to minilstm's "
        "time in the same repeat; above 1, minilstm is faster. Frameworks marked * are slow and train on only "
        f"{FEW} batches of every pass, from short reviews to long ones; their times are scaled.",
        "",
        f"The first loss is over the first {FEW} batches, which are the same for all, and shows that all do the same "
        "work. Where reviews are padded at the front, the padding is read as words, so the loss differs slightly. The "
        "last loss is over the last pass; frameworks marked * have then seen fewer reviews.",
        *(f"\nSkipped: {name}." for name in left_out),
    ]
    for size in dict.fromkeys(run.size for run in runs):
        s = SIZES[size]
        lines += [
            "",
            f"## Size '{size}'",
            "",
            f"Vocabulary {s.vocabulary:,}, at most {s.maxlen} words a review, embedding {s.embedding}, {s.hidden} LSTM "
            f"units, {s.filters} filters of {s.width}, batches of {s.batch}.",
            "",
            "| model | framework | ms per 1,000 reviews | ratio to minilstm | first loss | last loss |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        for run in (run for run in runs if run.size == size):
            q = ratios(run, runs)
            cells = [
                run.model,
                FRAMEWORKS[run.framework].title + ("" if FRAMEWORKS[run.framework].all_batches else " *"),
                f"{run.median:,.0f} ({min(run.ms):,.0f} to {max(run.ms):,.0f})",
                "" if q is None else f"{np.median(q):.2f} ({q.min():.2f} to {q.max():.2f})",
                f"{run.first_loss:.4f}",
                f"{run.last_loss:.4f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *summary(runs), ""])


def summary(runs: list[Run]) -> list[str]:
    """Summarise in Markdown: each framework's time relative to minilstm's, as geometric mean and range over models."""
    lines = [
        "",
        "## Summary",
        "",
        "| framework | size | geometric mean | lowest | highest |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for framework in dict.fromkeys(run.framework for run in runs if run.framework != "minilstm"):
        for size in dict.fromkeys(run.size for run in runs):
            mine = [run for run in runs if (run.framework, run.size) == (framework, size)]
            found = {run.model: float(np.median(q)) for run in mine if (q := ratios(run, runs)) is not None}
            if found:
                mean = np.exp(np.mean(np.log(list(found.values()))))
                low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
                lines.append(
                    f"| {FRAMEWORKS[framework].title} | {size} | {mean:.2f} | "
                    f"{found[low]:.2f} ({low}) | {found[high]:.2f} ({high}) |"
                )
    return lines if len(lines) > 5 else []


def versions(packages: Sequence[str]) -> str:
    """List the versions of Python and of those packages that are installed."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        for distribution in (package, f"{package}-cpu"):
            try:
                found.append(f"{package} {importlib.metadata.version(distribution)}")
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return ", ".join(found)


def plot(runs: list[Run], path: Path) -> None:
    """Draw a bar for every run, grouped by model, with the range over the repeats."""
    from matplotlib.figure import Figure

    sizes = list(dict.fromkeys(run.size for run in runs))
    models = list(dict.fromkeys(run.model for run in runs))
    names = list(dict.fromkeys(run.framework for run in runs))
    height = 0.85 / len(names)
    figure = Figure(figsize=(6.5 * len(sizes), 1.2 + 0.22 * len(names) * len(models)), layout="constrained")
    axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axis, size in zip(axes, sizes, strict=True):
        for n, name in enumerate(names):
            mine = [run for run in runs if (run.size, run.framework) == (size, name)]
            y = [models.index(run.model) + (n - (len(names) - 1) / 2) * height for run in mine]
            median = np.array([run.median for run in mine])  # (models,)
            reach = [median - [min(run.ms) for run in mine], [max(run.ms) for run in mine] - median]
            bars = axis.barh(y, median, height, xerr=reach, label=FRAMEWORKS[name].title, error_kw={"lw": 0.8})
            axis.bar_label(bars, [f"{ms:,.0f}" for ms in median], padding=4, fontsize=7)
        axis.set(title=f"size '{size}'", xscale="log", xlabel="ms of training per 1,000 reviews (log scale)")
        axis.set_yticks(range(len(models)), models)
        axis.margins(x=0.15)
        axis.grid(axis="x", alpha=0.4)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, format="png", dpi=150)
