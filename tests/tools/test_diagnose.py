"""Every cause that ``diagnose`` knows is planted here, alone, and found by its name; on healthy models it is silent."""

import copy

import numpy as np
import pytest

from minilstm import (
    LSTM,
    SGD,
    Adam,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    MaxPooling1D,
    RMSprop,
    Sequential,
    Tokenizer,
    diagnose,
    pad_sequences,
)
from minilstm.data import load_builtin
from minilstm.losses import BinaryCrossentropy, CategoricalCrossentropy
from minilstm.tools.findings import REMEDIES

N, V, T = 300, 150, 50  # reviews, ids, and words of the longest review at most
(TEXTS, Y), _ = load_builtin(N)
TOKENIZER = Tokenizer(V)
TOKENIZER.fit_on_texts(TEXTS)
X = TOKENIZER.texts_to_sequences(TEXTS)

FOUR = [row for row in X if len(row) == 20][:4]


def make(*between, ids=V, last=None, loss="binary_crossentropy", optimizer="rmsprop", **embedding):
    between = between or (LSTM(16),)
    model = Sequential([Embedding(ids, 16, **embedding), *between, last or Dense(1, "sigmoid")], seed=0)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def with_weights(name, value, model=None, columns=slice(None)):
    model = model or make()
    model.params[name][..., columns] = value
    return model


class PassesNothingBack(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return np.zeros_like(dx), grads


class Climbs(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return -dx, {name: -g for name, g in grads.items()}


def unsuccessful():
    model = make()
    model.fit(X, Y, epochs=1, validation_data=(X, Y), verbose=0)
    model.history.history["val_accuracy"] = [0.5]  # half of the labels are 1
    return model, X, Y, (X, Y)


RELU = make(Conv1D(8, 3, activation="relu"), LSTM(16))
LOGITS = make(last=Dense(1), loss=BinaryCrossentropy(from_logits=True))
NUMBERS = make(last=Dense(1), loss="mse")
FORGET = slice(16, 32)  # the part of b that belongs to the forget gate

PLANTED = {
    "softmax over one number": lambda: (make(last=Dense(1, "softmax")), X, Y),
    "probabilities taken for logits": lambda: (make(loss=BinaryCrossentropy(from_logits=True)), X, Y),
    "no probabilities": lambda: (make(last=Dense(1)), X, Y),
    "bag of words": lambda: (make(), TOKENIZER.texts_to_matrix(TEXTS), Y),
    "ids outside the vocabulary": lambda: (make(ids=20), X, Y),
    "sorted labels": lambda: (make(), [X[n] for n in np.argsort(Y)], np.sort(Y)),
    "one class only": lambda: (make(), X, np.ones(N)),
    "classes out of balance": lambda: (make(), X, np.arange(N) % 10 == 0),
    "labels out of reach": lambda: (make(loss="mse"), X, Y + 1),
    "padding at the end": lambda: (make(), pad_sequences(X, 99, padding="post"), Y),
    "empty texts": lambda: (make(), [[] if n % 4 == 0 else row for n, row in enumerate(X)], Y),
    "unknown words": lambda: (make(), [[n if n < 15 else 1 for n in row] for row in X], Y),
    "validation texts lose words": lambda: (make(), X, Y, ([row[::3] for row in X], Y)),
    "vocabulary too large": lambda: (make(ids=20 * V), X, Y),
    "weights not finite": lambda: (with_weights("lstm.U", np.nan), X, Y),
    "gradients not finite": lambda: (with_weights("dense.W", 1e30, NUMBERS), X, Y),
    "sigmoid as activation": lambda: (make(LSTM(16, "sigmoid")), X, Y),
    "forget gate closed": lambda: (with_weights("lstm.b", -8, columns=FORGET), X, Y),
    "saturated gates": lambda: (with_weights("lstm.b", 50), X, Y),
    "dead relus": lambda: (with_weights("conv1d.b", -9, RELU), X, Y),
    "constant output": lambda: (with_weights("embedding.E", 0), X, Y),
    "no gradient": lambda: (make(last=PassesNothingBack(1, "sigmoid")), X, Y),
    "exploding gradient": lambda: (with_weights("dense.W", 1000, LOGITS), X, Y),
    "learning rate too high": lambda: (make(optimizer=Adam(30)), X, Y),
    "learning rate too low": lambda: (make(optimizer=SGD(0.01)), X, Y),
    "texts not cut into words": lambda: (make(ids=N + 2), [[n + 1] for n in range(N)], Y),
    "contradictory labels": lambda: (make(), [FOUR[n % 4] for n in range(N)], Y),
    "nothing learned": unsuccessful,
    "one batch cannot be learned": lambda: (make(last=Climbs(1, "sigmoid")), X, Y),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_a_planted_cause_is_named_first_with_what_was_seen_and_a_remedy(name):
    diagnosis = diagnose(*PLANTED[name]())
    assert not diagnosis.ok
    first = diagnosis.findings[0]
    assert first.name == name
    assert first.remedy == REMEDIES[name]
    report = str(diagnosis)
    assert all(part in report for part in (name, first.sentence, first.remedy))


MEASURED = {
    "ids outside the vocabulary": f"holds the id {max(map(max, X))}",
    "sorted labels": "change only 1 time",
    "one class only": "100.0% of the 300 labels",
    "classes out of balance": "90.0% of the 300 labels",
    "labels out of reach": "from 1 to 2",
    "empty texts": "25.0% of the rows",
    "texts not cut into words": "100.0% of the rows for training hold a single token",
    "contradictory labels": "100.0% of the rows",
    "vocabulary too large": f"input_dim={20 * V}",
    "no gradient": "embedding 0.0e+00",
    "learning rate too low": "learning_rate=0.01",
}


@pytest.mark.parametrize("name", MEASURED)
def test_the_sentence_has_the_number_that_was_measured(name):
    assert MEASURED[name] in diagnose(*PLANTED[name]()).findings[0].sentence


@pytest.mark.parametrize(
    ("name", "planted", "part"),
    [
        ("one class only", lambda: (make(), X, np.sort(Y), None, 0.2), "for validation are 1"),
        ("one class only", lambda: (make(), X, Y, (X[:5], np.zeros(5))), "for validation are 0"),
        ("ids outside the vocabulary", lambda: (make(), X, Y, ([[3, V]], [1])), "x for validation holds the id 150"),
        ("bag of words", lambda: (make(), TOKENIZER.texts_to_matrix(TEXTS).astype(int), Y), "from 0 to 1"),
        ("bag of words", lambda: (make(), TOKENIZER.texts_to_matrix(TEXTS, "tfidf"), Y), "which words occur"),
        ("softmax over one number", lambda: (make(loss="categorical_crossentropy"), X, Y), "is 1.0, whatever"),
        (
            "no probabilities",
            lambda: (make(last=Dense(2, "sigmoid"), loss=CategoricalCrossentropy()), X, Y),
            "CategoricalCrossentropy",
        ),
        ("empty texts", lambda: (make(mask_zero=True), np.zeros((N, 9), int), Y), "100.0% of the rows"),
        (
            "padding at the end",
            lambda: (make(Bidirectional(LSTM(8))), pad_sequences(X, 99, padding="post"), Y),
            "zeros",
        ),
        (
            "forget gate closed",
            lambda: (with_weights("bidirectional.backward.b", -8, make(Bidirectional(LSTM(16))), FORGET), X, Y),
            "In bidirectional.backward the mean forget gate",
        ),
        ("no gradient", lambda: (make(last=PassesNothingBack(1, "sigmoid")), X, Y), "So lstm, embedding cannot learn"),
        ("weights not finite", lambda: (with_weights("lstm.U", np.inf), X, Y), "100.0% of lstm.U"),
        ("learning rate too high", lambda: (make(optimizer=Adam(30)), X, Y), "learning_rate=30"),
        ("learning rate too low", lambda: (make(optimizer=Adam(1e-8)), X, Y), "learning_rate=1e-08"),
        (
            "texts not cut into words",
            lambda: (make(ids=3 * N + 1), np.arange(3 * N).reshape(N, 3) + 1, Y),
            "100.0% of all",
        ),
        ("one batch cannot be learned", lambda: (make(), [FOUR[n % 4] for n in range(N)], Y), "not move: none"),
    ],
)
def test_the_sentence_says_where(name, planted, part):
    assert any(name == finding.name and part in finding.sentence for finding in diagnose(*planted()).findings)


HEALTHY = {
    "CNN": lambda: make(
        Dropout(0.3),
        Conv1D(16, 3, activation="relu"),
        MaxPooling1D(),
        Conv1D(16, 3, activation="relu"),
        MaxPooling1D(),
        Flatten(),
        Dense(32, "relu"),
        Dropout(0.3),
        input_length=T,
    ),
    "LSTM": lambda: make(Dropout(0.3), LSTM(32), Dropout(0.3)),
    "deep LSTM": lambda: make(LSTM(32, return_sequences=True), LSTM(32)),
    "bidirectional LSTM": lambda: make(Bidirectional(LSTM(32))),
    "CNN-LSTM": lambda: make(Conv1D(16, 3, activation="relu"), MaxPooling1D(), LSTM(32)),
    "LSTM with mask_zero": lambda: make(mask_zero=True),
    "LSTM over padding in front": make,
    "LSTM over two classes": lambda: make(last=Dense(2, "softmax"), loss="categorical_crossentropy"),
    "LSTM with logits": lambda: make(last=Dense(1), loss=BinaryCrossentropy(from_logits=True)),
    "LSTM with squared error": lambda: make(last=Dense(1), loss="mse"),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found_on_a_healthy_new_model(name):
    padded = name in ("CNN", "LSTM with mask_zero", "LSTM over padding in front")
    diagnosis = diagnose(HEALTHY[name](), pad_sequences(X, T) if padded else X, Y, validation_split=0.2)
    assert diagnosis.ok, diagnosis
    assert str(diagnosis).startswith("nothing found")
    assert "wrong labels cannot be seen" in str(diagnosis)


@pytest.mark.parametrize("name", ["CNN", "CNN-LSTM"])
def test_nothing_is_found_on_a_trained_model(name):
    model, x = HEALTHY[name](), pad_sequences(X, T)
    model.compile(RMSprop(0.005, global_clipnorm=1.0), metrics=["accuracy"])
    model.fit(x, Y, epochs=12, verbose=0)
    assert model.evaluate(x, Y, verbose=0)[1] > 0.8
    diagnosis = diagnose(model, x, Y)
    assert diagnosis.ok, diagnosis


def test_nothing_is_found_without_an_embedding(rng):
    model = Sequential([LSTM(16), Dense(1, "sigmoid")], seed=0)
    model.compile("adam")
    x = rng.standard_normal((N, 12, 3))
    diagnosis = diagnose(model, x, x[:, -1, 0] > 0)
    assert diagnosis.ok, diagnosis
    assert not model.shapes  # still without weights


def test_model_optimiser_random_numbers_and_data_stay_as_they_are():
    model, x, y = make(Dropout(0.3), LSTM(16), optimizer="adam"), pad_sequences(X, T), Y.astype(float)
    model.fit(x[:64], y[:64], verbose=0)
    before, x_before, y_before = copy.deepcopy(model), x.copy(), y.copy()
    diagnose(model, x, y, validation_split=0.1)
    assert [p.tobytes() for p in model.params.values()] == [p.tobytes() for p in before.params.values()]
    assert model.optimizer.iterations == before.optimizer.iterations == 2
    assert model.optimizer.learning_rate == before.optimizer.learning_rate
    for slot, arrays in before.optimizer.state.items():
        assert {n: a.tobytes() for n, a in arrays.items()} == {
            n: a.tobytes() for n, a in model.optimizer.state[slot].items()
        }
    assert model.rng.bit_generator.state == before.rng.bit_generator.state
    assert (x.tobytes(), y.tobytes()) == (x_before.tobytes(), y_before.tobytes())


def test_two_runs_find_the_same():
    model = make(optimizer=SGD(0.01))
    assert diagnose(model, X, Y) == diagnose(model, X, Y)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (X, Y[:-1], ValueError, "y has 299 labels, but x has 300 samples"),
        (X, Y - 3, ValueError, "y goes from -3.0 to -2.0"),
        (TEXTS, Y, TypeError, "expected token ids"),
        ([], [], ValueError, "x is empty"),
        ([[0.5, 2.0]] * N, Y, TypeError, "expected token ids"),
    ],
)
def test_what_no_check_can_explain_is_an_error_as_in_fit(x, y, error, message):
    model = make()
    with pytest.raises(error, match=message):
        diagnose(model, x, y)
    with pytest.raises(error, match=message):
        model.fit(x, y)


def test_a_model_has_to_be_compiled():
    with pytest.raises(ValueError, match="compile"):
        diagnose(Sequential([Embedding(V, 4), LSTM(4), Dense(1, "sigmoid")]), X, Y)
