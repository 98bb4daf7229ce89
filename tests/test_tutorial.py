"""The tutorial's script trains once its imports name minilstm: five architectures, line by line as in Keras."""

import numpy as np
import pytest

from minilstm import (
    LSTM,
    Bidirectional,
    Callback,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    MaxPooling1D,
    Sequential,
    Tokenizer,
    pad_sequences,
)
from minilstm.data import load_builtin, load_imdb


class config:  # noqa: N801 - as in the tutorial
    vocab_size = 1000
    maxlen = 300
    embedding_dims = 50
    hidden_dims = 100
    filters = 64
    kernel_size = 3
    pool_size = 2
    batch_size = 32
    epochs = 1


def classic(model):
    model.add(LSTM(config.hidden_dims, activation="sigmoid"))


def classic_with_tanh(model):
    model.add(LSTM(config.hidden_dims))


def cnn(model):
    model.add(Dropout(0.5))
    model.add(Conv1D(16, 3, padding="valid", activation="relu"))
    model.add(MaxPooling1D())
    model.add(Conv1D(16, 3, padding="valid", activation="relu"))
    model.add(MaxPooling1D())
    model.add(Flatten())
    model.add(Dense(250, activation="relu"))
    model.add(Dropout(0.5))


def deep(model):
    model.add(LSTM(config.hidden_dims, activation="sigmoid", return_sequences=True))
    model.add(LSTM(config.hidden_dims, activation="sigmoid"))


def bidirectional(model):
    model.add(Bidirectional(LSTM(config.hidden_dims, activation="sigmoid")))


def hybrid(model):
    model.add(Conv1D(config.filters, config.kernel_size, activation="relu"))
    model.add(MaxPooling1D(config.pool_size))
    model.add(LSTM(config.hidden_dims, activation="sigmoid"))


def test_the_classic_lstm_trains_on_a_thousand_real_reviews(imdb_archive, monkeypatch):
    monkeypatch.setenv("MINILSTM_DATA", str(imdb_archive))
    (X_train, y_train), (X_test, y_test) = load_imdb(reviews=1000)
    history = train_as_in_the_tutorial(X_train, y_train, X_test, y_test, classic)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "grad_norm"}
    assert np.isfinite(history["val_loss"][0])


@pytest.mark.parametrize("between", [classic, classic_with_tanh, cnn, deep, bidirectional, hybrid])
def test_every_architecture_trains(between, monkeypatch):
    monkeypatch.setattr(config, "maxlen", 40)
    (X_train, y_train), (X_test, y_test) = load_builtin(reviews=200)
    history = train_as_in_the_tutorial(X_train, y_train, X_test, y_test, between)
    assert np.isfinite(history["val_loss"][0])


def train_as_in_the_tutorial(X_train, y_train, X_test, y_test, between):
    tokenizer = Tokenizer(num_words=config.vocab_size)
    tokenizer.fit_on_texts(X_train)
    X_train = tokenizer.texts_to_sequences(X_train)
    X_test = tokenizer.texts_to_sequences(X_test)

    X_train = pad_sequences(X_train, maxlen=config.maxlen)
    X_test = pad_sequences(X_test, maxlen=config.maxlen)

    model = Sequential()
    model.add(Embedding(config.vocab_size, config.embedding_dims, input_length=config.maxlen))
    between(model)
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
    model.fit(
        X_train,
        y_train,
        batch_size=config.batch_size,
        epochs=config.epochs,
        validation_data=(X_test, y_test),
        callbacks=[Callback()],
    )
    return model.history.history
