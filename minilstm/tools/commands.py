"""The commands ``train``, ``evaluate``, ``predict``, ``inspect`` and ``download``, which get parsed options.

Results are printed to stdout, notes and progress bars to stderr. A file that cannot be used raises a ValueError or
OSError, which ``main`` reports. ``options.wrong`` reports options that do not fit each other, and ends the program.

A classifier is a model with a tokenizer and the metadata "labels", one for each output, and "maxlen", the number of
words that it reads of a text, the last ones.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import os
import re
import shlex
import sys
import textwrap
import unicodedata
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.data import download_imdb, load_builtin, load_imdb
from minilstm.data.labels import hold_out, printable, shorten
from minilstm.data.own import FORMATS, load_own
from minilstm.data.records import Row, choose_labels, class_numbers, write_answers
from minilstm.data.text import Tokenizer
from minilstm.fast import textbook
from minilstm.keras.sequences import pad_sequences
from minilstm.model import Sequential
from minilstm.runs import saving
from minilstm.runs.callbacks import Callback, OneCycle, say
from minilstm.runs.checkpoint import ModelCheckpoint, check_replaceable, save_or_rescue
from minilstm.tools.architectures import make_classifier
from minilstm.tools.settings import OPTIONS, BestOrLast, settings_for

BATCH = 128  # texts in a batch of predictions
SAVE = 50  # batches between two saves of --checkpoint


def train(options: Namespace) -> int:
    """Train a model and save it with its tokenizer and labels."""
    out = Path(options.out)
    check_out(options, ".safetensors")
    if options.resume and not options.checkpoint:
        options.wrong("--resume needs --checkpoint FILE, the run to resume")
    if options.checkpoint and Path(options.checkpoint).resolve() == out.resolve():
        options.wrong(f"--checkpoint and --out are both {out}, expected two files")
    check_replaceable(out)
    rows = read(options, part=0)
    labels = choose_labels(rows)
    for key, setting in settings_for(kind(options.data), len(rows)).items():
        if getattr(options, key) is None:
            setattr(options, key, setting)
    y = class_numbers(rows, labels)  # (N,)
    with notes("train"):
        held_out = hold_out([row.text for row in rows], [row.label for row in rows], 0.1, options.seed)  # (N,)
    texts, held_texts = ([rows[n].text for n in np.flatnonzero(part)] for part in (~held_out, held_out))
    model = make_classifier(options, len(labels))
    model.tokenizer = Tokenizer(num_words=options.vocab_size, level="auto")
    model.tokenizer.fit_on_texts(texts)
    if not model.tokenizer.word_index:
        raise ValueError(f"the {len(texts)} texts of {options.data} hold no words")
    model.metadata = {"labels": labels, "maxlen": options.maxlen, "seed": options.seed}

    count = Counter(row.label for row in rows)
    counts = shorten([f"{label} {count[label]}" for label in labels])
    say(f"{len(texts)} texts to train on, {len(held_texts)} held out for validation; labels: {printable(counts)}\n")
    say(f"tokens: {model.tokenizer.reason}\n")
    model.summary(say)
    say("")
    keep = BestOrLast(options.epochs, len(held_texts))
    callbacks: list[Callback] = [OneCycle(), keep]
    if options.checkpoint:
        callbacks.append(ModelCheckpoint(options.checkpoint, options.save_every, options.resume))
    x, x_held = encode(model, texts), encode(model, held_texts)
    note_unread("train", model, texts, x, "texts to train on")
    note_unread("train", model, held_texts, x_held, "held-out texts")
    held_data, y_train = (x_held, y[held_out]), y[~held_out]
    if options.class_weights:  # repeat the texts of rare labels
        order = np.repeat(
            np.arange(len(x)), np.round(np.bincount(y_train).max() / np.bincount(y_train))[y_train].astype(int)
        )
        x, y_train = [x[n] for n in order] if isinstance(x, list) else x[order], y_train[order]
    try:
        model.fit(x, y_train, options.batch_size, options.epochs, validation_data=held_data, callbacks=callbacks)
        check_converged(model, options, len(labels))
        note_training(model, options, len(texts), keep.kept)
        save_or_rescue(model, out)
    except KeyboardInterrupt as error:
        if not (model.stop_training or (model.history and len(model.history.epoch) == options.epochs)):
            remedy = "nothing was saved; with --checkpoint FILE, a run that was interrupted can be resumed"
            raise KeyboardInterrupt("" if options.checkpoint else remedy) from error
        keep.on_train_end()
        note_training(model, options, len(texts), keep.kept)
        save_or_rescue(model, out)
        raise KeyboardInterrupt(f"the training had ended, and the model was saved as {out}") from error
    p = probabilities(model, x_held)  # (N, K)
    most = np.bincount(y[held_out]).max() / len(held_texts)
    accuracy = float(np.mean(p.argmax(axis=1) == y[held_out]))
    if accuracy <= most:
        note(
            "train",
            f"nothing was learned: validation accuracy {accuracy:.4f} is not above {most:.4f}, that of the most "
            "frequent label; try more texts, more --epochs, a larger --learning-rate or --class-weights balanced",
        )
    try:
        print(
            f"\naccuracy {accuracy:.4f} on the texts held out for validation; the most frequent label alone: {most:.4f}"
        )
        print(f"saved as {out}; next:\n  python -m minilstm predict {shlex.quote(str(out))} 'a text to classify'")
        if kind(options.data) != "own":  # of the user's own data, the model has seen every text
            print(f"  python -m minilstm evaluate {shlex.quote(str(out))} {shlex.quote(options.data)}")
        print(end="", flush=True)
    except OSError as error:
        print(f"minilstm train: the model was saved as {out}, but printing failed: {error.strerror}", file=sys.stderr)
        raise BrokenPipeError from error
    return 0


def note_training(model: Sequential, options: Namespace, texts: int, accuracy: float) -> None:
    """Write the facts of a training that ended into the model's metadata, for ``inspect``."""
    facts = {"data": Path(options.data).name, "texts": texts, "validation_accuracy": accuracy}
    model.metadata["training"] = facts | {k: getattr(options, k) for k in (*OPTIONS, "batch_size", "seed")}


def check_converged(model: Sequential, options: Namespace, K: int) -> None:
    """Raise a ValueError if the best loss on held-out texts is far above that of guessing among K labels."""
    best, guess = min(model.history.history["val_loss"]) if model.history else 0.0, math.log(K)
    if not best < 2 * guess:
        raise ValueError(
            f"the training diverged: the loss on held-out texts is {best:.4f}, that of guessing {guess:.4f}; nothing "
            f"was saved; try a tenth of --learning-rate {options.learning_rate:g}"
        )


def evaluate(options: Namespace) -> int:
    """Print the accuracy of a model, and how often it predicted each label for each."""
    model, labels = load_classifier(options.model)
    rows = read(options, part=1)
    y = class_numbers(rows, labels)  # (N,)
    texts = [row.text for row in rows]
    x = encode(model, texts)
    note_unread("evaluate", model, texts, x, "texts")
    p = probabilities(model, x)  # (N, K)
    confusion = np.zeros((len(labels), len(labels)), int)  # (K, K): true label, predicted label
    np.add.at(confusion, (y, p.argmax(axis=1)), 1)
    loss = float(-np.log(np.clip(p[np.arange(len(y)), y], 1e-7, 1)).mean())  # as both cross-entropies give it
    accuracy, counts = float(np.trace(confusion) / len(y)), confusion.sum(axis=1).tolist()
    right, taken = np.diag(confusion).tolist(), confusion.sum(axis=0).tolist()
    precision, recall = ([n / m if m else None for n, m in zip(right, sums, strict=True)] for sums in (taken, counts))
    if options.json:
        result = {"texts": len(y), "accuracy": accuracy, "loss": loss}
        print_json(
            result | {"labels": labels, "precision": precision, "recall": recall, "confusion": confusion.tolist()}
        )
        return 0
    print(f"accuracy {accuracy:.4f}, loss {loss:.4f} on {len(y)} texts\n")
    heads = [f"predicted {label}" for label in labels] if len(labels) <= 10 else []  # more would not fit on a screen
    lines = [["true label", "texts", "precision", "recall", *heads]]
    for label, count, row, *fractions in zip(labels, counts, confusion, precision, recall, strict=True):
        rounded = ["-" if fraction is None else f"{fraction:.4f}" for fraction in fractions]
        lines.append([label, str(count), *rounded, *map(str, row[: len(heads)])])
    print_table(lines)
    return 0


def predict(options: Namespace) -> int:
    """Print label and probability for each text, as soon as its batch is done, or write all of them to a file."""
    if options.out:
        check_out(options, ".csv", ".jsonl")
        options.file = options.file or (options.text.pop(0) if options.text else None)
    if options.file and options.text:
        options.wrong("texts and --file were both given, expected one of them")
    for text in options.text:
        if os.path.isfile(text):  # noqa: PTH113 - Path.is_file raises an OSError where a text is too long for a name
            options.wrong(f"{text!r} is a file; write --file {shlex.quote(text)} to classify the texts in it")
    model, labels = load_classifier(options.model)
    batches = batches_of_texts(options)
    first, number, answers = next(batches, []), 0, []
    with textbook() if len(first) < BATCH else contextlib.nullcontext():  # loading the kernels would take longer
        for texts in filter(None, chain([first], batches)):
            x = encode(model, texts)
            for text, ids, row in zip(texts, x, probabilities(model, x), strict=True):
                p = {label: round(float(p), 6) for label, p in zip(labels, row, strict=True)}
                best = labels[int(row.argmax())]
                answer = {"label": best, "probability": p[best], "probabilities": p}
                number += 1
                if not np.any(ids):
                    note("predict", f"text {number} has no known words; predicting for an empty text")
                if options.out:
                    answers.append({"text": text, **answer})
                elif options.json:
                    print_json(answer)
                else:
                    print(f"{printable(best)}\t{p[best]:.4f}", flush=True)
    if options.out:
        write_answers(Path(options.out), labels, answers)
        print(f"{number} predictions saved as {options.out}")
    return 0


def inspect(options: Namespace) -> int:
    """Print the layers of a model, how it was compiled, its tokenizer and its metadata."""
    model = Sequential.load(options.model)
    model.summary(lambda line: print(printable(line)))
    about = saving.describe(model)
    words = len(model.tokenizer.word_index) if model.tokenizer else None
    facts = {"layers": list(model.layers), "dtype": about["dtype"], "words": words, "tokenizer": about["tokenizer"]}
    print()
    for name, value in {**facts, **(about["compiled"] or {}), **model.metadata}.items():
        if isinstance(value, dict) and "class" in value:
            value = f"{value['class']}({', '.join(f'{key}={item!r}' for key, item in value['arguments'].items())})"
        print(printable(f"{name}: {textwrap.shorten(str(value), 400, placeholder=' ...')}"))
    return 0


def download(options: Namespace) -> int:
    """Download the IMDB reviews, unless they are in the cache, and print their path."""
    del options
    print(download_imdb())
    return 0


def check_out(options: Namespace, *suffixes: str) -> None:
    """End the program unless --out has one of the suffixes, in a folder that can be written to."""
    out = Path(options.out)
    writable = all(os.access(place, os.W_OK) for place in (out.parent, out) if place.exists())
    if out.suffix not in suffixes or not out.parent.is_dir() or out.is_dir() or not writable:
        names = " or ".join(suffixes)
        options.wrong(f"--out is {out}, expected a name that ends in {names}, in a folder that you can write to")


def kind(data: str) -> str:
    """Return the kind of the data: "imdb", also as an archive or folder, "builtin", or "own"."""
    path = Path(data)
    if data in ("imdb", "builtin"):
        return data
    if re.search(r"\.(tar(\.(gz|bz2|xz))?|tgz|tbz2|txz)$", path.name.lower()) or (path / "aclImdb").is_dir():
        return "imdb"
    folders = (path / part / label for part in ("train", "test") for label in ("pos", "neg"))
    return "imdb" if all(folder.is_dir() for folder in folders) else "own"


def read(options: Namespace, part: int) -> list[Row]:
    """Read the training part (0) or the test part (1) of IMDB or the built-in corpus, or all of the user's own data."""
    if kind(options.data) == "own":
        if options.reviews:
            options.wrong("--reviews is for imdb and builtin; your own data is read as a whole")
        if not Path(options.data).exists() and options.data != "-":
            raise FileNotFoundError(f"nothing at {options.data}; DATA is imdb, its archive, builtin, or {FORMATS}")
        return read_own(options, options.data)
    reviews = options.reviews or 5000
    if options.data == "builtin":
        texts, y = load_builtin(reviews, options.seed)[part]
    else:
        place = None if options.data == "imdb" else options.data
        texts, y = load_imdb(place, reviews=reviews, seed=options.seed)[part]
    return [Row(text, ("negative", "positive")[label], options.data) for text, label in zip(texts, y, strict=True)]


def read_own(options: Namespace, path: str, labelled: bool = True) -> list[Row]:
    """Read the user's own texts as the options say; print warnings to stderr."""
    with notes(options.command):
        columns = {"text_column": options.text_column} | ({"label_column": options.label_column} if labelled else {})
        return load_own(path, **columns, labelled=labelled, delimiter=options.delimiter, encoding=options.encoding)


@contextlib.contextmanager
def notes(command: str) -> Iterator[None]:
    """Print warnings as one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        note(command, printable(str(warning.message)))


def note_unread(command: str, model: Sequential, texts: Sequence[str], x: Any, name: str) -> None:
    """Print a note to stderr if too few tokens of the texts are known, whose ids are x; a sample is enough to tell."""
    if empty := sum(not any(ids) for ids in x):
        note(command, f"{empty} of {len(texts)} {name} contain no known words, so the model sees them as empty")
    every, sample = copy.copy(model.tokenizer), texts[:: len(texts) // 1000 or 1]
    assert every is not None
    known = sum(map(len, every.texts_to_sequences(sample)))
    every.oov_token = every.oov_token or "?"  # the tokens that are left out are counted, too
    total = np.array([len(ids) for ids in every.texts_to_sequences(sample)])  # (N,)
    if np.mean(total <= 1) > 0.5:
        note(command, f"most {name} consist of a single token, so the model cannot see the words in them")
    elif known < 0.5 * total.sum():
        unknown = f"{1 - known / total.sum():.0%} of the tokens of the {name} are unknown"
        note(command, f"{unknown}; try a larger --vocab-size, or more texts")


def note(command: str, text: str) -> None:
    """Print a note to stderr."""
    print(f"minilstm {command}: {text}", file=sys.stderr)


def load_classifier(path: str) -> tuple[Sequential, list[str]]:
    """Load a model that ``train`` saved, or a similar one, and its labels."""
    model = Sequential.load(path)
    labels: Any = model.metadata.get("labels")
    maxlen = model.metadata.get("maxlen")
    named = isinstance(labels, list) and {*map(type, labels)} == {str} and 1 < len(labels) == len({*labels})
    if not named or not isinstance(maxlen, int) or maxlen < 1 or model.tokenizer is None:
        raise ValueError(
            f"{path} holds a model but lacks a tokenizer or metadata such as {{'labels': ['no', 'yes'], "
            "'maxlen': 300}; expected a model as 'train' saves it"
        )
    shape, K = model.shapes[-1:], len(labels)
    if shape == [(1,)] and getattr(model.layers[-1], "activation", None) == "softmax":
        raise ValueError(f'{path}: Dense(1, "softmax") gives 1.0 for every text; retrain it with Dense(1, "sigmoid")')
    if shape != [(K,)] and not (K == 2 and shape == [(1,)]):
        raise ValueError(f"{path}: the output of the model has shape {shape}, which does not fit {K} labels")
    return model, labels


def encode(model: Sequential, texts: Sequence[str]) -> Any:
    """Turn N texts into the ids of their last known words; pad them if the model needs a fixed length."""
    assert model.tokenizer is not None
    maxlen = model.metadata["maxlen"]
    ids = [sequence[-maxlen:] for sequence in model.tokenizer.texts_to_sequences(texts)]
    return ids if model.shapes[0] == (None,) else pad_sequences(ids, maxlen)  # (N, maxlen)


def probabilities(model: Sequential, x: Any) -> Array:
    """Compute the probability of each label, (N, K), for texts as ``encode`` gives them."""
    p = model.predict(x, batch_size=BATCH).astype(np.float64)  # (N, K) or (N, 1)
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])  # (N, 2)
    if not (p.min() >= 0 and np.abs(p.sum(axis=1) - 1).max() < 1e-3):  # both are false for NaN
        raise ValueError("the model's outputs are not probabilities; retrain it with a smaller --learning-rate")
    return p


def batches_of_texts(options: Namespace) -> Iterator[list[str]]:
    """Yield the texts to classify: from the arguments, from a file, or from standard input, one on each line."""
    if options.text:
        yield options.text
        return
    if options.file:
        rows = read_own(options, options.file, labelled=False)
        yield from ([row.text for row in rows[n : n + BATCH]] for n in range(0, len(rows), BATCH))
        return
    stream: Any = sys.stdin or io.StringIO()
    typed = stream.isatty()
    if typed:
        print("type texts, one per line; end with Ctrl-D (on Windows Ctrl-Z and Enter)", file=sys.stderr)
    while texts := [line.strip("\ufeff\r\n") for line in islice(stream, 1 if typed else BATCH)]:
        yield texts


def print_json(thing: dict[str, Any]) -> None:
    """Print an object on a line, with escapes if the terminal cannot show a character, or would obey it."""
    utf8 = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    text = json.dumps(thing, ensure_ascii=False)
    print(text if utf8 and text.isprintable() else json.dumps(thing), flush=True)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells in aligned columns; Chinese, Japanese and Korean characters are two columns wide."""
    rows = [list(map(printable, row)) for row in rows]
    sizes = [[len(cell) + sum(unicodedata.east_asian_width(c) in "WF" for c in cell) for cell in row] for row in rows]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    for row, size in zip(rows, sizes, strict=True):
        cells = (cell + " " * (width - n) for cell, width, n in zip(row, widths, size, strict=True))
        print("  ".join(cells).rstrip())
