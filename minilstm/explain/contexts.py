"""Which words each unit of an LSTM follows: the contexts that raise and lower its c_t most, over many texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.explain.reader import Reader
from minilstm.explain.states import run, states
from minilstm.model import Sequential

BEST = 3  # contexts of each kind for a unit
BATCH = 32  # texts that are run at a time
AROUND = 2  # words read before the one that changed c_t

Changes = dict[tuple[tuple[str, ...], int], float]  # how much the word at an index of a context changed c_t


def contexts(model: Sequential, texts: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """For each LSTM whose steps are words, find the contexts that raise and lower c_t of each unit most.

    Return a list for each layer, by name, with an item for each unit: {"raises": [context, ...], "lowers": [...]}, the
    largest change first. A context is {"words", "at", "change"}: the word words[at] changed c_t of the unit by that
    much. The units of a Bidirectional are those of the LSTM that reads forwards, then those of the other.
    """
    reader = Reader(model)
    read = [
        ([word.text for word in words if word.position is not None], ids) for words, ids in map(reader.split, texts)
    ]
    read = sorted((pair for pair in read if pair[0]), key=lambda pair: len(pair[0]))  # batches of similar length
    found: dict[tuple[str, str], list[tuple[Changes, Changes]]] = {}
    for part in (read[n : n + BATCH] for n in range(0, len(read), BATCH)):
        runs = list(run(reader.layers, *reader.batch([ids for _, ids in part])))
        for s in states(runs, [np.zeros_like(r.y) for r in runs]):
            if not s.words:
                continue
            name, (_, _, H) = runs[s.layer_index].layer.name, s.cache.c.shape
            units = found.setdefault((name, s.name), [({}, {}) for _ in range(H)])
            for b, (tokens, _) in enumerate(part):
                change = np.diff(s.cache.c[:, b], axis=0)[: s.cache.lengths[b]]  # (T, H), in the order of reading
                change = change[: len(tokens)] if s.backwards else change[-len(tokens) :]  # (N, H), without padding
                for (raises, lowers), c in zip(units, change.T, strict=True):
                    note(raises, tokens, c, s.backwards)
                    note(lowers, tokens, -c, s.backwards)
    out: dict[str, list[dict[str, Any]]] = {}
    for (name, _), units in found.items():
        out.setdefault(name, []).extend(as_dict(*unit) for unit in units)
    return out


def note(best: Changes, tokens: Sequence[str], change: Array, backwards: bool) -> None:
    """Keep the largest positive changes of c_t (N,), in the order of reading, and the words around them."""
    N = len(tokens)
    for t in np.argsort(-change)[:BEST].tolist():
        if change[t] > 0:
            first, last = (N - 1 - t, N + AROUND - t) if backwards else (max(0, t - AROUND), t + 1)
            context = tuple(tokens[first:last]), 0 if backwards else t - first
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
