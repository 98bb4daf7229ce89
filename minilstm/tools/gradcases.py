"""What ``python -m minilstm gradcheck`` checks: every layer in each of its modes, every loss, and whole models."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from minilstm.activations import softmax
from minilstm.arrays import Array, Arrays, Lengths
from minilstm.gradcheck import check_layer, check_loss, check_model, compare
from minilstm.layers import (
    LSTM,
    Activation,
    AveragePooling1D,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
)
from minilstm.layers.lstm import lstm_backward, lstm_forward
from minilstm.losses import BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError
from minilstm.model import Sequential
from minilstm.tools.architectures import NAMES, make_body
from minilstm.tools.report import Report


def check_all() -> Iterator[Report]:
    """Check every layer in each of its modes, every loss, the initial state, and whole small models.

    Rows are ragged, one of them empty. Cost: a few seconds in all.
    """
    rng = np.random.default_rng(7)
    B, T, D, H = 4, 5, 3, 2
    lengths = np.array([5, 0, 3, 1])
    x = rng.standard_normal((B, T, D))  # (B, T, D)
    tokens = rng.integers(0, 6, (B, T))  # (B, T)
    y = rng.integers(0, 2, (B, 1)).astype(float)  # (B, 1)

    yield check_layer(Embedding(6, D), tokens, lengths)
    yield check_layer(Embedding(6, D, dropout=0.4), tokens, lengths)
    yield from lstms(x, lengths, H)
    yield from windows(x, lengths, H)
    for layer in (GlobalMaxPooling1D(), GlobalAveragePooling1D(), Flatten(), Dropout(0.4)):
        yield check_layer(layer, x, lengths)
        yield check_layer(layer, x)
    for activation in ("tanh", "sigmoid", "relu", "softmax", "linear"):
        yield check_layer(Dense(H, activation), x[:, 0])
        yield check_layer(Activation(activation), x, lengths)
    yield check_layer(Dense(H, "tanh"), x, lengths)

    p = softmax(rng.standard_normal((B, H)))  # (B, H)
    classes = np.eye(H)[rng.integers(0, H, B)]  # (B, H)
    for loss in (BinaryCrossentropy, CategoricalCrossentropy):
        yield check_loss(loss(), p, classes)
        yield check_loss(loss(from_logits=True), 3 * rng.standard_normal((B, H)), classes)
    yield check_loss(MeanSquaredError(), x[:, 0], x[:, 1])

    cnn = [Conv1D(3, 2, activation="relu"), MaxPooling1D(), Flatten(), Dense(3, "relu")]
    for body in (cnn, *(make_body(name, H, F=3, K=2) for name in NAMES if name != "cnn")):
        first = Embedding(6, D, input_length=T), Dropout(0.3)
        model = Sequential([*first, *body, Dense(1, "sigmoid")], seed=3, dtype="float64")
        yield check_model(model, BinaryCrossentropy(), tokens, y, None if body is cnn else lengths)
    model = Sequential([Embedding(6, D), LSTM(H), Dense(3, "softmax")], seed=3, dtype="float64")
    yield check_model(model, CategoricalCrossentropy(), tokens, np.eye(3)[[0, 2, 1, 1]], lengths)


def lstms(x: Array, lengths: Array, H: int) -> Iterator[Report]:
    """Check the LSTM and Bidirectional in all their modes."""
    for phi, sigma in product(("tanh", "sigmoid", "relu", "linear"), repeat=2):
        yield check_layer(LSTM(H, phi, sigma, return_sequences=True), x, lengths)
    for settings in (
        {},
        {"return_state": True},
        {"return_sequences": True, "return_state": True},
        {"return_sequences": True, "go_backwards": True},
        {"return_sequences": True, "dropout": 0.5, "recurrent_dropout": 0.5},
        {"go_backwards": True, "dropout": 0.5},
    ):
        yield check_layer(LSTM(H, **settings), x, lengths)
    yield check_layer(LSTM(H), x)
    yield check_initial_state(x, lengths, H)
    for merge_mode, return_sequences in product(("concat", "sum", "ave", "mul"), (False, True)):
        yield check_layer(Bidirectional(LSTM(H, return_sequences=return_sequences), merge_mode), x, lengths)
    yield check_layer(Bidirectional(LSTM(H, return_sequences=True, dropout=0.5, recurrent_dropout=0.5)), x, lengths)
    yield check_layer(Bidirectional(LSTM(H)), x)


def windows(x: Array, lengths: Array, F: int) -> Iterator[Report]:
    """Check convolution and pooling in all their modes."""
    for padding, (strides, dilation_rate) in product(("valid", "same", "causal"), ((1, 1), (2, 1), (1, 2))):
        layer = Conv1D(F, 3, strides, padding, dilation_rate=dilation_rate, activation="tanh")
        yield check_layer(layer, x, lengths)
    for activation in (None, "sigmoid", "relu"):
        yield check_layer(Conv1D(F, 2, activation=activation), x, lengths)
    yield check_layer(Conv1D(F, 5), x)
    for pooling in (MaxPooling1D, AveragePooling1D):
        for (pool_size, step), padding in product(((2, None), (3, 1), (2, 3)), ("valid", "same")):
            yield check_layer(pooling(pool_size, step, padding), x, lengths)
        yield check_layer(pooling(7), x)


def check_initial_state(x: Array, lengths: Lengths, H: int) -> Report:
    """Check the gradients of an LSTM's initial state, with all outputs in use."""
    rng = np.random.default_rng(11)
    B, _, D = x.shape
    shapes = {"W": (D, 4 * H), "U": (H, 4 * H), "b": (4 * H,), "h0": (B, H), "c0": (B, H)}
    arrays: Arrays = {"x": x, **{name: rng.standard_normal(shape) for name, shape in shapes.items()}}

    def forward(a: Arrays) -> Any:
        return lstm_forward(a["x"], a["W"], a["U"], a["b"], a["h0"], a["c0"], lengths)

    outputs, cache = forward(arrays)
    dy = [rng.standard_normal(part.shape) for part in outputs]
    dx, grads, dh0, dc0 = lstm_backward(dy[0], dy[1], dy[2], cache)

    def f(a: Arrays) -> Any:
        return sum(np.sum(d * part) for d, part in zip(dy, forward(a)[0], strict=True))

    return compare("lstm_forward, initial state", f, arrays, {"x": dx, **grads, "h0": dh0, "c0": dc0})
