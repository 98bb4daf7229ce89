"""All that ``python -m minilstm gradcheck`` checks: every layer in each of its modes, every loss, whole models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minilstm.gradcheck import Report, check_layer, check_loss, check_model, compare
from minilstm.layer import Array, Arrays, Lengths
from minilstm.layers import LSTM, Dense, Dropout, Embedding
from minilstm.layers.lstm import lstm_backward, lstm_forward
from minilstm.losses import BinaryCrossentropy, MeanSquaredError
from minilstm.model import Sequential


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
    for activation in ("tanh", "sigmoid", "relu", "linear"):
        yield check_layer(LSTM(H, activation=activation, return_sequences=True), x, lengths)
    yield check_layer(LSTM(H, recurrent_activation="tanh"), x, lengths)
    yield check_layer(LSTM(H), x, lengths)
    yield check_layer(LSTM(H), x)
    yield check_layer(LSTM(H, return_sequences=True, return_state=True), x, lengths)
    yield check_initial_state(x, lengths, H)
    for activation in ("tanh", "sigmoid", "relu", "linear"):
        yield check_layer(Dense(H, activation), x[:, 0])
    yield check_layer(Dense(H, "tanh"), x, lengths)
    yield check_layer(Dropout(0.4), x, lengths)
    yield check_loss(BinaryCrossentropy(), rng.uniform(0.05, 0.95, (B, 1)), y)
    logits = 3 * rng.standard_normal((B, 1))
    yield check_loss(BinaryCrossentropy(from_logits=True), logits, y, "BinaryCrossentropy(from_logits)")
    yield check_loss(MeanSquaredError(), x[:, 0], x[:, 1])
    classic = [Embedding(6, D), LSTM(H), Dense(1, "sigmoid")]
    stacked = [Embedding(6, D), LSTM(H, return_sequences=True), Dropout(0.3), LSTM(H), Dense(1, "sigmoid")]
    for layers in (classic, stacked):
        model = Sequential(layers, seed=3, dtype="float64")
        yield check_model(model, BinaryCrossentropy(), tokens, y, lengths)


def check_initial_state(x: Array, lengths: Lengths, H: int) -> Report:
    """Check the gradients of an LSTM's initial state, with all outputs in use."""
    rng = np.random.default_rng(11)
    B, _, D = x.shape
    shapes = {"W": (D, 4 * H), "U": (H, 4 * H), "b": (4 * H,), "h0": (B, H), "c0": (B, H)}
    arrays = {"x": x, **{name: rng.standard_normal(shape) for name, shape in shapes.items()}}

    def forward(a: Arrays) -> Any:
        return lstm_forward(a["x"], a["W"], a["U"], a["b"], a["h0"], a["c0"], lengths)

    outputs, cache = forward(arrays)
    dy = [rng.standard_normal(part.shape) for part in outputs]
    dx, grads, dh0, dc0 = lstm_backward(dy[0], dy[1], dy[2], cache)

    def f(a: Arrays) -> Any:
        return sum(np.sum(d * part) for d, part in zip(dy, forward(a)[0], strict=True))

    return compare("lstm_forward, initial state", f, arrays, {"x": dx, **grads, "h0": dh0, "c0": dc0})
