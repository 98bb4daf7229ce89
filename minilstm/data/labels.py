"""Labels of your own texts: their order, those that look alike, and what to hold out for validation."""

import math
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from minilstm.arrays import Array


def hold_out(texts: Sequence[str], labels: Sequence[str], fraction: float, seed: int) -> Array:
    """Draw texts for validation, (N,) of bool: a fraction of the texts of each label, but at least one.

    All copies of a text with the same label are on the same side, where a label has more than one text: a model that
    remembers a text would otherwise seem to understand it. If copies are on both sides nevertheless, a UserWarning
    says how many. Each label needs two texts or more.
    """
    rng = np.random.default_rng(seed)
    names, y = np.unique(labels, return_inverse=True)  # y (N,)
    held_out = np.zeros(len(y), bool)  # (N,)
    for k in range(len(names)):
        drawn = rng.permutation(np.flatnonzero(y == k)).tolist()
        copies = defaultdict(list)
        for n in drawn:
            copies[texts[n]].append(n)
        groups = list(copies.values()) if len(copies) > 1 else [[n] for n in drawn]
        wanted, taken = max(1, round(fraction * len(drawn))), 0
        for group in groups[:-1]:  # the last one is left to train on
            if taken + len(group) <= wanted:
                held_out[group], taken = True, taken + len(group)
        if not taken:
            held_out[min(groups, key=len)] = True
    kept = {text for text, out in zip(texts, held_out.tolist(), strict=True) if not out}
    if leaked := sum(text in kept for text, out in zip(texts, held_out.tolist(), strict=True) if out):
        reason = "because a label has just one text, or a text has several labels"
        warnings.warn(
            f"{leaked} of {held_out.sum()} held-out texts are also in the training part, {reason}", stacklevel=2
        )
    return held_out


def sort_labels(labels: Iterable[str]) -> list[str]:
    """Sort distinct labels: numbers first, by value, then the others as text."""

    def key(label: str) -> tuple[float, str]:
        number = _number(label)
        return (math.inf if number is None else number), label

    return sorted(set(labels), key=key)


def shorten(names: Sequence[str], most: int = 12) -> str:
    """List names for a message: all of them, or the first ones and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def printable(text: str) -> str:
    """Escape what is not printable, so that a label out of a file cannot send commands to the terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if number == number else None


def warn_of_look_alikes(labels: Sequence[str]) -> None:
    """Warn of labels that differ only in case, quotes or the form of a number."""
    counts = Counter(labels)
    alike = defaultdict(list)
    for label in sort_labels(counts):
        plain = unicodedata.normalize("NFKC", label).casefold().strip("\"'` ")
        alike[plain if (number := _number(plain)) is None else number].append(label)
    groups = [
        " / ".join(f"{label!r} ({counts[label]})" for label in group) for group in alike.values() if len(group) > 1
    ]
    if groups:
        remedy = "if they mean the same, spell them alike"
        warnings.warn(f"some labels look alike but count as different: {shorten(groups)}; {remedy}", stacklevel=3)
