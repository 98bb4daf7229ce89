"""The explorer page: one HTML file that holds a model, runs it in the browser, and shows what happens inside.

The file needs no network and no server. Its weights are rounded to float16, or to float32 on request;
:func:`page_model` is the model with these weights, whose :func:`minilstm.explain.trace.trace` gives the page's numbers.

Labels, texts and words come from files that anybody may have written. They are escaped where they are embedded, the
page shows them as text only, and its content security policy allows no code but its own and no requests.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import html
import inspect
import json
import os
import re
import textwrap
from collections.abc import Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np

from minilstm.data.builtin import load_builtin
from minilstm.data.files import replace_file
from minilstm.data.text import Tokenizer
from minilstm.explain.contexts import contexts
from minilstm.explain.reader import Reader, check
from minilstm.layers import lstm
from minilstm.model import Sequential
from minilstm.runs import saving
from minilstm.tools.convert import as_sequence
from minilstm.tools.validate import check_positive

LARGEST = 20_000_000  # bytes of weights in a page, as base64
SHOWN = 20  # texts to pick from
READ = 500  # texts in which to look for the contexts of a unit


def write_page(
    model: Sequential,
    path: str | os.PathLike[str],
    texts: Sequence[str | tuple[str, str]] | None = None,
    words: int | None = None,
    compare: Sequential | None = None,
    float32: bool = False,
) -> None:
    """Write a page that explains a model.

    Args:
        model: one that :func:`minilstm.explain.trace.trace` accepts, made of minilstm's own layers.
        path: the HTML file.
        texts: each a str, or a str and its label; None for those of the built-in corpus. The first 20 can be picked in
            the page, and the first 500 are searched for the words that each unit of an LSTM follows.
        words: keep only this many of the most frequent words; the others are unknown in the page.
        compare: a second model with the same labels, to show next to the first.
        float32: round the weights to float32 instead of float16, which doubles the size.

    Raises:
        TypeError: an argument has the wrong type, or a layer is your own, so that the page lacks its code.
        ValueError: the model cannot be explained, or the page would have more than 20 MB of weights.
        OSError: the file cannot be written.
    """
    models = [page_model(m, words, float32) for m in (model, compare) if m is not None]
    labels = [Reader(m).labels for m in models]
    if labels[0] != labels[-1]:
        raise ValueError(f"compare has labels {labels[-1]}, expected those of model, {labels[0]}, in the same order")
    dtype = np.dtype("<f4" if float32 else "<f2")
    size = -(-sum(p.size for m in models for p in m.params.values()) * dtype.itemsize // 3) * 4
    if size > LARGEST:
        rows = sum(len(m.layers[0].params["E"]) for m in models)
        D = sum(m.layers[0].params["E"].size for m in models) / rows
        fit = int(max(0, rows - (size - LARGEST) * 3 / 4 / dtype.itemsize / D) / len(models))
        smaller = f"words={fit // 1000 * 1000}, on the command line --words" if fit >= 1000 else "a smaller model"
        raise ValueError(
            f"the weights would take {size / 1e6:.0f} MB in the page, where {LARGEST / 1e6:.0f} fit; use {smaller}"
        )
    pairs = labelled(texts)
    data, *others = [model_data(m) for m in models]
    offset = sum(p.size for p in models[0].params.values())
    for other in others:
        for layer in other["layers"]:
            for p in layer["params"].values():
                p["offset"] += offset
    data |= {
        "version": 1,
        "dtype": dtype.name,
        "texts": [{"text": text, "label": label} for text, label in pairs[:SHOWN]],
        "contexts": contexts(models[0], [text for text, _ in pairs[:READ]]),
        "source": source(),
        "compare": others[0] if others else None,
    }
    weights = [p.astype(dtype).tobytes() for m in models for p in m.params.values()]
    page = fill(data, base64.b64encode(b"".join(weights)).decode("ascii"))
    replace_file(Path(path), page.encode("utf-8"))


def page_model(model: Sequential, words: int | None = None, float32: bool = False) -> Sequential:
    """Copy a model in float64, with its weights rounded as in the page, and only the ``words`` most frequent words."""
    tokenizer = check(model)
    saving.describe(model)  # a TypeError for what is not minilstm's own
    V = len(model.layers[0].params["E"])
    ids = sorted(tokenizer.index_word)
    if ids != list(range(1, len(ids) + 1)) or len(tokenizer.word_index) != len(ids):
        raise ValueError("model.tokenizer numbers its words with gaps or twice, expected ids from 1 to their number")
    V = V if words is None else min(V, 1 + check_positive("write_page", words=words)[0])
    new = copy.deepcopy(model)
    new.dtype = np.dtype("float64")
    dtype = np.float32 if float32 else np.float16
    for layer in new.layers:
        with np.errstate(over="ignore"):
            layer.params = {name: p.astype(dtype).astype(np.float64) for name, p in layer.params.items()}
        if not all(np.isfinite(p).all() for p in layer.params.values()):
            raise ValueError(f"{layer.name} has weights too large for {np.dtype(dtype)}; use float32=True")
    embedding: Any = new.layers[0]
    embedding.input_dim, embedding.params = V, {"E": embedding.params["E"][:V]}
    new.tokenizer = limited(tokenizer, V)
    return new


def limited(tokenizer: Tokenizer, V: int) -> Tokenizer:
    """Copy a tokenizer with only the words whose ids are below V."""
    V = min(V, tokenizer.num_words or V, len(tokenizer.word_index) + 1)
    new = copy.copy(tokenizer)
    new.num_words = max(2, V)
    new.index_word = {n: word for n, word in tokenizer.index_word.items() if n < V}
    new.word_index = {word: n for n, word in new.index_word.items()}
    return new


def model_data(model: Sequential) -> dict[str, Any]:
    """Describe a model as JSON: its tokenizer, labels and layers, and where the weights of each are."""
    reader, about, offset = Reader(model), saving.describe(model), 0
    layers = []
    for layer, item in zip(model.layers, about["layers"], strict=True):
        params = {}
        for name, p in layer.params.items():
            params[name] = {"shape": p.shape, "offset": offset}
            offset += p.size
        layers.append({"name": layer.name, **as_config(item["call"]), "params": params})
    names = [reader.tokenizer.index_word[n] for n in sorted(reader.tokenizer.index_word)]
    return {
        "title": " > ".join(type(layer).__name__ for layer in model.layers),
        "tokenizer": about["tokenizer"]["arguments"] | {"words": names},
        "labels": reader.labels,
        "maxlen": reader.maxlen,
        "padded": reader.padded,
        "layers": layers,
    }


def as_config(written: Any) -> Any:
    """Rename the "arguments" of a call, as :func:`minilstm.runs.saving.call` writes it, to the page's "config"."""
    if not isinstance(written, dict):
        return written
    return {"class": written["class"], "config": {key: as_config(value) for key, value in written["arguments"].items()}}


def source() -> dict[str, Any]:
    """Take the loops over time, as they are now, out of ``layers/lstm.py``."""
    loops = {}
    for name, function in (("forward", lstm.lstm_forward), ("backward", lstm.lstm_backward)):
        body = re.search(r"    for t in .*\n((?:        .*\n)+)", inspect.getsource(function))
        loops[name] = textwrap.dedent(body[1]).splitlines() if body else []
    return {"file": "minilstm/layers/lstm.py", **loops}


def labelled(texts: Sequence[str | tuple[str, str]] | None) -> list[tuple[str, str | None]]:
    """Return the texts, or the beginning of the built-in corpus, with their labels, None where they have none."""
    if texts is None:
        (found, y), _ = load_builtin(READ)
        return [(text, ("negative", "positive")[label]) for text, label in zip(found, y, strict=True)]
    pairs: list[tuple[str, str | None]] = []
    for n, item in enumerate(as_sequence("texts", texts)):
        match item:
            case str():
                pairs.append((item, None))
            case (str(text), None | str() as label):
                pairs.append((text, label))
            case _:
                raise TypeError(f"texts[{n}] must be a str, or a str and its label, got {item!r:.60}")
    return pairs


def fill(data: dict[str, Any], weights: str) -> str:
    """Put everything into the template in one pass, so that nothing that is put in is taken for a placeholder."""
    folder = resources("minilstm.explain")
    css, engine, page = (folder.joinpath(name).read_text("utf-8") for name in ("page.css", "engine.js", "page.js"))
    styles, scripts = quoted_hashes(css), f"{quoted_hashes(engine)} {quoted_hashes(page)}"
    policy = f"default-src 'none'; style-src {styles}; script-src {scripts}; img-src data:; base-uri 'none'"
    text = json.dumps(data, allow_nan=False)  # all but ASCII is escaped, so also U+2028 and half surrogate pairs
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    parts = {"csp": policy, "title": html.escape(data["title"]), "css": css, "model": text}
    parts |= {"weights": weights, "engine": engine, "page": page}
    template = folder.joinpath("page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def quoted_hashes(text: str) -> str:
    """Return the hash of a style or script for the content security policy."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
