"""The tutorial's five architectures, by their names on the command line."""

from __future__ import annotations

from argparse import Namespace

from minilstm.layers import LSTM, Bidirectional, Conv1D, Dense, Dropout, Embedding, Flatten, MaxPooling1D
from minilstm.layers.base import Layer
from minilstm.model import Sequential
from minilstm.optimizers import RMSprop

NAMES = ("cnn", "lstm", "deep-lstm", "bidirectional", "cnn-lstm")


def make_classifier(settings: Namespace, K: int) -> Sequential:
    """Make and compile a model for K labels, at least two.

    For two labels the output is the probability of the second; for more, it is a probability for each. The layers
    themselves check the settings.
    """
    input_length = settings.maxlen if settings.model == "cnn" else None  # Flatten needs a fixed length
    model = Sequential(seed=settings.seed)
    V, D, hidden = settings.vocab_size, settings.embedding_dims, settings.word_dropout
    model.add(Embedding(V, D, input_length=input_length, dropout=hidden))
    for layer in make_body(settings.model, settings.hidden_dims):
        model.add(layer)
    model.add(Dropout(settings.dropout))
    model.add(Dense(1, activation="sigmoid") if K == 2 else Dense(K, activation="softmax"))
    loss = "binary_crossentropy" if K == 2 else "categorical_crossentropy"
    model.compile(loss=loss, optimizer=RMSprop(settings.learning_rate, global_clipnorm=1.0), metrics=["accuracy"])
    return model


def make_body(name: str, H: int, F: int = 32, K: int = 3) -> list[Layer]:
    """Make the layers that turn word vectors into one vector for each text: H LSTM units, F filters of K words."""
    match name:
        case "cnn":
            first, second = (Conv1D(F // 2, K, activation="relu") for _ in range(2))
            return [first, MaxPooling1D(), second, MaxPooling1D(), Flatten(), Dense(250, activation="relu")]
        case "deep-lstm":
            return [LSTM(H, return_sequences=True), LSTM(H)]
        case "bidirectional":
            return [Bidirectional(LSTM(H))]
        case "cnn-lstm":
            return [Conv1D(F, K, activation="relu"), MaxPooling1D(2, padding="same"), LSTM(H)]
        case _:
            return [LSTM(H)]
