"""Ways to train the same models: minilstm, PyTorch and Keras, each as its users would, or as an expert tunes it.

Each ``start_`` function makes a framework's model with the weights of ours and returns two functions: one prepares
batches, which is not timed, and one trains on them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

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
    textbook,
)
from minilstm.arrays import Array
from minilstm.keras.interop import to_keras, to_torch
from minilstm.layers.base import Layer
from minilstm.tools.architectures import NAMES, make_body


class Size(NamedTuple):
    """The size of models and batches."""

    vocabulary: int
    maxlen: int  # of longer reviews, only the last words are read
    embedding: int
    hidden: int  # LSTM units
    batch: int
    filters: int
    width: int  # words in the window of a filter


SIZES = {"tutorial": Size(1_000, 300, 50, 100, 32, 64, 3), "practical": Size(20_000, 400, 128, 128, 64, 128, 5)}

RATE, RHO, EPSILON = 1e-3, 0.9, 1e-7

Batch = tuple[list[Array], Array]
"""B reviews as token ids, unpadded, and their labels (B,)."""

Train = Callable[[list[Any]], float]
"""Train on batches that the framework's ``prepare`` returned; return the mean loss, computed before each step."""

Start = tuple[Callable[[list[Batch]], list[Any]], Train]
"""``prepare``, which is not timed, and ``train``, which is."""


def make_model(name: str, size: Size) -> Sequential:
    """Stack a model with the weights from which every framework starts.

    Reviews differ in length, so the CNN ends on a maximum over time, and pooling does not pad.
    """
    convolution, H = Conv1D(size.filters, size.width, activation="relu"), size.hidden
    convolutional: dict[str, list[Layer]] = {
        "cnn": [convolution, GlobalMaxPooling1D()],
        "cnn-lstm": [convolution, MaxPooling1D(2), LSTM(H)],
    }
    body = convolutional[name] if name in convolutional else make_body(name, H)
    last = Dense(1, activation="sigmoid")
    return Sequential([Embedding(size.vocabulary, size.embedding), *body, last], seed=0)


def start_minilstm(model: Sequential, size: Size) -> Start:
    """Train with ``fit`` on lists of reviews of exact lengths."""
    model.compile(RMSprop(RATE, RHO, EPSILON), "binary_crossentropy")

    def train(some: list[Batch]) -> float:
        x = [review for reviews, _ in some for review in reviews]
        y = np.concatenate([labels for _, labels in some])  # (N,)
        history = model.fit(x, y, batch_size=size.batch, shuffle=False, verbose=0)  # already shuffled
        return history.history["loss"][-1]

    return as_they_are, train


def start_textbook(model: Sequential, size: Size) -> Start:
    """Train as :func:`start_minilstm` with the textbook functions: plain NumPy, in one thread."""
    prepare, train = start_minilstm(model, size)

    def train_textbook(some: list[Batch]) -> float:
        with textbook():
            return train(some)

    return prepare, train_textbook


def start_torch(model: Sequential, size: Size) -> Start:
    """Train as an expert in PyTorch would who wants it fast on a CPU. Each choice was measured.

    - Batches of similar lengths are padded to their longest review.
    - Subnormals are flushed, which makes an LSTM's backward pass several times faster. Threads inherit the setting, so
      it is made before the first operation.
    - There are as many threads as cores, PyTorch's default: one thread took 1.5 times as long.
    - The convolution is a 2-D one of height 1: the transposed embedding then is what oneDNN calls channels last, and is
      not copied. This is up to a fifth faster than Conv1d.
    - RMSprop works on lists of tensors, like ``foreach=True``, with epsilon where minilstm and Keras have it.
    - With a large vocabulary, only the rows of words in the batch get a gradient and a step (``RowsStep``).
    - The last state is h_n. Batch first or time first made no difference, nor did ``amax`` instead of ``max``.
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
    """Make the function that trains on batches: ``forward`` computes logits (B,), ``step`` updates the weights."""
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
        """Look up the vectors of the tokens (B, T): (B, T, D)."""
        return self.torch.nn.functional.embedding(tokens, self.E)

    def make(self) -> None:
        """Update all parameters, and delete their gradients."""
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
    """The same results, but a row of the embedding is only updated when its word occurs; v then decays in one go."""

    def __init__(self, modules: list[Any]) -> None:
        super().__init__(modules)
        self.params, self.v, self.v_E = self.params[1:], self.v[1:], self.v[0]
        self.last, self.steps = self.torch.zeros(len(self.E)), 0

    def embed(self, tokens: Any) -> Any:
        """Look up the vectors of the tokens (B, T): (B, T, D)."""
        self.words, index = self.torch.unique(tokens, return_inverse=True)  # (words,), (B, T)
        self.rows = self.E.detach()[self.words].requires_grad_()
        return self.torch.nn.functional.embedding(index, self.rows)

    def make(self) -> None:
        """Update the other parameters, then the rows of the words in the batch."""
        super().make()
        torch, words = self.torch, self.words
        self.steps += 1
        with torch.no_grad():
            decay = RHO ** (self.steps - self.last[words])  # (words,)
            v = (self.v_E[words] * decay[:, None]).addcmul_(self.rows.grad, self.rows.grad, value=1 - RHO)
            self.v_E[words], self.last[words] = v, float(self.steps)
            self.E[words] = self.rows.detach().addcdiv_(self.rows.grad, (v + EPSILON).sqrt_(), value=-RATE)


def start_torch_packed(model: Sequential, size: Size) -> Start:
    """Train with ``pack_padded_sequence``: exact lengths as in minilstm, but otherwise as :func:`start_torch`."""
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
    """Train as in tutorials: all reviews padded to one length beforehand, and PyTorch with its default settings.

    PyTorch's RMSprop adds epsilon after the square root, not before; the root of our epsilon is the closest match.
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
    """Make PyTorch modules with the weights of ``model``, one for each layer, or None if it has no weights."""
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
                parameter.requires_grad = "bias_hh" not in name  # PyTorch adds a second bias
        modules.append(module)
    return modules


def weights(modules: list[Any]) -> list[Any]:
    """List the trainable parameters."""
    return [p for module in modules if module is not None for p in module.parameters() if p.requires_grad]


def torch_layer(layer: Layer, module: Any, x: Any) -> Any:
    """Run a layer that is the same in all variants for PyTorch; x is (B, T, features), or packed."""
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
    """Train with Keras as in its guides: all reviews padded to one length beforehand.

    ``train_on_batch`` was as fast as ``fit``. XLA, which ``compile`` enables by default, made the CNN up to a tenth
    faster but the LSTM up to 1.9 times slower, so it is only used for the CNN.
    """
    train = keras_train(model, jit_compile=any(isinstance(layer, GlobalMaxPooling1D) for layer in model.layers))
    return lambda some: [(padded(x, size.maxlen), y[:, None]) for x, y in some], train


def start_keras_bucketed(model: Sequential, size: Size) -> Start:  # noqa: ARG001 - all take it
    """Train with Keras on batches padded to their longest review, without XLA, which would compile for each length."""
    train = keras_train(model, jit_compile=False)
    return as_they_are, lambda some: train([(padded(x, longest(x)), y[:, None]) for x, y in some])


def keras_train(model: Sequential, jit_compile: bool) -> Train:
    """Make the same model in Keras; return a function that trains it on batches (B, T) with labels (B, 1)."""
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    import keras

    def make(layer: Layer) -> Any:
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

    net = keras.Sequential([keras.Input((None,), dtype="int32"), *map(make, model.layers)])
    net.set_weights(to_keras(model))
    net.compile(keras.optimizers.RMSprop(RATE, RHO, epsilon=EPSILON), "binary_crossentropy", jit_compile=jit_compile)

    def train(some: list[Any]) -> float:
        total = 0.0
        for tokens, labels in some:
            net.reset_metrics()  # otherwise it returns the mean of all batches so far
            total += float(np.ravel(net.train_on_batch(tokens, labels))[0])
        return total / len(some)

    return train


def as_they_are(some: list[Batch]) -> list[Any]:
    """Return the batches unchanged."""
    return some


def longest(reviews: list[Array]) -> int:
    """Count the tokens of the longest review."""
    return max(len(review) for review in reviews)


def padded(reviews: list[Array], T: int) -> Array:
    """Make an array (B, T) of reviews, with zeros before the short ones."""
    x = np.zeros((len(reviews), T), np.int64)  # (B, T)
    for row, review in zip(x, reviews, strict=True):
        row[T - len(review) :] = review
    return x


class Framework(NamedTuple):
    """A way to train."""

    title: str
    package: str  # the package that must be installed
    start: Callable[[Sequential, Size], Start]
    all_batches: bool  # False for slow ones, which train on FEW batches of every pass
    models: Sequence[str] = NAMES


FEW = 8  # batches

FRAMEWORKS = {
    "minilstm": Framework("minilstm", "minilstm", start_minilstm, True),
    "textbook": Framework("minilstm, the textbook", "minilstm", start_textbook, False),
    "torch": Framework("PyTorch, tuned", "torch", start_torch, True),
    "torch-packed": Framework("PyTorch, packed", "torch", start_torch_packed, False, ("lstm", "bidirectional")),
    "torch-tutorial": Framework("PyTorch, as in tutorials", "torch", start_torch_tutorial, False),
    "keras": Framework("Keras on TensorFlow", "tensorflow", start_keras, False),
    "keras-bucketed": Framework("Keras, batches by length", "tensorflow", start_keras_bucketed, False),
}
