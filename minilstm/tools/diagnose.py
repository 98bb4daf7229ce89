"""Why does it not learn? ``diagnose`` looks for common causes of an accuracy no better than guessing.

Each check below is one function: its docstring explains the cause, its body measures it, and it yields a
:class:`Finding` if it is present. ``CHECKS``, at the end, gives the order in which they run.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from minilstm.arrays import Array, Arrays, Lengths
from minilstm.data.inputs import Samples, check_compiled, split_off, take, take_validation
from minilstm.fast import choose_plan
from minilstm.layers import LSTM, Bidirectional, Embedding
from minilstm.layers.base import Layer, padding_mask
from minilstm.losses import BinaryCrossentropy, CategoricalCrossentropy, Loss
from minilstm.model import Sequential
from minilstm.optimizers import Adam, Optimizer
from minilstm.tools.convert import as_sequence
from minilstm.tools.findings import Diagnosis, Finding
from minilstm.training import backward, forward

SECONDS = 10.0  # of processor time, for memorising a batch; a quarter of it for each learning rate
RANGES = {"sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, np.inf)}


def diagnose(
    model: Sequential, x: Any, y: Any, validation_data: tuple[Any, Any] | None = None, validation_split: float = 0.0
) -> Diagnosis:
    """Look for common causes of a model that does not learn; the arguments are those of ``fit``.

    The model may be new or trained. Everything is tried on a copy: weights, optimiser and random numbers do not change.
    Up to 1,000 samples are examined and 31 are learned, without dropout. It takes 1 to 7 s on one core for the models
    of the demos, and mostly less than 20 s for larger ones, since each attempt is limited in time.

    Raises:
        TypeError: as in ``fit``, unless a check explains the mistake better.
        ValueError: likewise; also a model that is not compiled.
    """
    loss, optimizer = check_compiled(model := copy.deepcopy(model))
    if validation_data is None and validation_split:
        (x, y), validation_data = split_off(x, y, validation_split)
    found = [*output_and_loss(model), *token_ids(model, "x", x)]
    if isinstance(validation_data, (tuple, list)) and len(validation_data) == 2:
        found += token_ids(model, "x for validation", validation_data[0])
    if found:  # fit would refuse it, or the other checks would be meaningless
        return Diagnosis(found)
    parts = {"training": take(model, loss, x, y)}
    if validation_data is not None:
        parts["validation"] = take_validation(model, loss, validation_data)
    with np.errstate(all="ignore"):  # a number that overflows is a finding, not a warning
        case = Case(model, loss, optimizer, parts)
        for check in CHECKS:
            new = list(check(case))
            found += new
            if new and check in (not_finite, one_batch):
                break  # the checks after them would be meaningless
    return Diagnosis(found)


class Case:
    """A copy of the model, its data, and a batch for experiments: 31 rows of typical length, balanced by class."""

    def __init__(
        self, model: Sequential, loss: Loss, optimizer: Optimizer, parts: dict[str, tuple[Samples, Array]]
    ) -> None:
        self.model, self.loss, self.optimizer, self.parts = model, loss, optimizer, parts
        some = {part: np.random.default_rng(0).permutation(len(data))[:1000] for part, (data, _) in parts.items()}
        self.ids: dict[str, list[Array]] = {}  # token ids of some rows of each part; none without an Embedding
        for part, rows in some.items() if isinstance(model.layers[0], Embedding) else ():
            x, lengths = parts[part][0].batch(rows)  # (n, T), (n,)
            self.ids[part] = list(x) if lengths is None else [row[:T] for row, T in zip(x, lengths, strict=True)]
        (data, y), rows = parts["training"], some["training"][:256]
        self.y_ids = y[some["training"]]  # (n, K), the labels of ids["training"]
        unusual = np.abs(data.lengths[rows] - np.median(data.lengths[rows]))  # (n,)
        rows = rows[np.argsort(unusual, kind="stable")]  # (n,)
        labels = y[rows].reshape(len(rows), -1)  # (n, K)
        nth = np.tril((labels[:, None] == labels).all(axis=-1)).sum(axis=1)  # (n,): the nth of its class
        rows = rows[np.argsort(nth, kind="stable")[:31]]  # (B,), odd: halves would cancel out in a bias
        (self.x, self.lengths), self.y = data.batch(rows), y[rows]  # (B, T), (B, K)
        means = np.broadcast_to(self.y.mean(axis=0), self.y.shape).astype(self.y.dtype)  # (B, K)
        kinds = BinaryCrossentropy, CategoricalCrossentropy
        of_probabilities = next((kind() for kind in kinds if isinstance(loss, kind)), loss)
        self.guess = max(0.1, float(of_probabilities.forward(means, self.y)))  # loss of the best constant prediction
        self.look()

    def look(self) -> None:
        """Run forward and backward once, layer by layer, and keep what the checks need."""
        x, lengths, caches, layers = self.x, self.lengths, [], self.model.layers
        self.outputs: Arrays = {}  # y by layer
        self.gates: Arrays = {}  # i, f, o by LSTM, (3, steps of all rows, H)
        self.grads: dict[str, Arrays] = {}  # by layer that has weights, the last one first, then by weight
        for layer in layers:
            x, cache = layer.forward(x, lengths)
            self.gates |= gates_of(layer, layer.name, cache, lengths)
            lengths, self.outputs[layer.name] = layer.out_lengths(lengths), x
            caches.append(cache)
        self.now, dy = float(self.loss.forward(x, self.y)), self.loss.backward(x, self.y)
        for layer, cache in zip(reversed(layers), reversed(caches), strict=True):
            dy, grads = layer.backward(dy, cache)
            self.grads |= {layer.name: grads} if layer.params else {}

    def train(self, optimizer: Optimizer, steps: int, seconds: float, enough: float) -> tuple[Array, list[str]]:
        """Train on the batch, then restore the weights: the losses, and the names of weights that did not move."""
        model, losses, weights, end = self.model, [], self.model.get_weights(), time.process_time() + seconds
        plan = choose_plan(model.layers, optimizer)
        for n in range(steps + 1):
            p, caches = forward(plan.runners, self.x, self.lengths)
            losses.append(float(self.loss.forward(p, self.y)))
            if n == steps or not losses[-1] > enough or time.process_time() > end:
                break
            grads = backward(plan.runners, self.loss.backward(p, self.y), caches)
            plan.stepper.step(model.params, grads, plan.stepper.norm(grads))
        still = [name for (name, p), w in zip(model.params.items(), weights, strict=True) if (p == w).all()]
        model.set_weights(weights)
        return np.array(losses), still

    def try_rate(self, factor: float) -> Array:
        """Make 20 steps with the model's optimiser, its learning rate times ``factor``: the 21 losses."""
        optimizer = copy.deepcopy(self.optimizer)
        optimizer.learning_rate *= factor
        return self.train(optimizer, 20, SECONDS / 4, enough=0.0)[0]


def gates_of(layer: Layer, name: str, cache: Any, lengths: Lengths) -> Arrays:
    """Take i, f and o from the cache of an LSTM or Bidirectional, at the steps that are not padding."""
    if isinstance(layer, Bidirectional):
        both = ("forward", layer.layer, cache.f_cache), ("backward", layer.reverse, cache.r_cache)
        return {k: g for run, lstm, c in both for k, g in gates_of(lstm, f"{name}.{run}", c, lengths).items()}
    if not isinstance(layer, LSTM) or layer.recurrent_activation != "sigmoid":
        return {}
    T, B, _ = cache.f.shape
    mask = padding_mask(np.full(B, T) if lengths is None else lengths, T).T  # (T, B)
    return {name: np.stack([cache.i[mask], cache.f[mask], cache.o[mask]])} if mask.any() else {}  # (3, steps, H)


def output_and_loss(model: Sequential) -> Iterator[Finding]:
    """The last activation has to give what the loss expects: one sigmoid, or a softmax over all classes, or with
    ``from_logits=True`` neither, since the loss then applies it itself.
    """
    last, loss = model.layers[-1] if model.layers else Layer(), model.loss
    if not hasattr(last, "activation") or not isinstance(loss, (BinaryCrossentropy, CategoricalCrossentropy)):
        return
    activation, K, name = last.activation or "linear", getattr(last, "units", 0), type(loss).__name__
    right = "softmax" if isinstance(loss, CategoricalCrossentropy) else "sigmoid"
    if K == 1 and "softmax" in (activation, right):
        seen = "The last layer has 1 output, and the probability of one class among one is 1.0, whatever the text."
        yield Finding("softmax over one number", seen)
    elif loss.from_logits and activation in ("sigmoid", "softmax"):
        most = float(np.e / (np.e + max(K, 2) - 1))
        seen = f"{name}(from_logits=True) applies its own {right} after {activation}: no prediction exceeds {most:.0%}."
        yield Finding("probabilities taken for logits", seen)
    elif not loss.from_logits and activation not in (right, "softmax"):
        low, high = RANGES.get(activation, (-np.inf, np.inf))
        wanted = "probabilities that add up to 1" if right == "softmax" else "probabilities"
        seen = (
            f"The last activation, {activation}, gives numbers from {low:g} to {high:g}, but {name} expects {wanted}."
        )
        yield Finding("no probabilities", seen)


def token_ids(model: Sequential, symbol: str, x: Any) -> Iterator[Finding]:
    """The Embedding has V rows, so x must hold ids from 0 to V - 1, in the order of the words. ``texts_to_matrix``
    gives something else: for each word of the vocabulary, whether it occurs in the text. Read as ids, such a row is a
    text that consists of the words 0 and 1.
    """
    try:
        rows = [row for row in map(np.asarray, as_sequence("x", x)) if row.size]
    except (TypeError, ValueError):
        return  # Samples will report the mistake
    first = model.layers[0] if model.layers else None
    if not isinstance(first, Embedding) or any(row.ndim != 1 or row.dtype.kind not in "fiub" for row in rows):
        return
    ids, V = np.concatenate([np.zeros(0, int), *rows]), first.input_dim  # (ids of all rows,)
    outside = (ids < 0) | (ids >= V)  # (ids of all rows,)
    scattered = any((np.trim_zeros(row) == 0).any() for row in rows[:100])
    if scattered and ((V > 2 and np.isin(ids, (0, 1)).all()) or (ids.dtype.kind == "f" and len(rows[0]) == V)):
        seen = (
            f"{symbol} ranges from {ids.min():g} to {ids.max():g}, scattered among zeros: it says which words occur, "
        )
        yield Finding("bag of words", seen + "not in which order, but Embedding takes its numbers for token ids.")
    elif outside.any() and ids.dtype.kind in "iu":
        worst = int(ids.min() if ids.min() < 0 else ids.max())
        seen = f"{symbol} holds the id {worst}, but Embedding has input_dim={V}, so vectors for the ids 0 to {V - 1}; "
        yield Finding("ids outside the vocabulary", seen + f"{outside.mean():.1%} of all ids have none.")


def classes(case: Case) -> Iterator[Finding]:
    """A model that sees one class learns to predict it always, and a part of one class says nothing about the model.
    Sorted labels lead there: ``validation_split`` takes the last samples, which are then all of one class.
    """
    for part, (_, y) in case.parts.items():
        if y.ndim > 2 or (y.shape[1] > 1 and not isinstance(case.loss, CategoricalCrossentropy)):
            continue  # several labels for each row
        label = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)  # (N,)
        kinds, counts = np.unique(label, return_counts=True)  # (classes,) each
        changes, most = int(np.count_nonzero(np.diff(label))), float(counts.max() / len(label))
        if 1 < len(kinds) <= len(label) / 10 and changes == len(kinds) - 1:
            seen = f"The {len(label)} labels for {part} change only {changes} time(s) from one row to the next. "
            seen += "validation_split would cut off one class, and shuffle=False learn one class after the other."
            yield Finding("sorted labels", seen)
        if most > 0.8:
            seen = f"{most:.1%} of the {len(label)} labels for {part} are {kinds[counts.argmax()]:g}, so predicting it "
            name = "one class only" if len(kinds) == 1 else "classes out of balance"
            yield Finding(name, seen + "always has that accuracy.")


def contradictions(case: Case) -> Iterator[Finding]:
    """Equal rows get equal predictions, so where their labels differ, only one of the labels can be learned."""
    labels: dict[bytes, set[bytes]] = {}
    rows = [row.astype(np.int64).tobytes() for row in case.ids.get("training", [])]
    for row, label in zip(rows, case.y_ids, strict=False):
        labels.setdefault(row, set()).add(label.tobytes())
    differ = float(np.mean([len(labels[row]) > 1 for row in rows])) if rows else 0.0
    if differ > 0.1:
        yield Finding("contradictory labels", f"{differ:.1%} of the rows have an equal row with another label.")


def reach(case: Case) -> Iterator[Finding]:
    """With a mean squared error any label is allowed, but an activation reaches only some numbers."""
    activation, (_, y) = getattr(case.model.layers[-1], "activation", None) or "", case.parts["training"]
    low, high = RANGES.get(activation, (-np.inf, np.inf))
    if y.min() < low or y.max() > high:
        seen = f"y ranges from {y.min():g} to {y.max():g}, but {activation} gives numbers from {low:g} to {high:g}."
        yield Finding("labels out of reach", seen)


def padding_at_the_end(case: Case) -> Iterator[Finding]:
    """An LSTM passes on its last state. Zeros after the last word are words to it, and with each it forgets a fraction
    of the text: of a state before 100 steps with a forget gate of 0.73, 1e-14 is left.
    """
    lstms = [getattr(layer, "layer", layer) for layer in case.model.layers]  # of a Bidirectional, the forward one
    last_state = any(isinstance(a, LSTM) and not a.return_sequences and not a.go_backwards for a in lstms)
    zeros = [len(row) - len(np.trim_zeros(row, "b")) for row in case.ids.get("training", []) if row.any()]
    if last_state and zeros and np.median(zeros) >= 10:
        seen = (
            f"Half of the rows have {np.median(zeros):.0f} zeros or more after their last word. The LSTM reads them as "
        )
        yield Finding("padding at the end", seen + "words, and has forgotten the text by the end.")


def vocabulary(case: Case) -> Iterator[Finding]:
    """The ids have to come from one Tokenizer, fitted on the training texts. Words that it has not seen are dropped or
    all get one id, and then there is little left to learn from. The same is true of a text that was not cut into words.
    """
    words = {part: [np.trim_zeros(row) for row in rows] for part, rows in case.ids.items()}
    mean = {part: float(np.mean([len(row) for row in rows])) for part, rows in words.items()}
    top = 0
    for part, rows in words.items():
        counts = np.bincount(np.concatenate(rows).astype(np.int64), minlength=2)  # (highest id + 1,)
        empty, single = (float(np.mean([len(row) == n for row in rows])) for n in (0, 1))
        unknown, once = (float(n / max(1, counts.sum())) for n in (counts[:2].max(), (counts == 1).sum()))
        top = max(top, len(counts) - 1)
        if empty > 0.1:
            seen = f"{empty:.1%} of the rows for {part} do not hold any word: they are empty, or hold only zeros."
            yield Finding("empty texts", seen)
        if unknown > 0.5:
            seen = f"{unknown:.1%} of all words for {part} have the id {counts[:2].argmax()}, as unknown words do."
            yield Finding("unknown words", seen)
        if single > 0.5 or (once > 0.5 and part == "training"):
            seen = f"{single:.1%} of the rows for {part} hold a single token; {once:.1%} of all tokens occur only once."
            yield Finding("texts not cut into words", seen)
    if mean.get("validation", np.inf) < 0.5 * mean.get("training", 0):
        seen = f"They have {mean['validation']:.1f} words per row, those for training {mean['training']:.1f}."
        yield Finding("validation texts lose words", seen)
    V = getattr(case.model.layers[0], "input_dim", 0)
    if words and 10 * (top + 1) < V:
        seen = f"Embedding has input_dim={V}, but the highest id is {top}: {1 - (top + 1) / V:.0%} of it is unused."
        yield Finding("vocabulary too large", seen)


def not_finite(case: Case) -> Iterator[Finding]:
    """One NaN or infinity spreads through every product. Usually it comes from a step that was far too large."""
    grads = {f"{layer}.{name}": g for layer, own in case.grads.items() for name, g in own.items()}
    for kind, arrays in (("weights", case.model.params), ("gradients", grads)):
        bad = {name: 1 - float(np.isfinite(a).mean()) for name, a in arrays.items() if not np.isfinite(a).all()}
        if bad:
            seen = ", ".join(f"{fraction:.1%} of {name}" for name, fraction in bad.items())
            yield Finding(f"{kind} not finite", f"NaN or infinity: {seen}.")
            return


def sigmoid_activation(case: Case) -> Iterator[Finding]:
    """With σ for φ the candidate of a new LSTM is near one half whatever the word, and never negative. The cell can
    then add up words but not weigh them against each other, until much training has moved the weights.
    """
    for layer in case.model.layers:
        lstm = layer.layer if isinstance(layer, Bidirectional) else layer
        if isinstance(lstm, LSTM) and lstm.activation == "sigmoid":
            seen = "has activation='sigmoid': its candidate starts near 0.5, whatever the word, and is never negative."
            yield Finding("sigmoid as activation", f"{layer.name} {seen}")


def gates(case: Case) -> Iterator[Finding]:
    """Where a gate is 0 or 1 its slope is 0, so it cannot learn any more. A forget gate near 0 empties the cell at
    each step: the LSTM then knows only the last word.
    """
    for lstm, gate in case.gates.items():
        stuck, f = float(np.mean((gate < 0.01) | (gate > 0.99))), float(np.mean(gate[1]))
        if f < 0.1:
            seen = f"In {lstm} the mean forget gate is {f:.3f}, so after 10 words {f**10:.0e} of the first is left."
            yield Finding("forget gate closed", seen)
        elif stuck > 0.5:
            seen = f"In {lstm} {stuck:.1%} of all gates are within 0.01 of 0 or 1, where their slope is almost 0."
            yield Finding("saturated gates", seen)


def dead_relus(case: Case) -> Iterator[Finding]:
    """A relu that gives 0 for every row has slope 0 everywhere, so it stays dead."""
    for layer in case.model.layers:
        y = case.outputs[layer.name]
        dead = 1 - float(np.mean((y.reshape(-1, y.shape[-1]) > 0).any(axis=0)))
        if getattr(layer, "activation", None) == "relu" and dead > 0.75:
            seen = f"In {layer.name} {dead:.1%} of the {y.shape[-1]} relus give 0 for every row, and learn nothing."
            yield Finding("dead relus", seen)


def constant_output(case: Case) -> Iterator[Finding]:
    """If all texts get the same prediction, to the last digit, then no word reaches the output."""
    p = case.outputs[case.model.layers[-1].name]  # (B, K)
    if len(p) > 1 and np.ptp(p, axis=0).max() < 1e-6:
        yield Finding("constant output", f"{len(p)} rows all get the same prediction, {p.flat[0]:.6f}.")


def gradients(case: Case) -> Iterator[Finding]:
    """Weights learn by their gradient, which comes down through the layers above: a layer that passes nothing on leaves
    all layers below unchanged, and one that multiplies it at each step makes them jump.
    """
    norms = {layer: case.optimizer.norm(own) for layer, own in case.grads.items()}
    seen = "Norm of the gradient by layer: " + ", ".join(f"{layer} {norm:.1e}" for layer, norm in norms.items())
    top = max(norms.values(), default=0.0)
    none = [layer for layer, norm in norms.items() if norm <= 1e-6 * top]
    if none and case.now > 0.1 * case.guess:
        yield Finding("no gradient", f"{seen}. So {', '.join(none)} cannot learn.")
    if top > 100 * max(1.0, case.guess):
        yield Finding("exploding gradient", f"{seen}. One step can undo all that was learned.")


def one_batch(case: Case) -> Iterator[Finding]:
    """A model that cannot even memorise 31 rows will not learn thousands: something in it is wrong. Adam tries, with a
    learning rate of its own, up to 300 steps; fewer than 100 are inconclusive.
    """
    losses, still = case.train(Adam(0.01, global_clipnorm=1.0), 300, SECONDS, enough=0.1 * case.guess)
    if not losses.min() < 0.5 * case.guess and (len(losses) > 100 or not np.isfinite(losses[-1])):
        seen = f"After {len(losses) - 1} steps on {len(case.y)} rows the loss is {losses[-1]:.4f}; one constant "
        seen += f"prediction has {case.guess:.4f}. Weights that did not move: {', '.join(still) or 'none'}."
        yield Finding("one batch cannot be learned", seen)


def learning_rate(case: Case) -> Iterator[Finding]:
    """With too large a step the loss overshoots the minimum, with too small a one it never gets there. So 20 steps are
    tried on the batch that Adam could learn, and other rates if that fails.
    """
    rate, losses = case.optimizer.learning_rate, case.try_rate(1)
    first, jump = losses[0], 3 * max(losses[0], case.guess)
    factors: Any = ()
    enough = np.inf
    if not losses.max() <= jump:
        factors = 0.1 ** np.arange(1, 5)
    elif len(losses) > 20 and first > 0.5 * case.guess and losses.min() > 0.997 * first:
        factors, enough = 10.0 ** np.arange(1, 10), 0.992 * first
    tried = ((k, case.try_rate(k)) for k in factors)
    better = (k for k, after in tried if after.max() <= jump and after.min() < enough)
    for k in itertools.islice(better, 1):
        seen = f"In 20 steps on one batch with learning_rate={rate:g} the loss goes from {first:.4f} to "
        name = f"learning rate too {'high' if k < 1 else 'low'}"
        yield Finding(name, seen + f"{losses[-1]:.4f}, at most {losses.max():.4f}; {rate * k:g} does better.")


def nothing_learned(case: Case) -> Iterator[Finding]:
    """A trained model that never was right more often than the most frequent label has not learned from the texts."""
    reached = max(case.model.history.history.get("val_accuracy", []), default=1.0) if case.model.history else 1.0
    y = case.parts["validation"][1] if "validation" in case.parts else np.ones((1, 1))  # (N, K)
    most = float(max(y.mean(axis=0).max(), 1 - y.mean() if y.shape[1] == 1 else 0))
    if reached <= most < 1:
        seen = f"Validation accuracy never exceeded {reached:.1%}; the most frequent label alone has {most:.1%}."
        yield Finding("nothing learned", seen)


CHECKS = (
    classes, reach, padding_at_the_end, vocabulary, contradictions, not_finite, sigmoid_activation, gates, dead_relus,
    constant_output, gradients, one_batch, learning_rate, nothing_learned,
)  # fmt: skip
"""The checks in their order, after :func:`output_and_loss` and :func:`token_ids`: causes before consequences."""
