"""Draw a trace: the running prediction, the gates and the cell, and the gradients that flow back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from minilstm.explain.trace import Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RAISES, LOWERS = "#d55e00", "#0072b2"  # colours that remain distinct for colour-blind readers (Okabe & Ito 2008)
METHODS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
WORDS = 60  # shown at most; the last ones of a longer text
PANELS = {
    "i": "input gate: how much to write",
    "f": "forget gate: how much to keep",
    "g": "candidate: what to write",
    "o": "output gate: how much to show",
    "c": "cell: what is in the memory",
}


def plot_trace(trace: Trace, path: str | os.PathLike[str] | None = None, lstm: str | None = None) -> Figure:
    """Draw what happened while a model read a text, with a column for each step.

    At the top are the logit after each word, and what each word adds to it by each attribution. Below are the gates and
    the cell of an LSTM, with a row for each unit, and the sizes of the gradients with respect to h_t and c_t, on a
    logarithmic scale. For a text with more than 60 steps, the last 60 are shown.

    Args:
        trace: what :func:`minilstm.explain.trace.trace` returned.
        path: a file to save the picture in; its extension determines the format.
        lstm: which of ``trace.lstms`` to show; None for the last.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
        ValueError: ``lstm`` is not among ``trace.lstms``, or the text has no steps.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; plots need it: pip install matplotlib") from error
    if lstm is not None and lstm not in trace.lstms:
        raise ValueError(
            f"lstm={lstm!r} is unknown; choose one of {', '.join(map(repr, trace.lstms)) or 'none at all'}"
        )
    if not len(trace.steps):
        raise ValueError("the text has no known words, so there is nothing to draw; trace another text")
    name = lstm or (trace.lstms[-1] if trace.lstms else None)
    heights = [2.2, 2.2, *([1.3] * len(PANELS) if name else []), *([1.8] if name else [])]  # inches
    shown = len(trace.tokens[trace.first :][-WORDS:])
    figure = Figure(figsize=(max(7, 2.2 + 0.3 * shown), sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, height_ratios=heights)
    draw_words(axes[0], axes[1], trace)
    if name:
        draw_lstm(figure, axes[2:], trace, name)
    if path is not None:
        figure.savefig(path, dpi=110)
    return figure


def label_steps(axes: Any, tokens: Any, visible: bool = True) -> None:
    """Write the words below the columns; matplotlib would take a dollar sign for mathematics."""
    words = [word.replace("$", r"\$") for word in tokens] if visible else []
    axes.set_xticks(range(len(tokens)), words or [""] * len(tokens), rotation=60, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(tokens) - 0.5)


def draw_words(above: Any, below: Any, trace: Trace) -> None:
    """Draw the running logit, and the attributions next to each other."""
    tokens, steps = trace.tokens[trace.first :][-WORDS:], trace.steps[-WORDS:]
    x = np.arange(len(tokens))
    above.axhline(0, color="gray", lw=0.8)
    above.bar(x, steps, color=np.where(steps > 0, RAISES, LOWERS), alpha=0.5, label="what the word adds")
    above.plot(x, trace["logit"][-len(x) :], "k.-", lw=1, label="logit after the word")
    name = trace.name.replace("$", r"\$")[:40]
    above.set_title(f"probability of {name}: {trace['probability'][-1]:.1%}", loc="left", fontsize=10)
    above.legend(fontsize=7)
    found = {key: a[trace.first :][-WORDS:] for key, a in trace.attributions.items()}
    below.axhline(0, color="gray", lw=0.8)
    for n, (key, a) in enumerate(found.items()):
        a = a / (np.abs(a).max(initial=0) or 1)
        below.bar(
            x + (n - (len(found) - 1) / 2) * 0.8 / len(found),
            a,
            0.8 / len(found),
            color=METHODS[n],
            label=key.replace("_", " "),
        )
    below.set_title(
        "what each word adds to the whole logit; each method relative to its largest number", loc="left", fontsize=10
    )
    below.legend(fontsize=7)
    label_steps(above, tokens, visible=False)
    label_steps(below, tokens)


def draw_lstm(figure: Any, axes: Any, trace: Trace, name: str) -> None:
    """Draw gates and cell as heat maps with fixed scales, and the gradients that reach each step."""
    T = len(trace[f"{name}.c"])
    words = len(trace.tokens) == T  # after a convolution, steps are windows
    tokens = (trace.tokens if words else list(map(str, range(1, T + 1))))[-WORDS:]
    for ax, (key, title) in zip(axes, PANELS.items(), strict=False):
        a = trace[f"{name}.{key}"][-WORDS:].T  # (H, steps)
        top, signed = max(1, np.abs(a).max(initial=0)), key in "gc"
        scale = {"vmin": -top if signed else 0, "vmax": top, "cmap": "PuOr_r" if signed else "viridis"}
        image = ax.imshow(a, aspect="auto", interpolation="nearest", **scale)
        figure.colorbar(image, ax=ax, pad=0.01)
        ax.set_title(f"{name}: {title}, a row for each unit", loc="left", fontsize=10)
        label_steps(ax, tokens, visible=False)
    last = axes[-1]
    for key, color in (("dh", LOWERS), ("dc", RAISES)):
        norms = np.linalg.norm(trace[f"{name}.{key}"], axis=1)[-WORDS:]
        last.semilogy(np.where(norms > 0, norms, np.nan), ".-", color=color, label=f"‖∂logit/∂{key[1]}‖")
    last.set_title(f"{name}: how much of the gradient comes back to each step", loc="left", fontsize=10)
    last.legend(fontsize=7)
    label_steps(last, tokens)
