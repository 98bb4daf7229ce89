"""How long minilstm, PyTorch and Keras train the same five models on the same film reviews.

Every framework starts from the same weights, gets the same batches in the same order, and takes the same steps of
RMSprop (rate 0.001, rho 0.9, epsilon 1e-7). Each runs in a process of its own that sleeps while another one works, so
that no pool of threads is in another's way. They take turns within every repeat: what slows the machine for a minute
slows all of them. The first repeat warms up and does not count.

Counted is all that a step needs, from a list of reviews to moved weights. Only the padding of all reviews to one
length, where a framework is used that way, is done before. A framework that is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from minilstm import (
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Embedding,
    GlobalMaxPooling1D,
    MaxPooling1D,
    RMSprop,
    Sequential,
    Tokenizer,
    textbook,
)
from minilstm.arrays import Array
from minilstm.data import load_builtin, load_imdb
from minilstm.data.batching import batches
from minilstm.layers.base import Layer
from minilstm.tools.interop import to_keras, to_torch

EXAMPLES = """\
examples:
  python benchmarks/compare.py                                           everything, in about half an hour
  python benchmarks/compare.py --models lstm --sizes tutorial            one model at one size
  python benchmarks/compare.py --frameworks minilstm torch --repeats 3   a quick look at two of them
  python benchmarks/compare.py --data builtin --frameworks minilstm      made-up reviews, no network needed
"""


class Size(NamedTuple):
    """How large models and batches are."""

    vocabulary: int
    maxlen: int  # of longer reviews only the last words are read
    embedding: int
    hidden: int  # units of an LSTM
    batch: int
    filters: int
    width: int  # words that a filter sees


SIZES = {"tutorial": Size(1_000, 300, 50, 100, 32, 64, 3), "practical": Size(20_000, 400, 128, 128, 64, 128, 5)}

BODIES: dict[str, Callable[[Size], list[Layer]]] = {
    "cnn": lambda s: [Conv1D(s.filters, s.width, activation="relu"), GlobalMaxPooling1D()],
    "lstm": lambda s: [LSTM(s.hidden)],
    "deep": lambda s: [LSTM(s.hidden, return_sequences=True), LSTM(s.hidden)],
    "bidirectional": lambda s: [Bidirectional(LSTM(s.hidden))],
    "cnn-lstm": lambda s: [Conv1D(s.filters, s.width, activation="relu"), MaxPooling1D(2), LSTM(s.hidden)],
}
"""The layers between the Embedding and the last Dense."""

RATE, RHO, EPSILON = 1e-3, 0.9, 1e-7

Batch = tuple[list[Array], Array]
"""B reviews as token ids, each as long as it is, and their labels (B,)."""

Train = Callable[[list[Any]], float]
"""Train on some batches, as the framework's ``prepare`` left them; give the mean loss, taken before each step."""

Start = tuple[Callable[[list[Batch]], list[Any]], Train]
"""What is prepared for a model: ``prepare``, which is not timed, and ``train``, which is."""


def make_model(name: str, size: Size) -> Sequential:
    """Stack a model with the weights from which every framework starts."""
    last = Dense(1, activation="sigmoid")
    return Sequential([Embedding(size.vocabulary, size.embedding), *BODIES[name](size), last], seed=0)


def start_minilstm(model: Sequential, size: Size) -> Start:
    """Train with ``fit`` on lists of reviews, of exact lengths."""
    model.compile(RMSprop(RATE, RHO, EPSILON), "binary_crossentropy")

    def train(some: list[Batch]) -> float:
        x = [review for reviews, _ in some for review in reviews]
        y = np.concatenate([labels for _, labels in some])  # (N,)
        history = model.fit(x, y, batch_size=size.batch, shuffle=False, verbose=0)  # the batches are mixed already
        return history.history["loss"][-1]

    return as_they_are, train


def start_textbook(model: Sequential, size: Size) -> Start:
    """Train as :func:`start_minilstm`, by the functions that one reads: plain NumPy, in one thread."""
    prepare, train = start_minilstm(model, size)

    def slowly(some: list[Batch]) -> float:
        with textbook():
            return train(some)

    return prepare, slowly


def start_torch(model: Sequential, size: Size) -> Start:
    """Train as somebody would who knows PyTorch well and wants it fast on a CPU. What that means was measured.

    - Batches of similar lengths, padded to their longest review.
    - Subnormals flushed, which makes an LSTM's backward pass several times faster, and in every thread, since
      threads inherit it: so before the first operation.
    - As many threads as cores, PyTorch's default: one thread took 1.5 times as long.
    - Convolution as a 2-D one of height 1: the transposed embedding is what oneDNN calls channels last, and no copy is
      made. Up to a fifth faster than Conv1d.
    - RMSprop over lists of tensors, as ``foreach=True`` does it, epsilon being where minilstm and Keras have it.
    - With a large vocabulary, only the rows of words in the batch get a gradient and a step (``RowsStep``).
    - The last state is h_n. Batch first or time first made no difference, nor did ``amax`` for ``max``.
    """
    import torch

    torch.set_flush_denormal(True)
    modules = torch_modules(model)
    step: Any = (RowsStep if size.vocabulary > 5_000 else ListStep)(modules)

    def forward(reviews: Any) -> Any:
        x = step.embed(torch.from_numpy(padded(reviews, longest(reviews))))  # (B, T, D)
        for layer, module in zip(model.layers[1:], modules[1:], strict=True):
            if isinstance(layer, Conv1D):
                image = x.transpose(1, 2).unsqueeze(2)  # (B, D, 1, T)
                z = torch.nn.functional.conv2d(image, module.weight.unsqueeze(2), module.bias)  # (B, F, 1, T_out)
                x = z.relu().squeeze(2).transpose(1, 2)  # (B, T_out, F)
            elif isinstance(layer, MaxPooling1D):
                x = torch.nn.functional.max_pool1d(x.transpose(1, 2), 2).transpose(1, 2)  # (B, T_out, F)
            else:
                x = torch_layer(layer, module, x)
        return x[:, 0]  # (B,)

    return as_they_are, torch_train(forward, step)


def torch_train(forward: Callable[[Any], Any], step: Any) -> Train:
    """Make what trains on batches: ``forward`` turns reviews into logits (B,), ``step`` moves the weights."""
    import torch

    def train(some: list[Batch]) -> float:
        total = 0.0
        for reviews, labels in some:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(forward(reviews), torch.from_numpy(labels))
            loss.backward()
            step.make()
            total += loss.item()
        return total / len(some)

    return train


class ListStep:
    """RMSprop over lists of tensors, with every row of the embedding."""

    def __init__(self, modules: list[Any]) -> None:
        import torch

        self.torch, self.E = torch, modules[0].weight
        self.params = weights(modules)
        self.v = [torch.zeros_like(p) for p in self.params]

    def embed(self, tokens: Any) -> Any:
        """Look the vectors of the tokens (B, T) up: (B, T, D)."""
        return self.torch.nn.functional.embedding(tokens, self.E)

    def make(self) -> None:
        """Move all parameters by their gradients, and forget these."""
        torch = self.torch
        with torch.no_grad():
            grads = [p.grad for p in self.params]
            torch._foreach_mul_(self.v, RHO)
            torch._foreach_addcmul_(self.v, grads, grads, 1 - RHO)
            root = torch._foreach_add(self.v, EPSILON)
            torch._foreach_sqrt_(root)
            torch._foreach_addcdiv_(self.params, grads, root, -RATE)
        for p in self.params:
            p.grad = None


class RowsStep(ListStep):
    """The same numbers, but the embedding's rows are left alone until their word comes: then v has faded meanwhile."""

    def __init__(self, modules: list[Any]) -> None:
        super().__init__(modules)
        self.params, self.v, self.v_E = self.params[1:], self.v[1:], self.v[0]
        self.last, self.steps = self.torch.zeros(len(self.E)), 0

    def embed(self, tokens: Any) -> Any:
        """Look the vectors of the tokens (B, T) up: (B, T, D)."""
        self.words, places = self.torch.unique(tokens, return_inverse=True)
        self.rows = self.E.detach()[self.words].requires_grad_()
        return self.torch.nn.functional.embedding(places, self.rows)

    def make(self) -> None:
        """Move the other parameters, then the rows of the words in the batch."""
        super().make()
        torch, words = self.torch, self.words
        self.steps += 1
        with torch.no_grad():
            faded = RHO ** (self.steps - self.last[words])  # (words,)
            v = (self.v_E[words] * faded[:, None]).addcmul_(self.rows.grad, self.rows.grad, value=1 - RHO)
            self.v_E[words], self.last[words] = v, float(self.steps)
            self.E[words] = self.rows.detach().addcdiv_(self.rows.grad, (v + EPSILON).sqrt_(), value=-RATE)


def start_torch_packed(model: Sequential, size: Size) -> Start:
    """Train with ``pack_padded_sequence``: exact lengths as in minilstm, otherwise as :func:`start_torch`."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence

    torch.set_flush_denormal(True)
    modules = torch_modules(model)
    step: Any = (RowsStep if size.vocabulary > 5_000 else ListStep)(modules)

    def forward(reviews: Any) -> Any:
        T = longest(reviews)
        tokens = torch.from_numpy(padded([review[::-1] for review in reviews], T)[:, ::-1].copy())  # (B, T)
        lengths = torch.tensor([len(review) for review in reviews])  # (B,)
        x = pack_padded_sequence(step.embed(tokens), lengths, batch_first=True, enforce_sorted=False)
        return modules[2](torch_layer(model.layers[1], modules[1], x))[:, 0]  # (B,)

    return as_they_are, torch_train(forward, step)


def start_torch_tutorial(model: Sequential, size: Size) -> Start:
    """Train as tutorials write it: every review padded to one length beforehand, and PyTorch as it comes.

    Its RMSprop adds epsilon after the root, not before; the root of ours comes nearest.
    """
    import torch

    modules = torch_modules(model)
    params = weights(modules)
    optimizer = torch.optim.RMSprop(params, lr=RATE, alpha=RHO, eps=EPSILON**0.5)
    criterion = torch.nn.BCEWithLogitsLoss()

    def prepare(some: list[Batch]) -> list[Any]:
        return [(torch.from_numpy(padded(x, size.maxlen)), torch.from_numpy(y)) for x, y in some]

    def train(some: list[Any]) -> float:
        total = 0.0
        for tokens, labels in some:
            optimizer.zero_grad()
            x = modules[0](tokens)  # (B, T, D)
            for layer, module in zip(model.layers[1:], modules[1:], strict=True):
                if isinstance(layer, Conv1D):
                    x = module(x.permute(0, 2, 1)).relu().permute(0, 2, 1)  # (B, T_out, F)
                elif isinstance(layer, MaxPooling1D):
                    x = torch.nn.functional.max_pool1d(x.permute(0, 2, 1), 2).permute(0, 2, 1)  # (B, T_out, F)
                else:
                    x = torch_layer(layer, module, x)
            loss = criterion(x[:, 0], labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(some)

    return prepare, train


def torch_modules(model: Sequential) -> list[Any]:
    """Make PyTorch's modules with the weights of ``model``, one for each layer, None for one without weights."""
    import torch
    from torch import nn

    def make(layer: Layer, d_in: int) -> Any:
        if isinstance(layer, Embedding):
            return nn.Embedding(layer.input_dim, layer.output_dim)
        if isinstance(layer, Conv1D):
            return nn.Conv1d(d_in, layer.filters, layer.kernel_size)
        if isinstance(layer, Dense):
            return nn.Linear(d_in, 1)
        lstm = layer.layer if isinstance(layer, Bidirectional) else layer
        assert isinstance(lstm, LSTM)
        return nn.LSTM(d_in, lstm.units, batch_first=True, bidirectional=lstm is not layer)

    modules: list[Any] = []
    for layer, shape in zip(model.layers, model.shapes, strict=False):
        module = None
        if layer.params:
            module = make(layer, shape[-1] or 0)
            module.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(layer).items()})
            for name, parameter in module.named_parameters():
                parameter.requires_grad = "bias_hh" not in name  # the second of two biases that PyTorch adds up
        modules.append(module)
    return modules


def weights(modules: list[Any]) -> list[Any]:
    """List the parameters that learn."""
    return [p for module in modules if module is not None for p in module.parameters() if p.requires_grad]


def torch_layer(layer: Layer, module: Any, x: Any) -> Any:
    """Run a layer that all ways to use PyTorch have alike; x is (B, T, features), or packed."""
    import torch

    if isinstance(layer, GlobalMaxPooling1D):
        return x.amax(dim=1)  # (B, F)
    if isinstance(layer, Dense):
        return module(x)  # (B, 1), logits
    y, (h, _) = module(x)
    if isinstance(layer, LSTM):
        return y if layer.return_sequences else h[0]  # (B, T, H) or (B, H)
    return torch.cat([h[0], h[1]], dim=1)  # (B, 2H)


def start_keras(model: Sequential, size: Size) -> Start:
    """Train with Keras as its guides do: every review padded to one length beforehand.

    ``train_on_batch`` was no slower than ``fit``. XLA, which ``compile`` turns on by itself, made the CNN up to a tenth
    faster and the LSTM slower, by up to 1.9: so only the CNN has it.
    """
    train = keras_train(model, jit_compile=any(isinstance(layer, GlobalMaxPooling1D) for layer in model.layers))
    return lambda some: [(padded(x, size.maxlen), y[:, None]) for x, y in some], train


def start_keras_bucketed(model: Sequential, size: Size) -> Start:  # noqa: ARG001 - as all have it
    """Train with Keras on batches padded to their longest review; no XLA, which would compile for each length."""
    train = keras_train(model, jit_compile=False)
    return as_they_are, lambda some: train([(padded(x, longest(x)), y[:, None]) for x, y in some])


def keras_train(model: Sequential, jit_compile: bool) -> Train:
    """Make the same model in Keras and what trains it on batches (B, T) with labels (B, 1)."""
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    import keras

    def twin(layer: Layer) -> Any:
        if isinstance(layer, Embedding):
            return keras.layers.Embedding(layer.input_dim, layer.output_dim)
        if isinstance(layer, Conv1D):
            return keras.layers.Conv1D(layer.filters, layer.kernel_size, activation="relu")
        if isinstance(layer, LSTM):
            return keras.layers.LSTM(layer.units, return_sequences=layer.return_sequences)
        if isinstance(layer, Bidirectional):
            return keras.layers.Bidirectional(keras.layers.LSTM(layer.layer.units))
        if isinstance(layer, Dense):
            return keras.layers.Dense(1, activation="sigmoid")
        return keras.layers.MaxPooling1D(2) if isinstance(layer, MaxPooling1D) else keras.layers.GlobalMaxPooling1D()

    net = keras.Sequential([keras.Input((None,), dtype="int32"), *map(twin, model.layers)])
    net.set_weights(to_keras(model))
    net.compile(keras.optimizers.RMSprop(RATE, RHO, epsilon=EPSILON), "binary_crossentropy", jit_compile=jit_compile)

    def train(some: list[Any]) -> float:
        total = 0.0
        for tokens, labels in some:
            net.reset_metrics()  # else it would give the mean of all batches so far
            total += float(np.ravel(net.train_on_batch(tokens, labels))[0])
        return total / len(some)

    return train


def as_they_are(some: list[Batch]) -> list[Any]:
    """Prepare nothing."""
    return some


def longest(reviews: list[Array]) -> int:
    """Count the tokens of the longest review."""
    return max(len(review) for review in reviews)


def padded(reviews: list[Array], T: int) -> Array:
    """Put reviews together, with 0 in front of short ones: (B, T)."""
    x = np.zeros((len(reviews), T), np.int64)  # (B, T)
    for row, review in zip(x, reviews, strict=True):
        row[T - len(review) :] = review
    return x


class Framework(NamedTuple):
    """A way to train."""

    title: str
    package: str  # what has to be installed
    start: Callable[[Sequential, Size], Start]
    all_batches: bool  # False for the slow ones: FEW batches of every pass
    models: Sequence[str] = tuple(BODIES)


FEW = 8

FRAMEWORKS = {
    "minilstm": Framework("minilstm", "minilstm", start_minilstm, True),
    "textbook": Framework("minilstm, the textbook", "minilstm", start_textbook, False),
    "torch": Framework("PyTorch, tuned", "torch", start_torch, True),
    "torch-packed": Framework("PyTorch, packed", "torch", start_torch_packed, False, ("lstm", "bidirectional")),
    "torch-tutorial": Framework("PyTorch, as in tutorials", "torch", start_torch_tutorial, False),
    "keras": Framework("Keras on TensorFlow", "tensorflow", start_keras, False),
    "keras-bucketed": Framework("Keras, batches by length", "tensorflow", start_keras_bucketed, False),
}


class Worker:
    """A process that trains with one framework and sleeps in between."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")  # nothing is shared, least of all threads
        self.name, (self.pipe, end) = name, context.Pipe()
        self.process = context.Process(target=work, args=(name, end), daemon=True)
        self.process.start()
        end.close()  # so that the pipe breaks if the process does

    def ask(self, *question: Any) -> Any:
        """Send a model to make or batches to train on, and wait for the answer."""
        try:
            self.pipe.send(question)
            return self.pipe.recv()
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError(f"{self.name}: its process ended; see its output above") from error

    def stop(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join()


def work(name: str, pipe: Connection) -> None:
    """Serve a Worker until it goes: ``(model, size)`` makes a model, ``(batches,)`` gives seconds and loss."""
    prepare, train = None, None
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        if len(question) == 2:
            model, size = question
            prepare, train = FRAMEWORKS[name].start(make_model(model, SIZES[size]), SIZES[size])
            pipe.send(None)
        else:
            assert prepare is not None
            assert train is not None
            ready = prepare(*question)
            start = time.perf_counter()
            loss = train(ready)
            pipe.send((time.perf_counter() - start, loss))


class Run(NamedTuple):
    """What one framework did with one model at one size."""

    size: str
    model: str
    framework: str
    ms: list[float]  # for 1,000 reviews, in each repeat that counts
    first_loss: float  # over the first FEW batches, the same for all frameworks
    last_loss: float  # over the last pass

    @property
    def median(self) -> float:
        """The middle one of the times."""
        return float(np.median(self.ms))


def load(data: str | None, reviews: int, size: Size) -> tuple[list[Array], Array]:
    """Read the reviews: the last words of each as numbers, and the labels (N,)."""
    texts, labels = load_builtin(reviews)[0] if data == "builtin" else load_imdb(data, reviews=reviews)[0]
    tokenizer = Tokenizer(num_words=size.vocabulary)
    tokenizer.fit_on_texts(texts)
    x = [np.array(review[-size.maxlen :], np.int64) for review in tokenizer.texts_to_sequences(texts)]
    return x, labels.astype(np.float32)


def passes(x: list[Array], y: Array, size: Size, number: int) -> tuple[list[Batch], list[Batch]]:
    """Make the batches of one pass, mixed as minilstm does, and FEW of them as a sample.

    The few are the middles of as many equal parts, from the shortest reviews to the longest.
    """
    lengths = np.array([len(review) for review in x])  # (N,)
    rows = list(batches(lengths, size.batch, np.random.default_rng(number)))
    by_length = np.argsort([lengths[batch].sum() for batch in rows])  # (batches,)
    few = min(FEW, len(rows))
    chosen = sorted(by_length[int((n + 0.5) * len(rows) / few)] for n in range(few))  # in the order of the pass
    every = [([x[n] for n in batch], y[batch]) for batch in rows]
    return every, [every[n] for n in chosen]


def compare(
    sizes: Sequence[str], models: Sequence[str], names: Sequence[str], data: str | None, reviews: int, repeats: int
) -> list[Run]:
    """Let all frameworks train all models, in turns."""
    runs = []
    plan = [(size, model) for size in sizes for model in models]
    turns = sum(model in FRAMEWORKS[name].models for _, model in plan for name in names) * (repeats + 1)
    workers = {name: Worker(name) for name in names}
    corpora = {size: load(data, reviews, SIZES[size]) for size in sizes}
    with tqdm(total=turns, unit=" turns", smoothing=0) as bar:
        for size, model in plan:
            x, y = corpora[size]
            whole = len(x) // SIZES[size].batch * SIZES[size].batch  # only full batches
            here = {name: worker for name, worker in workers.items() if model in FRAMEWORKS[name].models}
            times: dict[str, list[float]] = {name: [] for name in here}
            losses: dict[str, list[float]] = {name: [] for name in here}
            for worker in here.values():
                worker.ask(model, size)
            for repeat in range(repeats + 1):
                every, few = passes(x[:whole], y[:whole], SIZES[size], repeat)
                for name, worker in here.items():
                    bar.set_description(f"{size} {model}: {name}")
                    part = every if repeat and FRAMEWORKS[name].all_batches else few
                    time.sleep(0.1)  # until the threads of the one before sleep too
                    seconds, loss = worker.ask(part)
                    times[name].append(1e6 * seconds / sum(len(labels) for _, labels in part))
                    losses[name].append(loss)
                    bar.update()
            for name in here:
                runs.append(Run(size, model, name, times[name][1:], losses[name][0], losses[name][-1]))
                tqdm.write(f"{size:<10} {model:<14} {FRAMEWORKS[name].title:<25} {runs[-1].median:8.0f} ms")
    for worker in workers.values():
        worker.stop()
    return runs


def ratios(run: Run, runs: Iterable[Run]) -> Array | None:
    """Divide the times of a run by minilstm's in the same repeat: (repeats,); None where minilstm was left out."""
    for other in runs:
        if (other.size, other.model, other.framework) == (run.size, run.model, "minilstm"):
            return np.array(run.ms) / np.array(other.ms)  # (repeats,)
    return None


def report(runs: list[Run], left_out: list[str], reviews: int, repeats: int) -> str:
    """Lay the results out in Markdown."""
    corpus_of = f"{reviews:,} reviews, {repeats} repeats, {os.cpu_count()} cores"
    packages = ["minilstm", "numpy", "numba", "torch", "tensorflow", "keras"]
    lines = [
        "# Training time, side by side",
        "",
        f"Written by `benchmarks/compare.py`: {corpus_of}, {versions(packages)}. Times are ms of training for 1,000 "
        "reviews, the median of the repeats and in brackets the fastest and the slowest. Ratios are to minilstm's time "
        f"in the same repeat: above 1, minilstm is faster. Frameworks marked * train on {FEW} batches of every pass, "
        "from short reviews to long ones, since they are slow; their times are scaled.",
        "",
        f"The first loss is over the first {FEW} batches, which are the same for all, and shows that all do the same "
        "work. Where reviews are padded in front, the padding is read as words, so that the loss differs a little. The "
        "last loss is over the last pass; those marked * have seen fewer reviews by then.",
        *(f"\nLeft out: {name}." for name in left_out),
    ]
    for size in dict.fromkeys(run.size for run in runs):
        s = SIZES[size]
        lines += [
            "",
            f"## Size '{size}'",
            "",
            f"Vocabulary {s.vocabulary:,}, at most {s.maxlen} words a review, embedding {s.embedding}, {s.hidden} LSTM "
            f"units, {s.filters} filters of {s.width}, batches of {s.batch}.",
            "",
            "| model | framework | ms for 1,000 reviews | times minilstm's | first loss | last loss |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        for run in (run for run in runs if run.size == size):
            q = ratios(run, runs)
            cells = [
                run.model,
                FRAMEWORKS[run.framework].title + ("" if FRAMEWORKS[run.framework].all_batches else " *"),
                f"{run.median:,.0f} ({min(run.ms):,.0f} to {max(run.ms):,.0f})",
                "" if q is None else f"{np.median(q):.2f} ({q.min():.2f} to {q.max():.2f})",
                f"{run.first_loss:.4f}",
                f"{run.last_loss:.4f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *summary(runs), ""])


def summary(runs: list[Run]) -> list[str]:
    """Sum up in Markdown: how many times minilstm's time each framework takes, geometric mean and range over models."""
    lines = [
        "",
        "## In short",
        "",
        "| framework | size | geometric mean | lowest | highest |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for framework in dict.fromkeys(run.framework for run in runs if run.framework != "minilstm"):
        for size in dict.fromkeys(run.size for run in runs):
            mine = [run for run in runs if (run.framework, run.size) == (framework, size)]
            found = {run.model: float(np.median(q)) for run in mine if (q := ratios(run, runs)) is not None}
            if found:
                mean = np.exp(np.mean(np.log(list(found.values()))))
                low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
                lines.append(
                    f"| {FRAMEWORKS[framework].title} | {size} | {mean:.2f} | "
                    f"{found[low]:.2f} ({low}) | {found[high]:.2f} ({high}) |"
                )
    return lines if len(lines) > 5 else []


def versions(packages: Sequence[str]) -> str:
    """Name Python and those packages that are installed, with versions."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        for distribution in (package, f"{package}-cpu"):
            try:
                found.append(f"{package} {importlib.metadata.version(distribution)}")
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return ", ".join(found)


def plot(runs: list[Run], path: Path) -> None:
    """Draw a bar for every run, grouped by model, with its range over the repeats."""
    from matplotlib.figure import Figure

    sizes = list(dict.fromkeys(run.size for run in runs))
    models = list(dict.fromkeys(run.model for run in runs))
    names = list(dict.fromkeys(run.framework for run in runs))
    height = 0.85 / len(names)
    figure = Figure(figsize=(6.5 * len(sizes), 1.2 + 0.22 * len(names) * len(models)), layout="constrained")
    axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axis, size in zip(axes, sizes, strict=True):
        for n, name in enumerate(names):
            mine = [run for run in runs if (run.size, run.framework) == (size, name)]
            places = [models.index(run.model) + (n - (len(names) - 1) / 2) * height for run in mine]
            median = np.array([run.median for run in mine])  # (models,)
            reach = [median - [min(run.ms) for run in mine], [max(run.ms) for run in mine] - median]
            bars = axis.barh(places, median, height, xerr=reach, label=FRAMEWORKS[name].title, error_kw={"lw": 0.8})
            axis.bar_label(bars, [f"{ms:,.0f}" for ms in median], padding=4, fontsize=7)
        axis.set(title=f"size '{size}'", xscale="log", xlabel="ms of training for 1,000 reviews (log scale)")
        axis.set_yticks(range(len(models)), models)
        axis.margins(x=0.15)
        axis.grid(axis="x", alpha=0.4)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, format="png", dpi=150)


def at_least(low: int) -> Callable[[str], int]:
    """Make a type for the command line: integers from ``low`` on."""

    def integer_from(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text} is not an integer >= {low}")
        return int(text)

    return integer_from


def options() -> argparse.ArgumentParser:
    """Make the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def choose(option: str, choices: Iterable[str]) -> None:
        parser.add_argument(
            option, nargs="+", choices=list(choices), default=list(choices), metavar="NAME",
            help=f"some of: {', '.join(choices)} (default: all)",
        )  # fmt: skip

    parser.add_argument(
        "--data", metavar="PATH", help="IMDB archive or folder, or 'builtin' (default: $MINILSTM_DATA, else download)"
    )
    choose("--sizes", SIZES)
    choose("--models", BODIES)
    choose("--frameworks", FRAMEWORKS)
    most = max(size.batch for size in SIZES.values())
    parser.add_argument(
        "--reviews", type=at_least(most), default=1920, metavar="N", help="reviews of one pass (default: 1920)"
    )
    parser.add_argument(
        "--repeats",
        type=at_least(1),
        default=9,
        metavar="N",
        help="passes that count, after one to warm up (default: 9)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, metavar="FOLDER",
        help="where to write results.md and results.png (default: the folder of this script)",
    )  # fmt: skip
    return parser


def main() -> None:
    """Measure, print the table, write it and its picture."""
    config = options().parse_args()
    missing = {name for name in config.frameworks if importlib.util.find_spec(FRAMEWORKS[name].package) is None}
    left_out = [
        f"{name} ({FRAMEWORKS[name].package} is not installed)" for name in config.frameworks if name in missing
    ]
    for name in left_out:
        print(f'left out: {name}; pip install -e ".[benchmarks]" installs it')
    names = [name for name in config.frameworks if name not in missing]
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        runs = compare(config.sizes, config.models, names, config.data, config.reviews, config.repeats)
    except (ValueError, OSError, ModuleNotFoundError, RuntimeError) as error:
        sys.exit(f"{Path(__file__).name}: {error}")
    if not runs:
        sys.exit(f"{Path(__file__).name}: none of the frameworks chosen is installed, or has one of the models")
    text = report(runs, left_out, config.reviews, config.repeats)
    print(f"\n{text}")
    (config.out / "results.md").write_text(text, encoding="utf-8")
    plot(runs, config.out / "results.png")
    print(f"saved {config.out / 'results.md'} and results.png")


if __name__ == "__main__":
    main()
