"""Which words each unit of an LSTM follows: the contexts that raise and lower its c_t most, over many texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.explain.reader import Reader
from minilstm.explain.trace import run, states
from minilstm.model import Sequential

BEST = 3  # contexts of each kind for a unit
AROUND = 2  # words read before the one that changed c_t

Changes = dict[tuple[tuple[str, ...], int], float]  # how much the word at an index of some words changed c_t


def contexts(model: Sequential, texts: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """For each LSTM whose steps are words, find the contexts that raise and lower c_t of each unit most.

    A list for each layer, by name, with an item for each unit: {"raises": [context, ...], "lowers": [...]}, the
    largest change first. A context is {"words", "at", "change"}: the word words[at] changed c_t of the unit by that
    much. The units of a Bidirectional are those of the LSTM that reads forwards, then those of the other.
    """
    reader = Reader(model)
    found: dict[str, list[tuple[Changes, Changes]]] = {}
    for text in texts:
        words, ids = reader.split(text)
        tokens = [word.text for word in words if word.position is not None]
        runs = list(run(reader.layers, *reader.batch([ids])))
        units: dict[str, list[tuple[list[str], Array, bool]]] = {}
        for s in states(runs, [np.zeros_like(r.y) for r in runs]):
            if s.words and tokens:
                change = np.diff(s.cache.c[:, 0], axis=0)[: s.cache.lengths[0]]  # (T, H), in the order of reading
                change = change[: len(tokens)] if s.backwards else change[-len(tokens) :]  # (N, H), without padding
                in_order = tokens[::-1] if s.backwards else tokens
                units.setdefault(s.name.split(".")[0], []).append((in_order, change, s.backwards))
        for name, parts in units.items():
            every = [(in_order, c, backwards) for in_order, change, backwards in parts for c in change.T]
            for (raises, lowers), item in zip(found.setdefault(name, [({}, {}) for _ in every]), every, strict=True):
                note(raises, *item)
                note(lowers, item[0], -item[1], item[2])
    return {name: [as_dict(*unit) for unit in units] for name, units in found.items()}


def note(best: Changes, tokens: Sequence[str], change: Array, backwards: bool) -> None:
    """Enter the largest positive changes of c_t at the tokens (N,), in the order of reading, in ``best``."""
    for t in np.argsort(-change)[:BEST]:
        if change[t] > 0:
            before = tokens[max(0, t - AROUND) : t + 1]
            context = (tuple(before[::-1]), 0) if backwards else (tuple(before), len(before) - 1)
            best[context] = max(best.get(context, 0.0), float(change[t]))
    for context in sorted(best, key=best.__getitem__)[:-BEST]:
        del best[context]


def as_dict(raises: Changes, lowers: Changes) -> dict[str, list[dict[str, Any]]]:
    """Describe one unit for the page."""
    out = {}
    for key, sign, best in (("raises", 1, raises), ("lowers", -1, lowers)):
        ranked = sorted(best.items(), key=lambda item: -item[1])
        out[key] = [{"words": list(words), "at": at, "change": sign * change} for (words, at), change in ranked]
    return out
