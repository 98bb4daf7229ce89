"""What happens inside a model while it reads one text: every gate, every state, and the gradients of its logit.

    t = trace(model, "The plot was not good.")
    t["logit"]                                (N+1,), before the first of N words and after each of them
    t["lstm.f"]                               (T, H), the forget gate at each of T steps
    t["lstm.dc"]                              (T, H), the gradient of the logit with respect to c_t

The numbers are those of the layers as they are written (``model.forward`` in float64), so an edit of a layer shows.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np

from minilstm.arrays import Array, Arrays
from minilstm.explain import attributions
from minilstm.explain.reader import Reader, Word, untrained
from minilstm.explain.states import arrays_of, gradients, run, states
from minilstm.model import Sequential


@dataclass(frozen=True, eq=False)
class Trace:
    """What a model computed for one text. ``trace["lstm.i"]`` is short for ``trace.arrays["lstm.i"]``.

    N is the number of words that the model read, T the number of steps: N, or more where shorter texts are padded.

    Attributes:
        text: the text.
        words: all of its words. ``word.known`` says whether a word is in the vocabulary; ``word.position`` is its step,
            or None where the model never read it, because it is unknown or was cut off.
        tokens: the word at each step, T of them; "" where a short text is padded.
        labels: those of the classes.
        target: the class whose logit is explained.
        name: the label of this class; for a model with one output, the second label.
        lstms: the names of the LSTMs, such as "lstm" or "bidirectional.forward".
        checks: for each attribution with a known sum, the sum and what it should be.
        arrays: by name, in float64:

            - ids (T,): the token ids; x (T, D): their vectors; dx (T, D): the gradient with respect to x.
            - logit and probability (N+1,): before the first word, and after each.
            - For each layer, by its name, "dense.y" and "dense.dy": its output, (units,) or (steps, units), and the
              gradient with respect to it. That of the last layer is its logit.
            - For each of ``lstms`` with H units, "lstm.i", "lstm.f", "lstm.g", "lstm.o", "lstm.c" and "lstm.h" (T, H):
              gates and states after each step; "lstm.c_prev" and "lstm.h_prev" (T, H): the states before it.
              "lstm.dh" and "lstm.dc" (T, H): the gradients with respect to h_t and c_t; "lstm.dh_path" and
              "lstm.dc_path" (T, H): the part of them that arrives from step t+1, (0').
              "lstm.account" (T, H): what each step wrote into the last c; equation (5) of the attributions.
            - leave_one_out, gradient_x_input, integrated_gradients and, where the steps of an LSTM are words, memory
              (T,): how much each word adds to the logit. See :mod:`minilstm.explain.attributions`.

            An LSTM that reads backwards has its rows in the order of the text as well, so step t came after step t+1.
            In a convolution or pooling, and in the LSTMs after it, a step is a window and not a word.
    """

    text: str
    words: tuple[Word, ...]
    tokens: tuple[str, ...]
    labels: tuple[str, ...]
    target: int
    name: str
    lstms: tuple[str, ...]
    checks: dict[str, tuple[float, float]]
    arrays: Arrays

    def __getitem__(self, name: str) -> Array:
        """Return one of the arrays."""
        if name not in self.arrays:
            raise KeyError(f"{name!r} is unknown; choose one of {', '.join(self.arrays)}")
        return self.arrays[name]

    @property
    def steps(self) -> Array:
        """What each word that was read adds to the running logit, (N,)."""
        return np.diff(self["logit"])

    @property
    def attributions(self) -> Arrays:
        """The attributions by name, (T,) each."""
        return {name: self[name] for name in attributions.NAMES if name in self.arrays}

    def rank_correlations(self) -> dict[tuple[str, str], float]:
        """How similarly two attributions rank the words: Spearman's coefficient, for each pair of them."""
        return attributions.rank_correlations({n: a[self.first :] for n, a in self.attributions.items()})

    @property
    def first(self) -> int:
        """The first step that is a word and not padding."""
        return len(self.tokens) - len(self.steps)

    def __repr__(self) -> str:
        """Show the prediction and what there is to look at."""
        p = self["probability"][-1]
        return f"Trace({self.name}: {p:.4f} after {len(self.steps)} words; arrays {', '.join(self.arrays)})"

    def _repr_html_(self) -> str:
        """Show the words in a notebook: those that raise the logit on orange, those that lower it on blue."""
        top = np.abs(self.steps).max(initial=0) or 1
        spans = []
        for word in self.words:
            text = html.escape(word.text)
            if word.position is None:
                spans.append(f'<s title="not read">{text}</s>')
                continue
            step = self.steps[word.position - self.first]
            color = f"rgba({'230,97,0' if step > 0 else '26,133,255'},{0.6 * abs(step) / top:.2f})"
            p = self["probability"][1 + word.position - self.first]
            spans.append(f'<span style="background:{color}" title="logit {step:+.3f}, now {p:.4f}">{text}</span>')
        p = self["probability"][-1]
        return f"<p><b>{html.escape(self.name)}: {p:.4f}</b></p><p>{' '.join(spans)}</p>"


def trace(model: Sequential, text: str, target: int | None = None, untrained_weights: bool = False) -> Trace:
    """Read a text with a model, and keep everything that happens.

    Args:
        model: begins with an Embedding and has a tokenizer, such as one that ``python -m minilstm train`` saved. All
            layers of minilstm will do, and so will your own.
        text: what to read.
        target: the class to explain; None for the one predicted. A model with one output has one logit only, target 0.
        untrained_weights: read with random weights instead, to compare.

    The cost is that of about 50 gradients and of one prediction for each word left out: a second for 300 words.

    Raises:
        TypeError: ``model`` is not a Sequential, or ``text`` not a str.
        ValueError: the model cannot be explained; the message says why.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, got {type(text).__name__}; trace one text at a time")
    reader = Reader(untrained(model) if untrained_weights else model)
    words, ids = reader.split(text)
    x, lengths = reader.batch([ids])  # (1, T)
    T = len(ids) if lengths is not None else x.shape[1]
    runs = list(run(reader.layers, x, lengths))
    y = runs[-1].y  # (1, K)
    target = int(y[0].argmax()) if target is None else target
    if not isinstance(target, (int, np.integer)) or not 0 <= target < y.shape[1]:
        raise ValueError(f"target is {target!r}, expected a class from 0 to {y.shape[1] - 1}, or None")
    dys = gradients(reader.layers, [r.cache for r in runs], np.eye(y.shape[1])[[target]])
    running = reader.running_logits(ids, [r.cache for r in runs])  # (N+1, K)
    arrays: Arrays = {"ids": x[0, :T], "x": runs[0].y[0, :T], "dx": dys[0][0, :T]}
    arrays |= {"logit": running[:, target], "probability": reader.probabilities(running)[:, target]}
    for r, dy in zip(runs, dys, strict=True):
        steps = None if r.lengths is None else r.lengths[0]
        arrays |= {f"{r.layer.name}.y": r.y[0, :steps], f"{r.layer.name}.dy": dy[0, :steps]}
    lstms = list(states(runs, dys))
    for s in lstms:
        read = arrays_of(s)
        read["account"] = attributions.memory_account(read["f"], read["i"], read["g"])
        arrays |= {f"{s.name}.{key}": a[:: -1 if s.backwards else 1] for key, a in read.items()}
    found, checks = attributions.attribute(reader, ids, arrays["dx"], lengths, target, runs, lstms)
    tokens = [""] * (T - len(ids)) + [word.text for word in words if word.position is not None]
    words = [w if w.position is None else w._replace(position=w.position + T - len(ids)) for w in words]
    name = reader.labels[target if y.shape[1] > 1 else 1]
    names = tuple(s.name for s in lstms)
    labels = tuple(reader.labels)
    return Trace(text, tuple(words), tuple(tokens), labels, int(target), name, names, checks, arrays | found)
