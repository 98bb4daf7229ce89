"""``train``, ``evaluate``, ``predict`` and ``download``: what the command line does once its options are read.

Results go to stdout, notes and bars to stderr. What is wrong with a file comes as a ValueError or OSError, for ``main``
to say so. ``options.wrong`` says that the options do not fit each other, and ends the program.

A classifier is a model with a tokenizer and these metadata: "labels", sorted as text, number k of them for the k-th
output, and "maxlen", how many words of a text it reads, the last ones.
"""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.data import download_imdb, load_builtin, load_imdb
from minilstm.data.own import FORMATS, Row, load_own, read_text
from minilstm.data.text import Tokenizer, pad_sequences
from minilstm.model import Sequential
from minilstm.runs.callbacks import Callback, EarlyStopping, say
from minilstm.runs.checkpoint import ModelCheckpoint, check_replaceable, save_or_rescue
from minilstm.tools.architectures import make_classifier

SETTINGS: dict[str, dict[str, Any]] = {
    "imdb": {"epochs": 8, "vocab_size": 5000, "maxlen": 300, "dropout": 0.5, "learning_rate": 0.002},
    "builtin": {"epochs": 8, "vocab_size": 200, "maxlen": 50, "dropout": 0.0, "learning_rate": 0.005},
    "own": {"epochs": 30, "vocab_size": 5000, "maxlen": 300, "dropout": 0.5, "learning_rate": 0.002},
}
"""What suits the data, unless the command line says otherwise. Fewer texts make fewer steps an epoch."""

BATCH = 128  # texts to judge at once
SAVE = 50  # batches between two saves of --checkpoint


def train(options: Namespace) -> int:
    """Train a model and save it, with what is needed to use it."""
    out = Path(options.out)
    writable = all(os.access(place, os.W_OK) for place in (out.parent, out) if place.exists())
    if out.suffix != ".safetensors" or not out.parent.is_dir() or out.is_dir() or not writable:
        options.wrong(f"--out is {out}, expected a name that ends in .safetensors, in a folder that one can write to")
    if options.resume and not options.checkpoint:
        options.wrong("--resume goes on with the run in --checkpoint FILE, but no FILE was given")
    if options.checkpoint and Path(options.checkpoint).resolve() == out.resolve():
        options.wrong(f"--checkpoint and --out are both {out}, expected two files")
    check_replaceable(out)
    rows = read(options, part=0)
    labels = choose_labels(rows)
    for key, setting in SETTINGS[kind(options.data)].items():
        if getattr(options, key) is None:
            setattr(options, key, setting)
    y = numbers(rows, labels)  # (N,)
    held_out = split(y, 0.1, options.seed)  # (N,)
    texts, held_texts = ([rows[n].text for n in np.flatnonzero(part)] for part in (~held_out, held_out))
    model = make_classifier(options, len(labels))
    model.tokenizer = Tokenizer(num_words=options.vocab_size)
    model.tokenizer.fit_on_texts(texts)
    if not model.tokenizer.word_index:
        raise ValueError(f"the {len(texts)} texts of {options.data} hold no words")
    model.metadata = {"labels": labels, "maxlen": options.maxlen, "seed": options.seed}

    counts = ", ".join(f"{label} {count}" for label, count in sorted(Counter(row.label for row in rows).items()))
    say(f"{len(texts)} texts to train on, {len(held_texts)} held out for validation; labels: {counts}\n")
    model.summary(say)
    say("")
    callbacks: list[Callback] = [EarlyStopping("val_loss", patience=5, restore_best_weights=True)]
    if options.checkpoint:
        callbacks.append(ModelCheckpoint(options.checkpoint, options.save_every, options.resume))
    x, x_held = encode(model, texts), encode(model, held_texts)
    held_data = (x_held, y[held_out])
    try:
        model.fit(x, y[~held_out], options.batch_size, options.epochs, validation_data=held_data, callbacks=callbacks)
        check_converged(model, options, len(labels))
        save_or_rescue(model, out)
    except KeyboardInterrupt as error:
        if not (model.stop_training or (model.history and len(model.history.epoch) == options.epochs)):
            note = "nothing was saved; with --checkpoint FILE, a run that was interrupted can be resumed"
            raise KeyboardInterrupt("" if options.checkpoint else note) from error
        callbacks[0].on_train_end()
        save_or_rescue(model, out)
        raise KeyboardInterrupt(f"the training had ended, and the model was saved as {out}") from error
    p = probabilities(model, x_held)  # (N, K)
    most = np.bincount(y[held_out]).max() / len(held_texts)
    accuracy = np.mean(p.argmax(axis=1) == y[held_out])
    try:
        print(
            f"\naccuracy {accuracy:.4f} on the texts held out for validation; the most frequent label alone: {most:.4f}"
        )
        print(f"saved as {out}; next:\n  python -m minilstm predict {shlex.quote(str(out))} 'a text to judge'")
        if kind(options.data) != "own":  # of one's own data, nothing is left that the model has not seen
            print(f"  python -m minilstm evaluate {shlex.quote(str(out))} {shlex.quote(options.data)}")
        print(end="", flush=True)
    except OSError as error:
        print(f"minilstm train: the model was saved as {out}, but printing failed: {error.strerror}", file=sys.stderr)
        raise BrokenPipeError from error
    return 0


def check_converged(model: Sequential, options: Namespace, K: int) -> None:
    """Raise a ValueError if the best loss on held-out texts is far above that of guessing among K labels."""
    best, guess = min(model.history.history["val_loss"]) if model.history else 0.0, math.log(K)
    if not best < 2 * guess:
        raise ValueError(
            f"the training diverged: the loss on held-out texts is {best:.4f}, that of guessing {guess:.4f}; nothing "
            f"was saved; try a tenth of --learning-rate {options.learning_rate:g}"
        )


def evaluate(options: Namespace) -> int:
    """Print how often a model is right, and what it takes for what."""
    model, labels = load_classifier(options.model)
    rows = read(options, part=1)
    y = numbers(rows, labels)  # (N,)
    p = probabilities(model, encode(model, [row.text for row in rows]))  # (N, K)
    table = np.zeros((len(labels), len(labels)), int)  # (K, K): true label, said label
    np.add.at(table, (y, p.argmax(axis=1)), 1)
    loss = float(-np.log(np.clip(p[np.arange(len(y)), y], 1e-7, 1)).mean())  # what both cross-entropies come to
    accuracy = float(np.trace(table) / len(y))
    counts = table.sum(axis=1).tolist()
    recall = [right / count if count else None for right, count in zip(np.diag(table).tolist(), counts, strict=True)]
    if options.json:
        result = {"texts": len(y), "accuracy": accuracy, "loss": loss}
        print_json(result | {"labels": labels, "recall": recall, "confusion": table.tolist()})
        return 0
    print(f"accuracy {accuracy:.4f}, loss {loss:.4f} on {len(y)} texts\n")
    heads = [f"said {label}" for label in labels] if len(labels) <= 10 else []  # more would not fit a screen
    lines = [["true label", "texts", "recall", *heads]]
    for label, count, share, said in zip(labels, counts, recall, table, strict=True):
        lines.append([label, str(count), "-" if share is None else f"{share:.4f}", *map(str, said[: len(heads)])])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


def predict(options: Namespace) -> int:
    """Print label and probability for each text, as soon as there are some."""
    if options.file and options.text:
        options.wrong("texts and --file were both given, expected one of them")
    model, labels = load_classifier(options.model)
    number = 0
    for texts in batches_of_texts(options):
        x = encode(model, texts)
        for ids, row in zip(x, probabilities(model, x), strict=True):
            number += 1
            if not np.any(ids):
                note = "holds no known word; the answer is the model's for an empty text"
                print(f"minilstm predict: text {number} {note}", file=sys.stderr)
            best = int(row.argmax())
            if options.json:
                shares = {label: round(float(p), 6) for label, p in zip(labels, row, strict=True)}
                print_json({"label": labels[best], "probability": shares[labels[best]], "probabilities": shares})
            else:
                print(f"{labels[best]}\t{row[best]:.4f}", flush=True)
    return 0


def download(options: Namespace) -> int:
    """Fetch the IMDB reviews, if they are not there, and print where they are."""
    del options
    print(download_imdb())
    return 0


def kind(data: str) -> str:
    """Tell "imdb", by that name or as an archive or folder, "builtin", and somebody's "own" data from each other."""
    path = Path(data)
    if data in ("imdb", "builtin"):
        return data
    if path.name.lower().endswith((".tar.gz", ".tgz", ".tar")) or (path / "train" / "pos").is_dir():
        return "imdb"
    return "imdb" if (path / "aclImdb").is_dir() else "own"


def read(options: Namespace, part: int) -> list[Row]:
    """Read the training part (0) or the test part (1) of IMDB or the built-in corpus, or all of somebody's own."""
    if kind(options.data) == "own":
        if options.reviews:
            options.wrong("--reviews is for imdb and builtin; of your own data, all is read")
        if not Path(options.data).exists():
            raise FileNotFoundError(f"nothing at {options.data}; DATA is imdb, its archive, builtin, or {FORMATS}")
        return load_own(options.data, text_column=options.text_column, label_column=options.label_column)
    reviews = options.reviews or 5000
    if options.data == "builtin":
        texts, y = load_builtin(reviews, options.seed)[part]
    else:
        place = None if options.data == "imdb" else options.data
        texts, y = load_imdb(place, reviews=reviews, seed=options.seed)[part]
    return [Row(text, ("negative", "positive")[label], options.data) for text, label in zip(texts, y, strict=True)]


def choose_labels(rows: Sequence[Row]) -> list[str]:
    """List the labels, sorted as text, or raise a ValueError where there is too little to learn from."""
    counts = Counter(row.label for row in rows)
    for row in rows:
        if counts[row.label] == 1:
            raise ValueError(
                f"{row.where}: {row.label!r} occurs this once, expected at least 2 texts of each label, one to train "
                "on and one to validate with; is it misspelt?"
            )
    if len(counts) < 2:
        raise ValueError(f"all {len(rows)} texts are labelled {rows[0].label!r}, expected at least 2 labels")
    return sorted(counts)


def numbers(rows: Sequence[Row], labels: list[str]) -> Array:
    """Turn the labels of N rows into class numbers (N,), or raise a ValueError where one is not among ``labels``."""
    number = {label: k for k, label in enumerate(labels)}
    for row in rows:
        if row.label not in number:
            known = ", ".join(map(repr, labels))
            raise ValueError(f"{row.where}: label {row.label!r} is none of the model's, which are {known}")
    return np.array([number[row.label] for row in rows])  # (N,)


def split(y: Array, share: float, seed: int) -> Array:
    """Draw rows for validation, (N,) of bool: a share of the rows of each label in y (N,), but at least one."""
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(y), bool)  # (N,)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        held_out[rows[: max(1, round(share * len(rows)))]] = True
    return held_out


def load_classifier(path: str) -> tuple[Sequential, list[str]]:
    """Load a model that ``train`` saved, or one like it, and its labels."""
    model = Sequential.load(path)
    labels: Any = model.metadata.get("labels")
    maxlen = model.metadata.get("maxlen")
    named = isinstance(labels, list) and len(labels) >= 2 and all(isinstance(label, str) for label in labels)
    if not named or not isinstance(maxlen, int) or maxlen < 1 or model.tokenizer is None:
        raise ValueError(
            f"{path} holds a model but lacks a tokenizer or metadata, {{'labels': ['no', 'yes'], 'maxlen': 300}} or "
            "the like; expected what 'train' saves"
        )
    shape, K = model.shapes[-1:], len(labels)
    if shape != [(K,)] and not (K == 2 and shape == [(1,)]):
        raise ValueError(f"{path}: the output of the model is {shape}, which does not fit {K} labels")
    return model, labels


def encode(model: Sequential, texts: Sequence[str]) -> Any:
    """Turn N texts into the ids of their last known words; for a model of one length, pad short ones to it."""
    assert model.tokenizer is not None
    maxlen = model.metadata["maxlen"]
    ids = [sequence[-maxlen:] for sequence in model.tokenizer.texts_to_sequences(texts)]
    return ids if model.shapes[0] == (None,) else pad_sequences(ids, maxlen)  # (N, maxlen)


def probabilities(model: Sequential, x: Any) -> Array:
    """Compute the probability of each label, (N, K), for texts as ``encode`` gives them."""
    p = model.predict(x, batch_size=BATCH).astype(np.float64)  # (N, K) or (N, 1)
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])  # (N, 2)
    if not (p.min() >= 0 and np.abs(p.sum(axis=1) - 1).max() < 1e-3):  # NaN is neither
        raise ValueError("the model's outputs are not probabilities; retrain it with a smaller --learning-rate")
    return p


def batches_of_texts(options: Namespace) -> Iterator[list[str]]:
    """Yield the texts to judge: from the arguments, a file or standard input, a line each in the latter two."""
    if options.text:
        yield options.text
        return
    if options.file:
        stream: Any = io.StringIO(read_text(Path(options.file)), newline=None)
    else:
        stream = sys.stdin or io.StringIO()
    typed = stream.isatty()
    if typed:
        print("type texts, one a line; end with Ctrl-D (on Windows Ctrl-Z and Enter)", file=sys.stderr)
    while texts := [line.strip("\ufeff\r\n") for line in islice(stream, 1 if typed else BATCH)]:
        yield texts


def print_json(thing: dict[str, Any]) -> None:
    """Print an object on a line, with escapes only where the other side cannot take anything else."""
    utf8 = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    print(json.dumps(thing, ensure_ascii=not utf8), flush=True)
