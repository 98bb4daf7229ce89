"""The commands ``look`` and ``page``: their options, and what they print."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minilstm.data.labels import printable
from minilstm.data.own import load_own
from minilstm.explain.page import write_page
from minilstm.explain.plot import plot_trace
from minilstm.explain.trace import Trace, trace
from minilstm.model import Sequential

LOOK = """\
This prints a line for each word: the probability after it, the step by which it changes the logit, a bar for that step,
and the units of the last LSTM whose c changes most, with the change. Below that, it prints how much each word adds to
the whole logit, by several methods, which do not always agree.

examples:
  python -m minilstm look model.safetensors 'The plot was dull, but the music was superb.'
  python -m minilstm look model.safetensors 'The plot was not bad.' --plot look.png
  python -m minilstm look model.safetensors 'The plot was not bad.' --untrained
"""

PAGE = """\
The page runs the model in the browser, without network: type a text, and see every gate, equation and gradient.

examples:
  python -m minilstm page model.safetensors -o page.html
  python -m minilstm page imdb.safetensors -o page.html --texts reviews.csv --words 5000
  python -m minilstm page model.safetensors -o page.html --compare other.safetensors
"""

BAR = 12  # columns for the largest step
UNITS = 3  # named for each word


def add_commands(command: Callable[..., Any], count: Callable[[str], Any]) -> None:
    """Add both commands; ``command`` makes a parser, and ``count`` reads an integer of at least 1."""
    one: ArgumentParser = command(look, "show how a model reads a text, word by word", LOOK)
    one.add_argument("model", metavar="MODEL", help="a file that train saved")
    one.add_argument("text", metavar="TEXT", help="the text to read")
    one.add_argument("--plot", metavar="FILE", help="save a plot of gates, states and gradients, such as look.png")
    one.add_argument("--untrained", action="store_true", help="use random weights instead, to compare")
    other: ArgumentParser = command(page, "write an HTML page in which to explore a model", PAGE)
    other.add_argument("model", metavar="MODEL", help="a file that train saved")
    other.add_argument("-o", "--out", required=True, metavar="FILE", help="the page, such as page.html")
    other.add_argument("--texts", metavar="FILE", help="texts to choose from: a table, JSON, or one text per line")
    other.add_argument("--words", type=count, metavar="N", help="keep only the N most frequent words (default: all)")
    other.add_argument("--compare", metavar="MODEL", help="a second model with the same labels, to compare")


def look(options: Namespace) -> int:
    """Print how a model reads a text, and draw it on request."""
    t = trace(Sequential.load(options.model), options.text, untrained_weights=options.untrained)
    print("\n".join(printable(line) for line in lines(t)))
    if options.plot:
        plot_trace(t, options.plot)
        print(f"\nsaved {options.plot}")
    return 0


def page(options: Namespace) -> int:
    """Write the page."""
    compare = Sequential.load(options.compare) if options.compare else None
    rows = load_own(options.texts, labelled=False) if options.texts else None
    texts = [row.text for row in rows] if rows else None
    write_page(Sequential.load(options.model), options.out, texts, options.words, compare)
    print(f"saved {options.out} ({Path(options.out).stat().st_size / 1e6:.1f} MB); open it in a browser")
    return 0


def lines(t: Trace) -> list[str]:
    """Describe a trace in lines of text."""
    top, width = np.abs(t.steps).max(initial=0) or 1, max([4, *(min(24, len(word.text)) for word in t.words)])
    out = [f"probability of {t.name[:80]}: {t['probability'][-1]:.4f}", ""]
    out += [f"{'word':<{width}}  {'after it':>8}  {'step':>8}", f"{'':<{width}}  {t['probability'][0]:8.4f}"]
    units = strongest(t)
    for word in t.words:
        name = f"{word.text[:24]:<{width}}"
        if word.position is None:
            out.append(f"{name}  {'cut off' if word.known else 'unknown'}")
            continue
        n = word.position - t.first
        step = t.steps[n]
        bar = ("+" if step > 0 else "-") * round(BAR * abs(step) / top)
        out.append(f"{name}  {t['probability'][n + 1]:8.4f}  {step:+8.3f}  {bar:<{BAR}}  {units[n]}".rstrip())
    return [*out, "", *comparison(t, width)]


def comparison(t: Trace, width: int) -> list[str]:
    """Describe the attributions next to each other, their sums, and how far they agree."""
    names = {name: name.replace("_", " ") for name in t.attributions}
    out = ["what each word adds to the logit, by several methods"]
    out += [f"{'word':<{width}}  {'  '.join(f'{name:>20}' for name in names.values())}"]
    for n in range(t.first, len(t.tokens)):
        out.append(f"{t.tokens[n][:24]:<{width}}  {'  '.join(f'{t[name][n]:+20.3f}' for name in names)}")
    out += ["", *(f"{names[name]}: the sum is {a:.6f}, expected {b:.6f}" for name, (a, b) in t.checks.items())]
    pairs = {pair: r for pair, r in t.rank_correlations().items() if not np.isnan(r)}
    return out + [f"rank correlation of {names[a]} and {names[b]}: {r:.2f}" for (a, b), r in pairs.items()]


def strongest(t: Trace) -> list[str]:
    """Name for each word the units of the last LSTM whose c it changes most; nothing where steps are windows."""
    if not t.lstms or len(t[f"{t.lstms[-1]}.c"]) != len(t.tokens):
        return [""] * len(t.steps)
    name = t.lstms[-1]
    change = (t[f"{name}.c"] - t[f"{name}.c_prev"])[t.first :]  # (N, H)
    best = np.argsort(-np.abs(change), axis=1)[:, :UNITS]  # (N, 3)
    return ["  ".join(f"c[{j}] {row[j]:+.2f}" for j in js) for row, js in zip(change, best, strict=True)]
