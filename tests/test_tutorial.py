"""The tutorial's script trains once its imports name minilstm: the classic LSTM, line by line as in Keras."""

import numpy as np
import pytest

from minilstm import LSTM, Callback, Dense, Embedding, Sequential, Tokenizer, pad_sequences
from minilstm.datasets import load_builtin, load_imdb


class config:  # noqa: N801 - as in the tutorial
    vocab_size = 1000
    maxlen = 300
    embedding_dims = 50
    hidden_dims = 100
    batch_size = 32
    epochs = 1


def test_on_a_thousand_real_reviews(imdb_archive, monkeypatch):
    monkeypatch.setenv("MINILSTM_DATA", str(imdb_archive))
    (X_train, y_train), (X_test, y_test) = load_imdb(reviews=1000)
    history = train_as_in_the_tutorial(X_train, y_train, X_test, y_test, activation="sigmoid")
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert np.isfinite(history["val_loss"][0])


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_on_made_up_reviews(activation, monkeypatch):
    monkeypatch.setattr(config, "maxlen", 40)
    (X_train, y_train), (X_test, y_test) = load_builtin(reviews=200)
    history = train_as_in_the_tutorial(X_train, y_train, X_test, y_test, activation)
    assert np.isfinite(history["val_loss"][0])


def train_as_in_the_tutorial(X_train, y_train, X_test, y_test, activation):
    tokenizer = Tokenizer(num_words=config.vocab_size)
    tokenizer.fit_on_texts(X_train)
    X_train = tokenizer.texts_to_sequences(X_train)
    X_test = tokenizer.texts_to_sequences(X_test)

    X_train = pad_sequences(X_train, maxlen=config.maxlen)
    X_test = pad_sequences(X_test, maxlen=config.maxlen)

    model = Sequential()
    model.add(Embedding(config.vocab_size, config.embedding_dims, input_length=config.maxlen))
    model.add(LSTM(config.hidden_dims, activation=activation))
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
